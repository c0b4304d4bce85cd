import type { Collector } from '../collector.js'
import type { Delta } from '../delta.js'
import { type PublishedDelta, type Sender, emptyDelta, toPublished } from './published-delta.js'
import type { Published } from './shared.js'

/** Ticks that are kept while the store is away: many releases with many counts must fit in memory. */
const MOST_KEPT = 120
/** Deltas that are sent at once. */
const MOST_SENT = 100
/** Ticks that a member whose clock is behind enters ahead of what is closed: that goes on while it enters. */
const AHEAD = 5
/** Ticks after which a member that was refused tries again. */
const REFUSED_TICKS = 60

/**
 * One process's part in a run: it enters, publishes tick by tick what it counted, and enters again after it was left
 * behind.
 *
 * Its counts begin with the first whole tick after its entry was confirmed, and with requests that were decided since:
 * whether they are waited for then does not depend on them.
 */
export class Participation {
  readonly #collector: Collector
  readonly #tickMs: number
  readonly #sender: Sender
  /** Requests of another epoch do not count any more. */
  #epoch: number
  #tick: number
  /** The tick by the clock when the present one began. */
  #clockTick: number
  #phase: 'out' | 'in' | 'over' = 'out'
  /** Its counts begin with the next tick. */
  #fresh = false
  #waiting = false
  #refused = false
  #expired = false
  #retryAt = -Infinity
  #queue: PublishedDelta[] = []
  #left = new Set<number>()
  #ordinal = 0
  #closed = -1

  /** @param epoch of the collector's requests: higher than that of the run before */
  constructor(collector: Collector, sender: Sender, tickMs: number, now: number, epoch: number) {
    this.#collector = collector
    this.#sender = sender
    this.#tickMs = tickMs
    this.#epoch = epoch
    this.#tick = this.#clockTick = Math.floor(now / tickMs)
    this.#anew()
  }

  get run(): string {
    return this.#sender.run
  }

  get epoch(): number {
    return this.#epoch
  }

  /** The member's number in the run; 0 before it has entered for the first time. */
  get ordinal(): number {
    return this.#ordinal
  }

  /** Whether it counts, or waits for its options to be those of the run. */
  get isIn(): boolean {
    return this.#phase === 'in'
  }

  /** Whether the run is judged by other options at present. */
  get isWaiting(): boolean {
    return this.#waiting
  }

  /** Why it counts nothing, if it does not; `null` also while it enters. */
  get trouble(): 'refused' | 'expired' | null {
    if (this.#phase !== 'out') return null
    return this.#refused ? 'refused' : this.#expired ? 'expired' : null
  }

  /** The last tick that is closed, as far as it was told. */
  get closed(): number {
    return this.#closed
  }

  /** The tick that is counted now. */
  get tick(): number {
    return this.#tick
  }

  /** Ends the open tick, if its time is over: then gives what was counted in it. */
  count(now: number): Delta | null {
    const clockTick = Math.floor(now / this.#tickMs)
    if (clockTick <= this.#clockTick) return null
    this.#clockTick = clockTick
    const next = Math.max(this.#tick + 1, clockTick)
    const delta = this.#collector.take(this.#epoch, next)
    this.#tick = next
    if (this.#phase === 'in') this.#enqueue(delta, next - 1)
    return delta
  }

  /** What is to be published. */
  prepare(): PublishedDelta[] {
    const deltas = this.#queue.slice(0, MOST_SENT)
    if (this.#phase !== 'out' || this.#tick < this.#retryAt || deltas.length < this.#queue.length) return deltas
    if (this.#closed >= this.#tick) {
      this.#tick = this.#closed + AHEAD
      this.#anew()
    }
    return [...deltas, { ...emptyDelta(this.#sender, this.#tick - 1), enters: true }]
  }

  /** Takes the answer to one of them; says what people should read. */
  answered(delta: PublishedDelta, { kind, ordinal, closed, reason }: Published): string | null {
    this.#queue = this.#queue.filter((each) => each !== delta)
    if (ordinal > 0) this.#ordinal = ordinal
    this.#closed = Math.max(this.#closed, closed)
    switch (kind) {
      case 'taken':
      case 'known':
      case 'waiting':
        return this.#heard(delta, kind)
      case 'late':
        this.#phase = 'out'
        this.#expired = true
        return null
      case 'refused':
        this.#phase = 'out'
        this.#refused = true
        this.#retryAt = this.#tick + REFUSED_TICKS
        return `what this process counted was refused: ${reason ?? 'no reason given'}`
      case 'stale-run':
        this.#phase = 'over'
        this.#queue = []
        return null
    }
  }

  /** Ends the open tick, and its part in the run. */
  leave(): void {
    if (this.#phase === 'over') return
    const delta = this.#collector.take(this.#epoch, this.#tick + 1)
    if (this.#phase === 'in') this.#queue.push({ ...this.#counts(delta, this.#tick), leaves: true })
    this.#tick += 1
    this.#phase = 'over'
  }

  #heard(delta: PublishedDelta, kind: 'taken' | 'known' | 'waiting'): string | null {
    if (delta.enters === true) {
      this.#phase = 'in'
      this.#fresh = true
      this.#refused = this.#expired = false
    }
    if (kind === 'known') return null
    const waited = this.#waiting
    this.#waiting = kind === 'waiting'
    if (waited && !this.#waiting) this.#fresh = true
    if (!waited && this.#waiting) {
      return 'this process’s guard has other options than those that the run is judged by: it counts nothing before no process with those is left'
    }
    return null
  }

  #enqueue(delta: Delta, through: number): void {
    this.#queue.push(this.#counts(delta, through))
    if (this.#queue.length <= MOST_KEPT) return
    this.#queue = []
    this.#phase = 'out'
  }

  #counts(delta: Delta, through: number): PublishedDelta {
    if (!this.#fresh && !this.#waiting) return toPublished(this.#sender, delta, through, this.#left)
    if (this.#fresh) this.#anew()
    this.#fresh = false
    return emptyDelta(this.#sender, delta.tick, through)
  }

  /** Requests under way count no more. */
  #anew(): void {
    this.#epoch += 1
    this.#collector.take(this.#epoch, this.#tick)
    this.#left = new Set()
  }
}
