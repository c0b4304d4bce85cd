import { inRoot } from '../../request-context.js'
import { Drain } from '../drain.js'

/** Something that must not wait longer than it may. */
export interface Timed {
  /** The tick after which {@link Timed.expired} is called; 0 for none. */
  deadline: number
  /** Its place in the list, -1 while it is in none; only {@link Deadlines} writes it. */
  place: number
  expired(): void
  /** Ends it at once, because the forwarder is being closed. */
  giveUp(): void
}

const TICK_MS = 50

/**
 * Time limits for many requests with one timer, which runs only while there are some.
 *
 * Limits are kept to within 100 ms, and never early. Time is counted in ticks of the event loop, so that a process that
 * was blocked does not find all its requests late at once.
 */
export class Deadlines {
  readonly #timed: Timed[] = []
  #tick = 1
  #timer: NodeJS.Timeout | null = null
  /** Only while somebody waits for the end. */
  #drain: Drain | null = null

  /** The deadline that is `milliseconds` away. */
  after(milliseconds: number): number {
    return this.#tick + 1 + Math.ceil(milliseconds / TICK_MS)
  }

  add(timed: Timed): void {
    timed.place = this.#timed.length
    this.#timed.push(timed)
    this.#timer ??= everyTick(this.#sweep)
  }

  delete(timed: Timed): void {
    if (timed.place === -1) return
    const last = this.#timed.pop()
    if (last !== undefined && last !== timed) {
      this.#timed[timed.place] = last
      last.place = timed.place
    }
    timed.place = -1
    if (this.#timed.length === 0) this.#drain?.emptied()
  }

  /** Resolves once nothing is under way; what is left after `graceMs` is given up. */
  drain(graceMs: number): Promise<void> {
    this.#drain ??= new Drain(
      () => this.#timed.length === 0,
      () => {
        for (const timed of this.#timed.slice()) timed.giveUp()
      },
    )
    return this.#drain.wait(graceMs)
  }

  readonly #sweep = (): void => {
    this.#tick += 1
    if (this.#timed.length === 0) {
      if (this.#timer !== null) clearInterval(this.#timer)
      this.#timer = null
      return
    }
    // From the end, because an expired one may delete itself, and the last then takes its place.
    for (let i = this.#timed.length - 1; i >= 0; i -= 1) {
      const timed = this.#timed[i]
      if (timed !== undefined && timed.deadline !== 0 && timed.deadline <= this.#tick) {
        timed.deadline = 0
        timed.expired()
      }
    }
  }
}

function everyTick(sweep: () => void): NodeJS.Timeout {
  return inRoot(() => setInterval(sweep, TICK_MS).unref())
}
