// Until the registry has this interface itself.
import type { AuditEntry as Entry, EntityKind, EntityOf, StoredRecord } from '@canary-release/core/registry'
export interface Position {
  readonly epoch: string
  readonly version: number
  readonly id: string
}
export interface AuditEntry extends Entry {
  readonly id: string
}
export interface RowContent<Kind extends EntityKind = EntityKind> {
  readonly kind: Kind
  readonly entity: EntityOf<Kind>
  readonly release: StoredRecord | null
}
export interface Row<Kind extends EntityKind = EntityKind> extends RowContent<Kind> {
  readonly revision: number
}
export interface RowChange {
  readonly kind: EntityKind
  readonly id: string
  readonly row: RowContent | null
}
export interface AuditQuery {
  readonly limit: number
  readonly before?: number | undefined
  readonly plugin?: string | undefined
  readonly by?: string | undefined
}
export interface Proposal {
  readonly id: string
  readonly base: Position
  readonly reads: readonly string[]
  readonly writes: readonly string[]
  readonly changes: readonly RowChange[]
  readonly audit: Omit<AuditEntry, 'version'>
}
export interface Commit {
  readonly id: string
  readonly prev: string
  readonly version: number
  readonly writes: readonly string[]
  readonly changes: readonly RowChange[]
  readonly audit: AuditEntry
}
export type SaveResult =
  | { readonly kind: 'saved'; readonly at: Position; readonly missed: readonly Commit[] }
  | { readonly kind: 'conflict'; readonly missed: readonly Commit[] | null }
  | { readonly kind: 'rewound'; readonly stored: Position }
export interface StoredState {
  readonly at: Position
  readonly rows: readonly Row[]
}
export type StoreEvent =
  | { readonly kind: 'commit'; readonly commit: Commit }
  | { readonly kind: 'state'; readonly state: StoredState }
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected'; readonly since: number }
  | { readonly kind: 'rewound'; readonly known: Position; readonly stored: Position }
  | { readonly kind: 'error'; readonly error: unknown }
export interface Store {
  load(signal?: AbortSignal): Promise<StoredState | null>
  save(proposal: Proposal, signal?: AbortSignal): Promise<SaveResult>
  watch(from: Position | null, listener: (event: StoreEvent) => void): () => void
  audit(query: AuditQuery): Promise<readonly AuditEntry[]>
  readonly shared: null
  close(): Promise<void>
}
export const NOWHERE: Position = { epoch: '', version: 0, id: '' }
