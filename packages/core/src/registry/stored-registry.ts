import type { Explanation } from '../decision/explain.js'
import type { RequestDescription } from '../decision/facts.js'
import { CanaryError } from '../errors.js'
import type { GuardMove } from '../guard/index.js'
import type { Move } from '../release/lifecycle.js'
import { Listeners } from '../release/listeners.js'
import type { Release } from '../release/release-interface.js'
import type { RestartShare } from '../release/restart.js'
import { CompiledLookup } from './live/compiled-lookup.js'
import type { Draft } from './change/draft.js'
import type { SyncReport } from './change/sync-report.js'
import type { DeclaredRecords } from './change/declared.js'
import type { EntityKind } from './entities/entities.js'
import { explainAt } from './live/explanation.js'
import { listPage } from './listing.js'
import { UnsavedMoves } from './live/unsaved-moves.js'
import type { KnownConsumer, MountScope, ReleaseLookup } from './live/release-lookup.js'
import type { MadeMove } from './records/made-move.js'
import type { ReleaseDefaults } from './records/record-release.js'
import type { ListQuery, MountableRegistry, Page, RegistryChange } from './registry.js'
import { RegistryState } from './live/registry-state.js'
import { Changes } from './changes.js'
import { FleetGuards } from './guards/fleet-guards.js'
import { OwnGuards } from './guards/own-guards.js'
import type { FleetFigures, FleetMembership, RegistryGuards } from './guards/registry-guards.js'
import { thisProcess } from './guards/this-process.js'
import { StateCache } from './link/state-cache.js'
import { within } from './link/deadline.js'
import { unread } from './link/store-errors.js'
import { StoreLink } from './link/store-link.js'
import type { StoreStatus } from './link/store-status.js'
import { type Row, isOf } from './records/rows.js'
import {
  AUDIT_LIMIT,
  type AuditEntry,
  type AuditQuery,
  type Commit,
  type Position,
  type Store,
  type StoredState,
} from './records/store.js'

/** How many audit entries are given where nobody says how many. */
const AUDIT_PAGE = 100
/** How long a state of the cache is better than none. */
const CACHED_LOAD_MS = 5_000
/** How long the guards may take to say what is left to be said. */
const GUARDS_MS = 3_000

/** What a registry is built with. */
export interface StoredRegistryOptions {
  readonly defaults: ReleaseDefaults
  /** Milliseconds for a change, from the call. */
  readonly changeTimeoutMs: number
  readonly cache: string | null
  readonly report: (error: unknown) => void
}

/** A registry on a store: one change at a time, stored before it is in force. */
export class StoredRegistry implements MountableRegistry {
  readonly #store: Store
  readonly #options: StoredRegistryOptions
  readonly #state: RegistryState
  readonly #link: StoreLink
  readonly #unsaved: UnsavedMoves
  readonly #changes: Changes
  readonly #guards: RegistryGuards
  readonly #listeners: Listeners<{ change: RegistryChange }>
  readonly #cache: StateCache | null
  #closed = false

