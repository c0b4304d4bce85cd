import type { Explanation } from '../decision/explain.js'
import type { RequestDescription } from '../decision/facts.js'
import { CanaryError } from '../errors.js'
import { disown, hookError, isPromise } from '../hook.js'
import { type Move, UNTOUCHED } from '../release/lifecycle.js'
import { Listeners } from '../release/listeners.js'
import type { Release } from '../release/release.js'
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
import type { ListQuery, Page, Registry, RegistryChange } from './registry.js'
import { RegistryState } from './live/registry-state.js'
import { SerialQueue } from './serial-queue.js'
import type { AuditEntry, Commit, Row, Store, StoreEvent, StoredRecord, StoredState } from './records/store.js'

/** How often a change is made anew because another process was faster. */
const ATTEMPTS = 20

/** A registry on a store: one change at a time, stored before it is in force. */
export class StoredRegistry implements Registry {
  readonly #store: Store
  readonly #defaults: ReleaseDefaults
  readonly #state: RegistryState
  readonly #unsaved: UnsavedMoves
  readonly #handEdits = new HandEdits()
  readonly #queue = new SerialQueue()
  readonly #listeners: Listeners<{ change: RegistryChange }>
  readonly #report: (error: unknown) => void
  #unwatch: () => void = () => undefined
  #closed = false
  #reachable = true

  constructor(store: Store, defaults: ReleaseDefaults, report: (error: unknown) => void) {
    this.#store = store
    this.#defaults = defaults
    this.#report = report
    this.#listeners = new Listeners(report)
    this.#unsaved = new UnsavedMoves((move) => this.#saveMove(move), report)
    this.#state = new RegistryState(defaults, (move) => this.#unsaved.add(move))
  }

  /** Reads the store and watches it from then on; false where nothing was ever stored. */
  async open(): Promise<boolean> {
    // Watching begins first: what changes while the state is read is read again.
    this.#unwatch = this.#store.watch((event) => void this.#queue.run(() => this.#heard(event)))
    return this.#queue.run(() => this.#load())
  }

  get version(): number {
    return this.#state.version
  }

  get storeReachable(): boolean {
    return this.#reachable
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
    const { logger } = this.#defaults
    const { tables, consumers, live } = state
    return new CompiledLookup({ tables, consumers, live, logger, version: () => state.version }, scope)
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

  audit({ limit }: { readonly limit?: number | undefined } = {}): readonly AuditEntry[] {
    return this.#state.audit.toReversed().slice(0, limit)
  }

  snapshot(): StoredState {
    return this.#state.snapshot()
  }

  on(name: 'change', listener: (change: RegistryChange) => void): () => void {
    this.#listeners.add(name, listener)
    return () => this.#listeners.remove(name, listener)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#unwatch()
    this.#unsaved.close()
    // What was asked for before is done: a move of the guard's above all.
    await this.#queue.idle()
    this.#state.live.close()
    this.#listeners.clear()
    await this.#store.close()
  }

  #change<Result>(by: string, work: (draft: DraftedChange) => Result): Promise<Result> {
    return this.#queue.run(async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const { result, commit } = this.#draft(by, work)
        if (commit === null) return result
        // One after another: each attempt is made on what the one before found stored.
        if ((await this.#save(commit)) === 'saved') {
          this.#take(commit, by)
          return result
        }
        await this.#load()
      }
      throw new CanaryError('ERR_CANARY_STORE', `the registry was changed by others ${ATTEMPTS} times in a row`)
    })
  }

  /** Works on a draft: nothing is in force yet. */
  #draft<Result>(by: string, work: (draft: DraftedChange) => Result) {
    const { clock } = this.#defaults
    const { tables, version } = this.#state
    const next = version + 1
    const draft = new DraftedChange(tables, { by, version: next, clock, recordOf: this.#recordOf })
    for (const row of this.#handEdits.pending) draft.keep(row)
    const result = work(draft)
    if (isPromise(result)) {
      disown(result)
      throw hookError('the work of a registry change must be done when it returns')
    }
    const { changes, what } = draft.result()
    if (changes.length === 0) return { result, commit: null }
    const audit = auditEntry({ version: next, by, at: clock() / 1000 }, what, changes, ({ kind, id }) =>
      tables.get(kind, id),
    )
    return { result, commit: { version: next, changes, audit } }
  }

  async #save(commit: Commit): Promise<'saved' | 'conflict'> {
    try {
      const result = await this.#store.save(commit, this.#state.version)
      this.#reachable = true
      return result
    } catch (error) {
      this.#reachable = false
      throw storeError(error, 'written')
    }
  }

  async #load(): Promise<boolean> {
    let state: StoredState | null
    try {
      state = await this.#store.load()
      this.#reachable = true
    } catch (error) {
      this.#reachable = false
      throw storeError(error, 'read')
    }
    if (state !== null && state.version !== this.version) this.#replace(state)
    return state !== null
  }

  async #heard(event: StoreEvent): Promise<void> {
    if (this.#closed) return
    this.#reachable = event.kind !== 'error'
    try {
      if (event.kind === 'error') throw event.error
      if (event.kind === 'state') {
        if (event.state.version > this.version) this.#replace(event.state)
      } else if (event.commit.version === this.version + 1) this.#take(event.commit, null)
      // A gap: something was missed. A version that is known: this process's own change.
      else if (event.commit.version > this.version) await this.#load()
    } catch (error) {
      this.#report(error)
    }
  }

  #take(commit: Commit, by: string | null): void {
    this.#handEdits.stored(commit.changes)
    this.#state.apply(commit)
    this.#listeners.emit('change', { version: commit.version, by })
  }

  #replace(state: StoredState): void {
    const nowMs = this.#defaults.clock()
    this.#state.replace(this.#handEdits.read(state, this.#state.tables, this.#recordOf, nowMs))
    this.#listeners.emit('change', { version: state.version, by: null })
    // Who may only read cannot store it, and who writes will.
    if (this.#handEdits.pending.length > 0) this.#change('hand edit', () => null).catch(() => undefined)
  }

  /** What a change of a plugin's release is made on. */
  readonly #recordOf = (row: Row<'plugins'>): StoredRecord =>
    this.#state.live.get(row.entity.id)?.record(row) ?? row.release ?? UNTOUCHED

  /** Stores what the guard or code did with a live release, where it still stands on what is stored. */
  async #saveMove(move: MadeMove): Promise<void> {
    const taken = await this.#change(move.record.by ?? 'code', (draft) => draft.takeMove(move))
    if (!taken) this.#state.live.get(move.row.entity.id)?.drop(move)
  }
}

function storeError(error: unknown, verb: 'read' | 'written'): CanaryError {
  if (error instanceof CanaryError) return error
  return new CanaryError('ERR_CANARY_STORE', `the registry's store could not be ${verb}`, { cause: error })
}
