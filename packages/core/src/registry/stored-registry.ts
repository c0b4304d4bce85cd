import { randomUUID } from 'node:crypto'
import type { Explanation } from '../decision/explain.js'
import type { RequestDescription } from '../decision/facts.js'
import { CanaryError } from '../errors.js'
import { attempt, disown, hookError, isPromise } from '../hook.js'
import { type Move, UNTOUCHED } from '../release/lifecycle.js'
import { Listeners } from '../release/listeners.js'
import type { Release } from '../release/release-interface.js'
import type { RestartShare } from '../release/restart.js'
import { auditEntry } from './records/audit.js'
import { CompiledLookup } from './live/compiled-lookup.js'
import type { Draft } from './change/draft.js'
import { DraftedChange } from './change/drafted-change.js'
import { HandEdits } from './change/hand-edits.js'
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
import { SerialQueue } from './serial-queue.js'
import { Deadline } from './link/deadline.js'
import { StateCache } from './link/state-cache.js'
import { notWritten, outcomeOf, unread } from './link/store-errors.js'
import { StoreLink } from './link/store-link.js'
import type { StoreStatus } from './link/store-status.js'
import { UnknownOutcomes } from './link/unknown-outcomes.js'
import type { Row, RowChange, StoredRecord } from './records/rows.js'
import {
  AUDIT_LIMIT,
  type AuditEntry,
  type AuditQuery,
  type Commit,
  type Position,
  type Proposal,
  type Store,
  type StoredState,
} from './records/store.js'

