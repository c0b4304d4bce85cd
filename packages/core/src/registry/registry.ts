import type { Explanation } from '../decision/explain.js'
import type { RequestDescription } from '../decision/facts.js'
import { optionError } from '../option-error.js'
import type { Move } from '../release/lifecycle.js'
import type { Release } from '../release/release-interface.js'
import type { RestartShare } from '../release/restart.js'
import type { Draft, Parent } from './change/draft.js'
import type { SyncReport } from './change/sync-report.js'
import type { DeclaredRecords } from './change/declared.js'
import type { EntityKind } from './entities/entities.js'
import type { FleetFigures, FleetMembership } from './guards/registry-guards.js'
import type { KnownConsumer, MountScope, ReleaseLookup } from './live/release-lookup.js'
import type { Row } from './records/rows.js'
import type { AuditEntry, AuditQuery, Position, StoredState } from './records/store.js'
import type { StoreStatus } from './link/store-status.js'

/** Which records a list has, and how many. */
export interface ListQuery {
  /**
   * Records on a page, 1 … 1000.
   *
   * @default 100
   */
  readonly size?: number | undefined
  /**
   * `next` of the page before.
   *
   * @default the first page
   */
  readonly offset?: string | null | undefined
  /**
   * Only those that belong to this one: routes and plugins of a service, credentials of a consumer …
   *
   * @default all
   */
  readonly of?: Parent | undefined
  /**
   * Only those with all of these tags, or with any of them.
   *
   * @default all
   */
  readonly tags?: { readonly all: readonly string[] } | { readonly any: readonly string[] } | undefined
  /**
   * Only those whose fields are these, as strings: `{ name: 'orders' }`, `{ service_id: '…' }`.
   *
   * @default all
   */
  readonly where?: Readonly<Record<string, string>> | undefined
}

/** A page of a list, in the order of ids. */
export interface Page<Kind extends EntityKind> {
  /** The records of this page. */
  readonly rows: readonly Row<Kind>[]
  /** The `offset` of the next page; `null` after the last one. */
  readonly next: string | null
}

/** What the registry tells listeners after each change that is in force. */
export interface RegistryChange {
  /** The version that the change made. */
  readonly version: number
  /** Who made it; `null` where the store brought it. */
  readonly by: string | null
}

/**
 * Releases as records: services, routes, consumers, legacy apis and the canary plugins on them, kept in a store.
 *
 * What is read is always one whole version. A change is in force, here, when its promise resolves; in other processes
 * on the same store as soon as their watch brings it.
 */
export interface Registry {
  /** Grows with each change. */
  readonly version: number
  /** How the registry stands to its store. */
  readonly storeStatus: StoreStatus
  /** By id or name; `null` where there is none. */
  get<Kind extends EntityKind>(kind: Kind, key: string): Row<Kind> | null
  /**
   * One page; `null` where `of` is unknown.
   *
   * @throws {ViolationError} for a size, an offset or a filter that is none
   */
  list<Kind extends EntityKind>(kind: Kind, query?: ListQuery): Page<Kind> | null
  /**
   * One atomic change. `work` may run again, on a newer version, where another process was faster: it must have no
   * effect but on the draft. What it throws is what this rejects with; nothing has changed then.
   *
   * @param by who makes it, for the audit trail
   * @throws {ViolationError} {@link CanaryError} ERR_CANARY_CLOSED; ERR_CANARY_STORE where it could not be stored in
   * time (`changeTimeoutMs`), or the store is known to be away or rewound. Its `outcome` says whether it is certain that
   * nothing was written
   */
  change<Result>(by: string, work: (draft: Draft) => Result): Promise<Result>
  /**
   * A change that makes all records those of a file, which {@link parseDeclarative} has read. See {@link Draft.sync}.
   *
   * @returns what changed
   * @throws {ViolationError} {@link CanaryError} ERR_CANARY_STORE, ERR_CANARY_CLOSED
   */
  sync(declarative: DeclaredRecords, by: string): Promise<SyncReport>
  /**
   * What {@link sync} would change now. Nothing is changed.
   *
   * @throws {ViolationError}
   */
  diff(declarative: DeclaredRecords): SyncReport
  /** A change that is one move; `null` where there is no such plugin. See {@link Draft.move}. */
  move(
    plugin: string,
    move: Move,
    reason: string | null,
    by: string,
    share?: RestartShare | undefined,
  ): Promise<Row<'plugins'> | null>
  /** A change that finalizes one plugin; `null` where there is no such plugin. See {@link Draft.finalize}. */
  finalize(plugin: string, by: string): Promise<Row<'services'> | Row<'apis'> | null>
  /** The consumer with this id, username, custom_id or key (looked for in that order); `null` where there is none. */
  findConsumer(text: string): KnownConsumer | null
  /** The consumer with this key, and by nothing else that it is known by; `null` where there is none. */
  findConsumerByKey(key: string): KnownConsumer | null
  /** The live release of a plugin, with its status and counts; `null` where there is no such plugin. */
  release(plugin: string): Release | null
  /**
   * Explains a request at the plugin's release, as if it reached it. A consumer may be given by whatever
   * {@link findConsumer} finds. `decision.origin` is `null` where the plugin has no single location.
   */
  explain(plugin: string, request: RequestDescription): Explanation | null
  /**
   * The newest entries first, 100 where `limit` is omitted.
   *
   * @throws {CanaryError} ERR_CANARY_STORE
   */
  audit(query?: Partial<AuditQuery>): Promise<readonly AuditEntry[]>
  /**
   * The processes that have the store open, in no order, this one among them. On a store that guards do not judge on
   * together (a file, memory) it is this process alone.
   *
   * @throws {CanaryError} ERR_CANARY_STORE
   */
  members(): Promise<readonly FleetMembership[]>
  /**
   * What all processes counted of a plugin's release in the present run of its guard, as of the last seconds; `null` if
   * each process judges alone, or nothing is known yet. What this process counted, the release's `status().counts` says.
   */
  fleet(plugin: string): FleetFigures | null
  /** All that is in force now. */
  snapshot(): StoredState
  /**
   * Takes what is stored in place of what was known, where `storeStatus` says `rewound`. A person decides that, by what
   * is stored: it may be older, or empty.
   *
   * @param stored what is to be taken, as `storeStatus.rewound.stored` said it
   * @throws {CanaryError} ERR_CANARY_STATE where something else is stored by now, ERR_CANARY_STORE where nothing can be
   * read
   */
  accept(stored: Position): Promise<void>
  /**
   * Calls `listener` after each change that is in force. A listener that throws is reported and disturbs nobody else.
   *
   * @returns a function that removes the listener; calling it again does nothing
   */
  on(name: 'change', listener: (change: RegistryChange) => void): () => void
  /** Ends watching, closes releases and store. What mounts find stays as it was. */
  close(): Promise<void>
  /** {@link Registry.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** A registry as adapters use it. */
export interface MountableRegistry extends Registry {
  /**
   * What a mount asks for each of its requests.
   *
   * @throws {CanaryError} ERR_CANARY_OPTION if the scope names nothing
   */
  mount(scope: MountScope): ReleaseLookup
}

/**
 * Compiles a mount on a registry, of this copy of the package or another.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION if the scope names nothing, or the registry is not one
 */
export function mountOn(registry: Registry, scope: MountScope): ReleaseLookup {
  if (!isMountable(registry)) throw optionError('registry', 'must be what createRegistry made', registry)
  return registry.mount(scope)
}

function isMountable(registry: unknown): registry is MountableRegistry {
  return (
    typeof registry === 'object' && registry !== null && 'mount' in registry && typeof registry.mount === 'function'
  )
}
