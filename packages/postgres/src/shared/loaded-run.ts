import {
  type Checkpoint,
  type PublishedDelta,
  type RunState,
  RunRules,
  type SavedMember,
  type StoredVerdict,
  type TickCounts,
  requestsIn,
} from '@canary-release/core/guard/internal'
import { comparable } from '../encoded.js'

/** Counts that are not trimmed: of which tick and member, and of how many requests. */
type Index = [tick: number, ordinal: number, requests: number]

/** A row of `canary_tick` that is to be written. */
export interface NewCounts {
  readonly tick: number
  readonly ordinal: number
  readonly text: string
}

/** Ticks after the first, up to the second. */
export type Range = readonly [after: number, to: number]

/** The form of `canary_run.state`. */
interface Stored {
  readonly rules: RunState
  readonly open: Index[]
}

/** What is known of the counts of a run, without reading them: those of ticks that are not closed can be left out. */
class IndexedCounts implements TickCounts {
  added: NewCounts[] = []
  readonly removed: Range[] = []
  open: Index[]

  constructor(open: Index[]) {
    this.open = open
  }

  add(delta: PublishedDelta, ordinal: number): void {
    this.open.push([delta.tick, ordinal, requestsIn(delta)])
    this.added.push({ tick: delta.tick, ordinal, text: JSON.stringify(delta) })
  }

  has(after: number, to: number): boolean {
    return this.open.some(([tick]) => tick > after && tick <= to)
  }

  remove(after: number, to: number): number {
    const isLeft = (tick: number) => tick <= after || tick > to
    let requests = 0
    for (const [tick, , n] of this.open) if (!isLeft(tick)) requests += n
    this.open = this.open.filter(([tick]) => isLeft(tick))
    this.added = this.added.filter(({ tick }) => isLeft(tick))
    this.removed.push([after, to])
    return requests
  }
}

/** A run while its row is locked, and what is to be written of it. */
export class LoadedRun {
  readonly rules: RunRules
  readonly #counts: IndexedCounts
  readonly #stored: string | null
  /** The run's time as it is stored. */
  readonly #time: Pick<RunState, 'passed' | 'seen'>
  #verdict: StoredVerdict | null
  #verdictIsNew = false
  #checkpoint: Checkpoint | null = null

  /**
   * All as JSON, members as a list.
   *
   * @throws {TypeError} for what is no state of a run
   */
  constructor(state: string | null, verdict: string | null, members: string) {
    /* oxlint-disable typescript/consistent-type-assertions -- whoever may write there is trusted as a member */
    const stored = state === null ? null : (JSON.parse(state) as Stored)
    const known = JSON.parse(members) as SavedMember[]
    this.#verdict = verdict === null ? null : (JSON.parse(verdict) as StoredVerdict)
    /* oxlint-enable typescript/consistent-type-assertions */
    if (stored !== null && !(Number.isSafeInteger(stored.rules.closed) && Array.isArray(stored.open))) {
      throw new TypeError('no state of a run')
    }
    this.#stored = state
    this.#counts = new IndexedCounts(stored?.open ?? [])
    this.rules = new RunRules(this.#counts, stored === null ? null : { state: stored.rules, members: known })
    const { passed, seen } = this.rules.state
    this.#time = { passed, seen }
  }

  get verdict(): StoredVerdict | null {
    return this.#verdict
  }

  conclude(verdict: StoredVerdict): 'first' | StoredVerdict {
    if (this.#verdict !== null) return this.#verdict
    this.#verdict = verdict
    this.#verdictIsNew = true
    return 'first'
  }

  checkpoint(checkpoint: Checkpoint): boolean {
    if (!this.rules.trim(checkpoint.tick)) return false
    const identities = checkpoint.identities ?? this.#checkpoint?.identities ?? null
    this.#checkpoint = { ...checkpoint, identities }
    return true
  }

  /** What differs from what is stored; `null`: nothing, but for the time that has passed. */
  changes(): RunChanges | null {
    const { added, removed } = this.#counts
    const members = [...this.rules.changedMembers]
    const isOther = members.length + added.length + removed.length > 0 || this.#verdictIsNew
    if (!isOther && this.#text(this.#time) === this.#stored) return null
    return {
      state: this.#text({}),
      verdict: this.#verdictIsNew ? JSON.stringify(this.#verdict) : null,
      checkpoint: this.#checkpoint,
      parts: members.flatMap(([name, part]) => (part === null ? [] : [[comparable(name), JSON.stringify(part)]])),
      gone: members.flatMap(([name, part]) => (part === null ? [comparable(name)] : [])),
      added,
      removed,
    }
  }

  #text(time: Partial<RunState>): string {
    const { closed } = this.rules.state
    // Of closed ticks nothing is asked any more, but whether one was scored: that is in the state.
    const open = this.#counts.open.filter(([tick]) => tick > closed)
    return JSON.stringify({ rules: { ...this.rules.state, ...time }, open } satisfies Stored)
  }
}

export interface RunChanges {
  readonly state: string
  /** Only if it is new. */
  readonly verdict: string | null
  /** Only if it is new. */
  readonly checkpoint: Checkpoint | null
  /** Members by their names, as JSON. */
  readonly parts: readonly (readonly string[])[]
  readonly gone: readonly string[]
  readonly added: readonly NewCounts[]
  /** Of those that are stored. */
  readonly removed: readonly Range[]
}
