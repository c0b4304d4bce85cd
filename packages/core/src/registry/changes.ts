import { randomUUID } from 'node:crypto'
import { attempt, disown, hookError, isPromise } from '../hook.js'
import { UNTOUCHED } from '../release/lifecycle.js'
import { DraftedChange } from './change/drafted-change.js'
import { HandEdits } from './change/hand-edits.js'
import { type Deadline, within } from './link/deadline.js'
import { notWritten, outcomeOf } from './link/store-errors.js'
import type { StoreLink } from './link/store-link.js'
import { UnknownOutcomes } from './link/unknown-outcomes.js'
import type { RegistryState } from './live/registry-state.js'
import { auditEntry } from './records/audit.js'
import type { ReleaseDefaults } from './records/record-release.js'
import type { Row, RowChange, StoredRecord } from './records/rows.js'
import type { Commit, Position, Proposal, StoredState } from './records/store.js'
import { SerialQueue } from './serial-queue.js'

const MAX_PAUSE_MS = 100

/** What changes are made on. */
export interface Changed {
  readonly state: RegistryState
  readonly link: StoreLink
  readonly defaults: ReleaseDefaults
  /** Milliseconds for a change, from the call. */
  readonly timeoutMs: number
  /** Whether a commit is in the store. */
  readonly isStored: (id: string) => Promise<boolean>
}

/** A registry's changes: one at a time, each drafted on what is in force and stored before it is in force itself. */
export class Changes {
  readonly #on: Changed
  readonly #unknown: UnknownOutcomes
  readonly #handEdits = new HandEdits()
  readonly #queue = new SerialQueue()
  /** Who makes the changes that are on their way. */
  readonly #makers = new Map<string, string>()

  constructor(on: Changed) {
    this.#on = on
    this.#unknown = new UnknownOutcomes(
      (id) => on.isStored(id),
      (message) => attempt(() => on.defaults.logger.warn(`canary registry: ${message}`)),
    )
  }

  async run<Result>(by: string, work: (draft: DraftedChange) => Result): Promise<Result> {
    return within(this.#on.timeoutMs, (deadline) => this.#queue.run(() => this.#attempts(by, work, deadline)))
  }

  /** Works on a draft: nothing is in force yet. */
  draft<Result>(by: string, work: (draft: DraftedChange) => Result) {
    const { clock } = this.#on.defaults
    const { tables, at } = this.#on.state
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

  /** Who made a commit that has come into force; `null`: another process. */
  taken({ id, changes }: Commit): string | null {
    this.#handEdits.stored(changes)
    this.#unknown.made(id)
    return this.#makers.get(id) ?? null
  }

  /** What is to be in force of a state that the store brought. */
  read(stored: StoredState): StoredState {
    const { state, defaults } = this.#on
    return this.#handEdits.read(stored, state.tables, this.#recordOf, defaults.clock())
  }

  /** Stores what became of rows that were edited by hand. Who may only read cannot, and who writes will. */
  keepHandEdits(): void {
    if (this.#handEdits.pending.length > 0) disown(this.run('hand edit', () => null))
  }

  /** Resolves when all that was asked for so far is done: each of these has its deadline. */
  async close(): Promise<void> {
    this.#unknown.close()
    await this.#queue.idle()
  }

  /** Each attempt is made on what the one before found stored. */
  async #attempts<Result>(by: string, work: (draft: DraftedChange) => Result, deadline: Deadline): Promise<Result> {
    for (let attempts = 0; ; attempts += 1) {
      this.#on.link.refuse()
      if (deadline.isOver) throw notWritten(`others changed the same all the time, for ${deadline.ms / 1000} s`)
      const { draft, result, proposal } = this.draft(by, work)
      if (proposal === null) return result
      /* oxlint-disable no-await-in-loop -- one attempt after another */
      const at = await this.#save(proposal, deadline)
      if (at !== null) {
        draft.stored(at.version)
        return result
      }
      await deadline.pause(Math.random() * Math.min(MAX_PAUSE_MS, 2 ** attempts))
      /* oxlint-enable no-await-in-loop */
    }
  }

  async #save(proposal: Proposal, deadline: Deadline): Promise<Position | null> {
    const { id, audit } = proposal
    this.#makers.set(id, audit.by)
    try {
      return await this.#on.link.save(proposal, deadline)
    } catch (error) {
      if (outcomeOf(error) === 'unknown') this.#unknown.add(id, `${audit.what}, by ${audit.by}`)
      throw error
    } finally {
      this.#makers.delete(id)
    }
  }

  /** What a change of a plugin's release is made on. */
  readonly #recordOf = (row: Row<'plugins'>): StoredRecord =>
    this.#on.state.live.get(row.entity.id)?.record(row) ?? row.release ?? UNTOUCHED
}
