export { type Declarative, type DeclarativeOptions, parseDeclarative } from './declarative.js'
export { type ExportOptions, exportDeclarative } from './declarative-export.js'
export { withoutKey } from './audit.js'
export type { Draft, Parent } from './draft.js'
export * from './entities.js'
export { type CanaryConfig, canaryConfigSchema } from './plugin-schema.js'
export type { KnownConsumer } from './known-consumers.js'
export type { Mount, MountScope, Place, Resolution } from './mount.js'
export { type FileStoreOptions, fileStore } from './file-store.js'
export { memoryStore } from './memory-store.js'
export { type RegistryOptions, createRegistry } from './create-registry.js'
export type { ListQuery, Page, Registry, RegistryChange } from './registry.js'
export {
  AUDIT_LIMIT,
  type AuditEntry,
  type AuditedChange,
  type Commit,
  type Row,
  type RowChange,
  type Store,
  type StoreEvent,
  type StoredState,
  isOf,
} from './store.js'
export { type FieldMessages, type Violation, ViolationError, schemaViolation } from './violation.js'