  constructor(store: Store, options: StoredRegistryOptions) {
    const { defaults, cache, report } = options
    this.#store = store
    this.#options = options
    this.#listeners = new Listeners(report)
    this.#unsaved = new UnsavedMoves((move) => this.#saveMove(move), report)
    this.#guards = this.#guardsOf(store)
    this.#state = new RegistryState(defaults, this.#guards, (move) => this.#unsaved.add(move))
    this.#cache = cache === null ? null : new StateCache(cache, () => this.#state.snapshot(), report)
    const state = this.#state
    this.#link = new StoreLink(store, {
      get at() {
        return state.at
      },
      take: (commit, epoch) => this.#take(commit, epoch),
      replace: (stored) => this.#replace(stored),
      connected: () => this.#unsaved.retry(),
      report,
    })
    const isStored = (id: string): Promise<boolean> => this.#isStored(id)
    this.#changes = new Changes({ state, link: this.#link, defaults, timeoutMs: options.changeTimeoutMs, isStored })
  }

  /** Reads the store and watches it from then on; false where nothing was ever stored. */
  async open(): Promise<boolean> {
    const present = await this.#load()
    await this.#guards.open(this.#state.snapshot().rows.filter((row) => isOf(row, 'plugins')))
    return present
  }

  async #load(): Promise<boolean> {
    try {
      return await this.#link.open(this.#cache === null ? undefined : CACHED_LOAD_MS)
    } catch (error) {
      const known = await this.#cached()
      if (known === null) throw error
      this.#options.report(error)
      this.#link.openStale(known)
      return true
    }
  }

  async #cached(): Promise<StoredState | null> {
    try {
      return (await this.#cache?.read()) ?? null
    } catch (error) {
      this.#options.report(error)
      return null
    }
  }

  get version(): number {
    return this.#state.at.version
  }

  get storeStatus(): StoreStatus {
    return this.#link.status()
  }

  accept(stored: Position): Promise<void> {
    return this.#link.accept(stored)
  }

  get<Kind extends EntityKind>(kind: Kind, key: string): Row<Kind> | null {
    return this.#state.tables.find(kind, key)
  }

  list<Kind extends EntityKind>(kind: Kind, query: ListQuery = {}): Page<Kind> | null {
    return listPage(this.#state, kind, query)
  }

  async change<Result>(by: string, work: (draft: Draft) => Result): Promise<Result> {
    if (this.#closed) throw new CanaryError('ERR_CANARY_CLOSED', 'the registry is closed')
    return this.#changes.run(by, work)
  }

  sync(declarative: DeclaredRecords, by: string): Promise<SyncReport> {
    return this.change(by, (draft) => draft.sync(declarative))
  }

  diff(declarative: DeclaredRecords): SyncReport {
    return this.#changes.draft('diff', (draft) => draft.sync(declarative)).result
  }

  move(
    plugin: string,
    move: Move,
    reason: string | null,
    by: string,
    share?: RestartShare,
  ): Promise<Row<'plugins'> | null> {
    return this.change(by, (draft) => draft.move(plugin, move, reason, share))
  }

  finalize(plugin: string, by: string): Promise<Row<'services'> | Row<'apis'> | null> {
    return this.change(by, (draft) => draft.finalize(plugin))
  }

  mount(scope: MountScope): ReleaseLookup {
    const state = this.#state
    const { logger } = this.#options.defaults
    const { tables, consumers, live } = state
    return new CompiledLookup({ tables, consumers, live, logger, version: () => state.at.version }, scope)
  }

  findConsumer(text: string): KnownConsumer | null {
    return this.#state.consumers.find(text)
  }

  findConsumerByKey(key: string): KnownConsumer | null {
    return this.#state.consumers.byKey(key)
  }

  release(plugin: string): Release | null {
    const row = this.get('plugins', plugin)
    return row === null ? null : (this.#state.live.get(row.entity.id)?.release ?? null)
  }

  explain(plugin: string, request: RequestDescription): Explanation | null {
    const row = this.get('plugins', plugin)
    const live = row === null ? null : this.#state.live.get(row.entity.id)
    return live === null ? null : explainAt(this.#state, live, request)
  }

  async audit({ limit = AUDIT_PAGE, ...query }: Partial<AuditQuery> = {}): Promise<readonly AuditEntry[]> {
    const { changeTimeoutMs } = this.#options
    try {
      return await within(changeTimeoutMs, (deadline) => deadline.wait(this.#store.audit({ limit, ...query })))
    } catch (error) {
      throw unread(error)
    }
  }

  async members(): Promise<readonly FleetMembership[]> {
    try {
      return await within(this.#options.changeTimeoutMs, (deadline) => deadline.wait(this.#guards.members()))
    } catch (error) {
      throw unread(error)
    }
  }

  fleet(plugin: string): FleetFigures | null {
    const row = this.get('plugins', plugin)
    const live = row === null ? null : this.#state.live.get(row.entity.id)
    const report = live === null ? null : this.#guards.fleetReport(live)
    return report === null ? null : { counts: report.totals, late: report.late, members: report.members }
  }

  snapshot(): StoredState {
    return this.#state.snapshot()
  }

  on(name: 'change', listener: (change: RegistryChange) => void): () => void {
    return this.#listeners.add(name, listener)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#unsaved.close()
    await this.#ended(this.#guards.close(), GUARDS_MS)
    // A move of the guard's above all.
    await this.#changes.close()
    this.#link.close()
    this.#state.live.close()
    this.#listeners.clear()
    await this.#cache?.close()
    await this.#ended(this.#store.close(), this.#options.changeTimeoutMs)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #take(commit: Commit, epoch: string): void {
    const by = this.#changes.taken(commit)
    this.#state.apply(commit, epoch)
    this.#changed(commit.version, by)
  }

  #replace(state: StoredState): void {
    this.#state.replace(this.#changes.read(state))
    this.#changed(state.at.version, null)
    this.#changes.keepHandEdits()
  }

  #changed(version: number, by: string | null): void {
    this.#cache?.changed()
    this.#listeners.emit('change', { version, by })
  }

  /** Stores what the guard or code did with a live release, where it still stands on what is stored. */
  async #saveMove(move: MadeMove): Promise<void> {
    const taken = await this.#changes.run(move.record.by ?? 'code', (draft) => draft.releases.take(move))
    if (!taken) this.#state.live.get(move.row.entity.id)?.drop(move)
  }

  async #isStored(id: string): Promise<boolean> {
    const entries = await this.audit({ limit: AUDIT_LIMIT })
    return entries.some((entry) => entry.id === id)
  }

  /** Guards that judge together with those of other processes, if the store carries that; else this process's own. */
  #guardsOf({ shared, runs }: Store): RegistryGuards {
    const { defaults, report } = this.#options
    if (!shared) return new OwnGuards(runs ?? null, thisProcess(), defaults, report)
    const moves = {
      move: (plugin: string, move: GuardMove) =>
        this.#changes.run('guard', (draft) => draft.releases.takeInRun(plugin, move)),
      openGate: (plugin: string, gate: number, run: string) =>
        this.#changes.run('guard', (draft) => draft.releases.openGate(plugin, gate, run)),
    }
    return new FleetGuards(shared, thisProcess(), moves, report)
  }

  async #ended(work: Promise<void>, ms: number): Promise<void> {
    try {
      await within(ms, (deadline) => deadline.wait(work))
    } catch (error) {
      this.#options.report(error)
    }
  }
}
