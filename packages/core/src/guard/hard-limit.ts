import type { Delta } from './delta.js'
import type { ArmCount } from './report.js'

/** Ticks of B that are remembered: requests that hang fail long after they were decided. */
const MOST_TICKS = 600

interface TickOfB {
  readonly tick: number
  n: number
  k: number
}

/**
 * B's failures among `over` requests in a row, without a guarantee: for when A fails together with B. Requests are
 * counted as they are decided, and their failures are added to them: requests that fail slowly would else stand among
 * later ones, and after a fall of the share make up most of them.
 */
export class HardLimit {
  readonly #rate: number
  readonly #over: number
  /** Ticks in which B had requests, ascending. */
  readonly #ticks: TickOfB[] = []
  #reached: ArmCount | null = null

  constructor({ failureRate, over }: { readonly failureRate: number; readonly over: number }) {
    this.#rate = failureRate
    this.#over = over
  }

  /** The requests in a row that reach the limit, where some do as of the last tick. */
  get reached(): ArmCount | null {
    return this.#reached
  }

  tick(delta: Delta): void {
    for (const { decided } of delta.cells.values()) if (decided.B > 0) this.#decided(delta.tick, decided.B)
    let earliest = Infinity
    for (const { failures } of delta.cells.values()) {
      for (const [tick, { B }] of failures) if (B > 0 && this.#failed(tick, B)) earliest = Math.min(earliest, tick)
    }
    this.#reached = earliest === Infinity ? null : this.#reachedFrom(earliest)
  }

  #decided(tick: number, n: number): void {
    const last = this.#ticks.at(-1)
    if (last?.tick === tick) {
      last.n += n
      return
    }
    this.#ticks.push({ tick, n, k: 0 })
    if (this.#ticks.length > MOST_TICKS) this.#ticks.shift()
  }

  #failed(tick: number, k: number): boolean {
    const entry = this.#ticks.findLast((one) => one.tick <= tick)
    if (entry?.tick !== tick) return false
    entry.k += k
    return true
  }

  /** Looks at the requests in a row that end in `tick` or later: nothing changed in those before. */
  #reachedFrom(tick: number): ArmCount | null {
    let from = this.#ticks.findLastIndex((one) => one.tick <= tick)
    for (let before = 0; from > 0 && before < this.#over; before += this.#ticks[from]?.n ?? 0) from -= 1
    let n = 0
    let k = 0
    for (const entry of this.#ticks.slice(from)) {
      n += entry.n
      k += entry.k
      for (let first = this.#ticks[from]; first !== undefined && n - first.n >= this.#over; first = this.#ticks[from]) {
        n -= first.n
        k -= first.k
        from += 1
      }
      if (n >= this.#over && k >= this.#rate * n) return { n, k }
    }
    return null
  }
}
