/** Releases as records in a store. */
export type { DeclaredBody, DeclaredRecords } from '../registry/change/declared.js'
export type { Draft, Parent } from '../registry/change/draft.js'
export type { SyncReport, SyncedRecord } from '../registry/change/sync-report.js'
export { type RegistryOptions, createRegistry } from '../registry/create-registry.js'
export { type ExportOptions, exportDeclarative } from '../registry/declarative/declarative-export.js'
export type { Declarative, DeclarativeOptions, Skipped } from '../registry/declarative/declarative.js'
export { parseDeclarative } from '../registry/declarative/parse-declarative.js'
export type { Entities, EntityKind, EntityOf } from '../registry/entities/entities.js'
export type {
  Acl,
  Api,
  CanaryConfig,
  Consumer,
  KeyauthCredential,
  Plugin,
  Ref,
  Route,
  Service,
  Stamped,
} from '../registry/entities/records.js'
export { type FieldMessages, type Violation, ViolationError } from '../registry/entities/violation.js'
export type { KnownConsumer } from '../registry/live/release-lookup.js'
export type { FleetFigures, FleetMembership } from '../registry/guards/registry-guards.js'
export type { StoreStatus } from '../registry/link/store-status.js'
export { type Row, type RowChange, type RowContent, type StoredRecord, rowOf } from '../registry/records/rows.js'
export {
  AUDIT_LIMIT,
  type AuditEntry,
  type AuditQuery,
  type AuditedChange,
  type Commit,
  NOWHERE,
  type Position,
  type Proposal,
  type SaveResult,
  type SavedRuns,
  type Store,
  type StoreEvent,
  type StoredState,
} from '../registry/records/store.js'
export { type RegistryKeyOptions, registryKeys } from '../registry/registry-keys.js'
export type { ListQuery, Page, Registry, RegistryChange } from '../registry/registry.js'
export { type FileStoreOptions, fileStore } from '../registry/stores/file-store.js'
export { memoryStore } from '../registry/stores/memory-store.js'
