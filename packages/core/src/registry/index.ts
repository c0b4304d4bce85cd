export type { DeclaredBody, DeclaredRecords } from './change/declared.js'
export type { Declarative, DeclarativeOptions, Skipped } from './declarative/declarative.js'
export type { SyncReport, SyncedRecord } from './change/sync-report.js'
export { parseDeclarative } from './declarative/parse-declarative.js'
export { type ExportOptions, exportDeclarative } from './declarative/declarative-export.js'
export { withoutKey } from './records/audit.js'
export type { Draft, Parent } from './change/draft.js'
export { validateEntity } from './change/validation.js'
export * from './entities/entities.js'
export { FILTERS } from './entities/filters.js'
export { type HarmlessValues, kongFieldsOf } from './entities/kong-fields.js'
export { canaryConfigSchema } from './entities/plugin-schema.js'
export type { CanaryConfig } from './entities/records.js'
export type {
  Found,
  KnownConsumer,
  LocatedPlace,
  LocatedPlainPlace,
  LocatedReleasePlace,
  ReleaseLookup,
  MountScope,
} from './live/release-lookup.js'
export { type FileStoreOptions, fileStore } from './stores/file-store.js'
export { readContent } from './stores/state-row.js'
export { memoryStore } from './stores/memory-store.js'
export { type RegistryOptions, createRegistry } from './create-registry.js'
export { type RegistryKeyOptions, registryKeys } from './registry-keys.js'
export { stillRolledBack } from './records/plugin-edit.js'
export type { FleetFigures, FleetMembership } from './guards/registry-guards.js'
export type { StoreStatus } from './link/store-status.js'
export { RELEASE_STATES } from '../release-state.js'
export { type ListQuery, type Page, type Registry, type RegistryChange, mountOn } from './registry.js'
export { type Row, type RowChange, type RowContent, type StoredRecord, isOf, rowOf } from './records/rows.js'
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
} from './records/store.js'
export {
  type FieldMessages,
  type Violation,
  ViolationError,
  invalidOptions,
  schemaViolation,
} from './entities/violation.js'