/** How many audit entries are given where nobody says how many. */
const AUDIT_PAGE = 100
/** How long a state of the cache is better than none. */
const CACHED_LOAD_MS = 5_000
const MAX_PAUSE_MS = 100

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
  readonly #unknown: UnknownOutcomes
  readonly #handEdits = new HandEdits()
  readonly #queue = new SerialQueue()
  readonly #listeners: Listeners<{ change: RegistryChange }>
  readonly #cache: StateCache | null
  /** Who makes the changes that are on their way. */
  readonly #makers = new Map<string, string>()
  #closed = false

  constructor(store: Store, options: StoredRegistryOptions) {
    const { defaults, cache, report } = options
    this.#store = store
    this.#options = options
    this.#listeners = new Listeners(report)
    this.#unsaved = new UnsavedMoves((move) => this.#saveMove(move), report)
    this.#unknown = new UnknownOutcomes(
      (id) => this.#isStored(id),
      (message) => attempt(() => defaults.logger.warn(`canary registry: ${message}`)),
    )
    this.#state = new RegistryState(defaults, (move) => this.#unsaved.add(move))
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
  }

  /** Reads the store and watches it from then on; false where nothing was ever stored. */
  async open(): Promise<boolean> {
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
    return this.#change(by, work)
  }

  sync(declarative: DeclaredRecords, by: string): Promise<SyncReport> {
    return this.change(by, (draft) => draft.sync(declarative))
  }

  diff(declarative: DeclaredRecords): SyncReport {
    return this.#draft('diff', (draft) => draft.sync(declarative)).result
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
    return this.#within((deadline) => deadline.wait(this.#store.audit({ limit, ...query }))).catch((error: unknown) => {
      throw unread(error)
    })
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
    this.#unknown.close()
    // What was asked for before is done, a move of the guard's above all; each of these has its deadline.
    await this.#queue.idle()
    this.#link.close()
    this.#state.live.close()
    this.#listeners.clear()
    await this.#cache?.close()
    try {
      await this.#within((deadline) => deadline.wait(this.#store.close()))
    } catch (error) {
      this.#options.report(error)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #change<Result>(by: string, work: (draft: DraftedChange) => Result): Promise<Result> {
    return this.#within((deadline) => this.#queue.run(() => this.#attempts(by, work, deadline)))
  }

  /** Each attempt is made on what the one before found stored. */
  async #attempts<Result>(by: string, work: (draft: DraftedChange) => Result, deadline: Deadline): Promise<Result> {
    for (let attempt = 0; ; attempt += 1) {
      this.#link.refuse()
      if (deadline.isOver) throw notWritten(`others changed the same all the time, for ${deadline.ms / 1000} s`)
      const { draft, result, proposal } = this.#draft(by, work)
      if (proposal === null) return result
      /* oxlint-disable no-await-in-loop -- one attempt after another */
      const at = await this.#save(proposal, deadline)
      if (at !== null) {
        draft.stored(at.version)
        return result
      }
      await deadline.pause(Math.random() * Math.min(MAX_PAUSE_MS, 2 ** attempt))
      /* oxlint-enable no-await-in-loop */
    }
  }

  async #save(proposal: Proposal, deadline: Deadline): Promise<Position | null> {
    const { id, audit } = proposal
    this.#makers.set(id, audit.by)
    try {
      return await this.#link.save(proposal, deadline)
    } catch (error) {
      if (outcomeOf(error) === 'unknown') this.#unknown.add(id, `${audit.what}, by ${audit.by}`)
      throw error
    } finally {
      this.#makers.delete(id)
    }
  }

  /** Works on a draft: nothing is in force yet. */
  #draft<Result>(by: string, work: (draft: DraftedChange) => Result) {
    const { clock } = this.#options.defaults
    const { tables, at } = this.#state
    const id = randomUUID()
    const draft = new DraftedChange(tables, { id, by, version: at.version + 1, clock, recordOf: this.#recordOf })
    for (const row of this.#handEdits.pending) draft.keep(row)
    const result = work(draft)
    if (isPromise(result)) {
      disown(result)
      throw hookError('the work of a registry change must be done when it returns')
    }
    const { changes, reads, writes, what } = draft.result()
    if (changes.length === 0) return { draft, result, proposal: null }
    const before = (change: RowChange) => tables.get(change.kind, change.id)
    const audit = auditEntry({ id, by, at: clock() / 1000 }, what, changes, before)
    return { draft, result, proposal: { id, base: at, reads, writes, changes, audit } }
  }

  #take(commit: Commit, epoch: string): void {
    const { id, version, changes } = commit
    this.#handEdits.stored(changes)
    this.#state.apply(commit, epoch)
    this.#changed(version, this.#makers.get(id) ?? null)
    this.#unknown.made(id)
  }

  #replace(state: StoredState): void {
    const nowMs = this.#options.defaults.clock()
    this.#state.replace(this.#handEdits.read(state, this.#state.tables, this.#recordOf, nowMs))
    this.#changed(state.at.version, null)
    // Who may only read cannot store it, and who writes will.
    if (this.#handEdits.pending.length > 0) disown(this.#change('hand edit', () => null))
  }

  #changed(version: number, by: string | null): void {
    this.#cache?.changed()
    this.#listeners.emit('change', { version, by })
  }

  /** What a change of a plugin's release is made on. */
  readonly #recordOf = (row: Row<'plugins'>): StoredRecord =>
    this.#state.live.get(row.entity.id)?.record(row) ?? row.release ?? UNTOUCHED

  /** Stores what the guard or code did with a live release, where it still stands on what is stored. */
  async #saveMove(move: MadeMove): Promise<void> {
    const taken = await this.#change(move.record.by ?? 'code', (draft) => draft.takeMove(move))
    if (!taken) this.#state.live.get(move.row.entity.id)?.drop(move)
  }

  async #isStored(id: string): Promise<boolean> {
    const entries = await this.audit({ limit: AUDIT_LIMIT })
    return entries.some((entry) => entry.id === id)
  }

  async #within<Result>(work: (deadline: Deadline) => Promise<Result>): Promise<Result> {
    const deadline = new Deadline(this.#options.changeTimeoutMs)
    try {
      return await work(deadline)
    } finally {
      deadline.end()
    }
  }
}
