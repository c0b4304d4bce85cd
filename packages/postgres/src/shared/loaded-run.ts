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
  /** As they are stored, by name. */
  readonly #parts: ReadonlyMap<string, string>
  readonly #known: string | null
  #verdict: StoredVerdict | null
  /** Whether there is something new apart from its members and counts. */
  #verdictIsNew = false
  #checkpoint: Checkpoint | null = null

  constructor(state: string | null, verdict: string | null, parts: ReadonlyMap<string, string>) {
    /* oxlint-disable typescript/consistent-type-assertions -- whoever may write there is trusted as a member */
    const stored = state === null ? null : (JSON.parse(state) as Stored)
    const members = [...parts.values()].map((part) => JSON.parse(part) as SavedMember)
    if (stored !== null && !Number.isSafeInteger(stored.rules.closed)) throw new TypeError('no state of a run')
    this.#verdict = verdict === null ? null : (JSON.parse(verdict) as StoredVerdict)
    /* oxlint-enable typescript/consistent-type-assertions */
    this.#counts = new IndexedCounts(stored?.open ?? [])
    this.rules = new RunRules(this.#counts, stored === null ? null : { state: stored.rules, members })
    this.#parts = parts
    this.#known = stored === null ? null : this.#essence()
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
    const parts = new Map(this.rules.saveMembers().map((part) => [comparable(part.name), JSON.stringify(part)]))
    const changed = [...parts].filter(([name, text]) => this.#parts.get(name) !== text)
    const gone = [...this.#parts.keys()].filter((name) => !parts.has(name))
    const isOther = this.#verdictIsNew || this.#essence() !== this.#known
    if (!isOther && changed.length + gone.length + added.length + removed.length === 0) return null
    const { closed, trimmed } = this.rules.state
    // Of closed ticks nothing is asked any more, but whether one was scored: that is in the state.
    const open = this.#counts.open.filter(([tick]) => tick > Math.max(closed, trimmed))
    return {
      state: JSON.stringify({ rules: this.rules.state, open } satisfies Stored),
      verdict: this.#verdictIsNew ? JSON.stringify(this.#verdict) : null,
      checkpoint: this.#checkpoint,
      parts: changed,
      gone,
      added,
      removed,
    }
  }

  /** All that changes by more than time. */
  #essence(): string {
    return JSON.stringify({ ...this.rules.state, passed: 0, seen: null })
  }
}

export interface RunChanges {
  readonly state: string
  /** Only if it is new. */
  readonly verdict: string | null
  /** Only if it is new. */
  readonly checkpoint: Checkpoint | null
  /** Members by their names, as JSON. */
  readonly parts: readonly (readonly [name: string, part: string])[]
  readonly gone: readonly string[]
  readonly added: readonly NewCounts[]
  /** Of those that are stored. */
  readonly removed: readonly Range[]
}
