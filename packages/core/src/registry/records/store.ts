import type { Shared } from '../../guard/index.js'
import type { EntityKind } from '../entities/entities.js'
import type { Row, RowChange } from './rows.js'

/** A point in a store's history. */
export interface Position {
  /** Names the history: an emptied or newly made store begins another one. `''`: no store was ever read. */
  readonly epoch: string
  /** 0 before the first commit. */
  readonly version: number
  /** Of the commit that made the version; `''` at version 0. */
  readonly id: string
}

/** Where a registry stands that knows of no store's history yet. */
export const NOWHERE: Position = { epoch: '', version: 0, id: '' }

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
  /** Of the commit: what an error with `outcome: 'unknown'` names. */
  readonly id: string
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

/** Which audit entries are asked for. */
export interface AuditQuery {
  /** How many at most: 1 … 1000. */
  readonly limit: number
  /**
   * Only those of versions below this one: the `version` of the last entry of the page before.
   *
   * @default the newest
   */
  readonly before?: number | undefined
  /**
   * Only those that changed the plugin with this id.
   *
   * @default of all plugins
   */
  readonly plugin?: string | undefined
  /**
   * Only those by this one.
   *
   * @default by anybody
   */
  readonly by?: string | undefined
}

/**
 * A change that a store is asked to commit. Plain JSON.
 *
 * The keys of `reads` and `writes`: `plugins/<id>` of a row; `unique:services/name=…` of a name, also one that nobody
 * has; `children:services/<id>` of what refers to a row; `scope:…` of what a plugin is on; `*` of all.
 */
export interface Proposal {
  /** A UUID by the caller: a retry after an unknown outcome finds itself and is not made twice. */
  readonly id: string
  /** What it was made on. */
  readonly base: Position
  /** What it depends on: it is refused where a commit after `base` wrote one of these. */
  readonly reads: readonly string[]
  /** What it changes. Every commit writes `*`, unsaid. */
  readonly writes: readonly string[]
  /** Each row that it writes or takes away. */
  readonly changes: readonly RowChange[]
  /** Its entry in the audit trail. */
  readonly audit: Omit<AuditEntry, 'version'>
}

/** A change as it was committed. Plain JSON: what a store logs and publishes. */
export interface Commit {
  /** The proposal's. */
  readonly id: string
  /** Of the commit before it; `''` for the first. */
  readonly prev: string
  /** The version that it made. */
  readonly version: number
  /** What it changed, as the proposal said. */
  readonly writes: readonly string[]
  /** Each row that it writes or takes away. */
  readonly changes: readonly RowChange[]
  /** Its entry in the audit trail. */
  readonly audit: AuditEntry
}

/** What became of a proposal. */
export type SaveResult =
  /** `missed`: what others committed between `base` and this, oldest first. */
  | { readonly kind: 'saved'; readonly at: Position; readonly missed: readonly Commit[] }
  /** Nothing was written. `missed`: all after `base`, oldest first; `null` where the store does not know: load anew. */
  | { readonly kind: 'conflict'; readonly missed: readonly Commit[] | null }
  /** Nothing was written: `base` is not in the stored history. */
  | { readonly kind: 'rewound'; readonly stored: Position }

/** All rows of one instant. */
export interface StoredState {
  /** Which instant. */
  readonly at: Position
  /** All rows. */
  readonly rows: readonly Row[]
}

/** What a watcher is told. */
export type StoreEvent =
  /** The change, by this process or another, that follows on where the watcher stands. */
  | { readonly kind: 'commit'; readonly commit: Commit }
  /** Something was missed, or a file was edited: all anew. */
  | { readonly kind: 'state'; readonly state: StoredState }
  | { readonly kind: 'connected' }
  /** `since`: milliseconds since the epoch. Until `connected`, no change is tried. */
  | { readonly kind: 'disconnected'; readonly since: number }
  /** Where the watcher stands is not in the stored history: the store was emptied, put back or failed over with losses. */
  | { readonly kind: 'rewound'; readonly known: Position; readonly stored: Position }
  /** What is stored now cannot be taken. The last good state stays in force. */
  | { readonly kind: 'error'; readonly error: unknown }

/** Where a store keeps the runs of a process's guards, so that they outlive it. They are nobody's records. */
export interface SavedRuns {
  /**
   * The run of a plugin as it was saved last; `null`: none was. From then on it counts as unfinished, until it is saved
   * again.
   *
   * @throws {CanaryError} ERR_CANARY_STORE
   */
  take(plugin: string): Promise<string | null>
  /**
   * Keeps the run in place of the one before.
   *
   * @throws {CanaryError} ERR_CANARY_STORE
   */
  save(plugin: string, text: string): Promise<void>
  /**
   * Forgets the run of a plugin that is deleted.
   *
   * @throws {CanaryError} ERR_CANARY_STORE
   */
  remove(plugin: string): Promise<void>
}

/** Where a registry is kept. Several processes may share one: it puts their changes in one order. */
export interface Store {
  /**
   * What is stored; `null` where nothing ever was.
   *
   * @param signal ends waiting for it
   * @throws {CanaryError} ERR_CANARY_STORE where it cannot be read or is damaged: never an empty state instead
   */
  load(signal?: AbortSignal): Promise<StoredState | null>
  /**
   * Commits a change whole or not at all: if and only if no commit after `base` wrote a key that it reads. The store
   * assigns the version. What it resolves to survives a crash, as far as the store promises that. A `base` with the
   * epoch `''` is taken only while nothing was ever stored; else it is a conflict with `missed: null`.
   *
   * @throws {CanaryError} ERR_CANARY_STORE with `outcome`: `not-written`, or `unknown` where it may have been committed
   */
  save(proposal: Proposal, signal?: AbortSignal): Promise<SaveResult>
  /**
   * Tells of everything after `from`, in order and without gap, then of each change as it comes. After `rewound` it says
   * nothing of the other history: watch anew from where you are then.
   *
   * @param from `null`: from the store's beginning
   * @returns a function that ends it
   */
  watch(from: Position | null, listener: (event: StoreEvent) => void): () => void
  /** The newest first. */
  audit(query: AuditQuery): Promise<readonly AuditEntry[]>
  /** What the guards of the processes on this store share, so that they judge together; `null`: each judges alone. */
  readonly shared: Shared | null
  /** Where the guards' runs are kept, if `shared` is `null`. @default nowhere: evidence begins anew with the process */
  readonly runs?: SavedRuns | null | undefined
  /** Lets go of files, locks and connections, and ends watching. */
  close(): Promise<void>
}
