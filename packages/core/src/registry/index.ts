export { type Declarative, type DeclarativeOptions, parseDeclarative } from './declarative/declarative.js'
export { type ExportOptions, exportDeclarative } from './declarative/declarative-export.js'
export { withoutKey } from './records/audit.js'
export type { Draft, Parent } from './change/draft.js'
export * from './entities/entities.js'
export { type CanaryConfig, canaryConfigSchema } from './entities/plugin-schema.js'
export type { KnownConsumer, Mount, MountScope, Place, Resolution } from './live/mount.js'
export { type FileStoreOptions, fileStore } from './stores/file-store.js'
export { memoryStore } from './stores/memory-store.js'
export { type RegistryOptions, createRegistry } from './create-registry.js'
export { stillRolledBack } from './records/plugin-edit.js'
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
  type StoredRecord,
  type StoredState,
  isOf,
} from './records/store.js'
export { type FieldMessages, type Violation, ViolationError, schemaViolation } from './entities/violation.js'
