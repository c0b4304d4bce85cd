import { type PublishedDelta, requestsIn } from './published-delta.js'
import { RunRules, type TickCounts } from './run-rules.js'
import type {
  ArmTotals,
  Checkpoint,
  ClosedTick,
  LogEntry,
  OrdinalDelta,
  Published,
  RunPage,
  StoredVerdict,
} from './shared.js'

/** What all members have counted of a run, tick by tick, in memory: {@link RunRules} with the counts they are about. */
export class RunLog {
  readonly #counts = new CountsInMemory()
  readonly #rules = new RunRules(this.#counts)
  #checkpoint: Checkpoint | null = null
  #verdict: StoredVerdict | null = null

  get totals(): ArmTotals {
    return this.#rules.state.totals
  }

  get late(): number {
    return this.#rules.state.late
  }

  /** The members that take part. */
  get members(): readonly string[] {
    return this.#rules.members
  }

  /** Takes a delta that was checked by itself. */
  publish(delta: PublishedDelta, time: number): Published {
    return this.#rules.publish(delta, time)
  }

  /** Takes no part of a delta that is not valid, nor of the member's next ones before it enters again. */
  refuse(name: string, reason: string, time: number): Published {
    return this.#rules.refuse(name, reason, time)
  }

  /** Closes what is whole, and gives what is closed after a tick. */
  close(after: number, time: number): RunPage {
    this.#rules.close(time)
    const { closed, trimmed } = this.#rules.state
    const ticks = this.#counts.between(Math.max(after, trimmed), closed)
    return pageOf(this.#rules, after, ticks, this.#checkpoint, this.#verdict)
  }

  conclude(verdict: StoredVerdict): 'first' | StoredVerdict {
    if (this.#verdict !== null) return this.#verdict
    this.#verdict = verdict
    return 'first'
  }

  checkpoint(checkpoint: Checkpoint): boolean {
    if (!this.#rules.trim(checkpoint.tick)) return false
    const identities = checkpoint.identities ?? this.#checkpoint?.identities ?? null
    this.#checkpoint = { ...checkpoint, identities }
    return true
  }
}

/** What is closed of a run after a tick, from the counts of the ticks since then that are closed and not trimmed. */
export function pageOf(
  { state }: RunRules,
  after: number,
  ticks: readonly ClosedTick[],
  checkpoint: Checkpoint | null,
  verdict: StoredVerdict | null,
): RunPage {
  const from = Math.max(after, state.trimmed)
  const entries: LogEntry[] = [...ticks, ...state.stages.filter(({ tick }) => tick > from)]
  return {
    closed: state.closed,
    // A stage begins before the counts of its first tick.
    entries: entries.sort((a, b) => a.tick - b.tick || (a.kind === 'stage' ? -1 : 1)),
    checkpoint: after < state.trimmed ? checkpoint : null,
    verdict,
    requests: state.requests,
    unscored: state.unscored,
  }
}

class CountsInMemory implements TickCounts {
  readonly #deltas = new Map<number, OrdinalDelta[]>()

  add(delta: PublishedDelta, ordinal: number): void {
    const known = this.#deltas.get(delta.tick)
    if (known === undefined) this.#deltas.set(delta.tick, [{ ordinal, delta }])
    else known.push({ ordinal, delta })
  }

  has(after: number, to: number): boolean {
    return [...this.#deltas.keys()].some((tick) => tick > after && tick <= to)
  }

  remove(after: number, to: number): number {
    let requests = 0
    for (const [tick, deltas] of this.#deltas) {
      if (tick <= after || tick > to) continue
      for (const { delta } of deltas) requests += requestsIn(delta)
      this.#deltas.delete(tick)
    }
    return requests
  }

  between(after: number, to: number): ClosedTick[] {
    return [...this.#deltas]
      .filter(([tick]) => tick > after && tick <= to)
      .map(([tick, deltas]) => ({ kind: 'tick', tick, deltas: deltas.toSorted((a, b) => a.ordinal - b.ordinal) }))
  }
}
