import type { ReleaseRecord } from '../../release/lifecycle.js'
import type { EntityKind, EntityOf } from '../entities/entities.js'

/** What a person or the guard did with a plugin's release, as it is stored. */
export interface StoredRecord extends ReleaseRecord {
  /**
   * The version at which its run began: a restart, an edit by which it begins again, or another B. What a process did in
   * another run is over. @default 0, the run that began with the plugin
   */
  readonly run?: number | undefined
}

/** An entity as it is stored. */
export interface Row<Kind extends EntityKind = EntityKind> {
  /** Its kind. */
  readonly kind: Kind
  /** The record itself, in Kong's shape. */
  readonly entity: EntityOf<Kind>
  /** The registry's version at which it last changed: what an ETag is made from. */
  readonly revision: number
  /** What a person or the guard did with a plugin's release; `null` for the other kinds. */
  readonly release: StoredRecord | null
}

/** Whether a row is one of `kind`. */
export function isOf<Kind extends EntityKind>(row: Row, kind: Kind): row is Row<Kind> {
  return row.kind === kind
}

/** One row written, or taken away (`row: null`). */
export interface RowChange {
  /** The row's kind. */
  readonly kind: EntityKind
  /** The id of its record. */
  readonly id: string
  /** The row as it is now; `null`: it is gone. */
  readonly row: Row | null
}

/** One entity before and after a change; keys of consumers are left out. */
export interface AuditedChange {
  /** The record's kind. */
  readonly kind: EntityKind
  /** The record's id. */
  readonly id: string
  /** `null` where it was created. */
  readonly before: object | null
  /** `null` where it was deleted. */
  readonly after: object | null
}

/** One change of the registry. */
export interface AuditEntry {
  /** The version that the change made. */
  readonly version: number
  /** Seconds since the epoch. */
  readonly at: number
  /** Who made it. */
  readonly by: string
  /** What was done, in words: `update plugins 3f2a…`, `rollback plugins 3f2a…: too many errors`. */
  readonly what: string
  /** Each record that changed, the first 100. */
  readonly changes: readonly AuditedChange[]
  /** Changes beyond the first 100, which are not listed. */
  readonly more: number
}

/** How many audit entries a store keeps: the newest. */
export const AUDIT_LIMIT = 1000

/** One atomic change of the registry: plain JSON, so that a store may keep or publish it as it is. */
export interface Commit {
  /** The version that it makes. */
  readonly version: number
  /** Each row that it writes or takes away. */
  readonly changes: readonly RowChange[]
  /** The line of the audit trail. */
  readonly audit: AuditEntry
}

/** All that a store holds. */
export interface StoredState {
  /** The version of the last change. */
  readonly version: number
  /** All rows. */
  readonly rows: readonly Row[]
  /** Oldest first. */
  readonly audit: readonly AuditEntry[]
}

/** What a watcher is told. */
export type StoreEvent =
  /** A change, by this process or another. One that does not follow on the version known means: load anew. */
  | { readonly kind: 'commit'; readonly commit: Commit }
  /** Something changed and nobody knows what: the watcher was away, or a file was edited. */
  | { readonly kind: 'state'; readonly state: StoredState }
  /** What is stored now cannot be taken. The last good state stays in force. */
  | { readonly kind: 'error'; readonly error: unknown }

/**
 * Where a registry is kept. Several processes may share one: each change names the version that it was made on, and
 * only one change is made on each.
 */
export interface Store {
  /**
   * What is stored; `null` where nothing ever was.
   *
   * @throws {CanaryError} ERR_CANARY_STORE where it cannot be read or is damaged: never an empty state instead
   */
  load(): Promise<StoredState | null>
  /**
   * Writes a change whole or not at all. What it resolves to survives a crash, as far as the store promises that.
   *
   * @param expected the version that the change was made on; 0 where nothing was stored
   * @returns `conflict` where another version is stored: nothing was written then
   * @throws {CanaryError} ERR_CANARY_STORE where it could not be written
   */
  save(commit: Commit, expected: number): Promise<'saved' | 'conflict'>
  /** Tells of changes from now on, also of this process's own. Returns a function that ends it. */
  watch(listener: (event: StoreEvent) => void): () => void
  /** Lets go of files, locks and connections. */
  close(): Promise<void>
}
