import type { Delta } from './delta.js'
import type { ArmCount } from './report.js'

/** Ticks of B that are remembered: requests that hang fail long after they were decided. */
const MOST_TICKS = 600
/** Identities without which a sticky hash says nothing of B, unless it has fewer. */
const ENOUGH = 3

interface TickOfB {
  readonly tick: number
  n: number
  k: number
  /** Of some identities; empty where they are not told apart. */
  readonly identities: Map<number, Readonly<ArmCount>>
}

/** The requests in a row that reach the limit, and the identities whose own rates did. */
export interface Reached extends ArmCount {
  /** `null`: the rate is that of the requests. */
  readonly identities: number | null
  readonly rate: number
}

/**
 * B's failures among `over` requests in a row, without a guarantee: for when A fails together with B. Requests are
 * counted as they are decided, and their failures are added to them: requests that fail slowly would else stand among
 * later ones, and after a fall of the share make up most of them.
 *
 * Where identities are told apart, it is the mean of their own rates that counts, so that nobody can fail for all.
 */
export class HardLimit {
  readonly #rate: number
  readonly #over: number
  readonly #tellsApart: boolean
  /** Ticks in which B had requests, ascending. */
  readonly #ticks: TickOfB[] = []
  #reached: Reached | null = null

  constructor({ failureRate, over }: { readonly failureRate: number; readonly over: number }, tellsApart: boolean) {
    this.#rate = failureRate
    this.#over = over
    this.#tellsApart = tellsApart
  }

  /** The requests in a row that reach the limit, where some do as of the last tick. */
  get reached(): Reached | null {
    return this.#reached
  }

  /** Takes the next tick; `known` is how many identities B has had in the run. */
  tick(delta: Delta, known: number): void {
    const counts = [...delta.cells.values(), delta.chosen]
    for (const { decided } of counts) if (decided.B > 0) this.#decided(delta.tick, decided.B)
    const last = this.#ticks.at(-1)
    if (last?.tick === delta.tick) {
      for (const [identity, n] of delta.identitiesOfB) last.identities.set(identity, { n, k: 0 })
    }
    let earliest = Infinity
    for (const { failures } of counts) {
      for (const [tick, { B }] of failures) if (B > 0 && this.#failed(tick, B)) earliest = Math.min(earliest, tick)
    }
    for (const [tick, failures] of delta.failuresOfIdentities) this.#identitiesFailed(tick, failures)
    this.#reached = earliest === Infinity ? null : this.#reachedFrom(earliest, known)
  }

  #decided(tick: number, n: number): void {
    const last = this.#ticks.at(-1)
    if (last?.tick === tick) {
      last.n += n
      return
    }
    this.#ticks.push({ tick, n, k: 0, identities: new Map() })
    if (this.#ticks.length > MOST_TICKS) this.#ticks.shift()
  }

  #failed(tick: number, k: number): boolean {
    const entry = this.#entryOf(tick)
    if (entry !== undefined) entry.k += k
    return entry !== undefined
  }

  #identitiesFailed(tick: number, failures: ReadonlyMap<number, number>): void {
    const identities = this.#entryOf(tick)?.identities
    for (const [identity, more] of failures) {
      const count = identities?.get(identity)
      if (count !== undefined) identities?.set(identity, { n: count.n, k: count.k + more })
    }
  }

  #entryOf(tick: number): TickOfB | undefined {
    const entry = this.#ticks.findLast((one) => one.tick <= tick)
    return entry?.tick === tick ? entry : undefined
  }

  /** Looks at the requests in a row that end in `tick` or later: nothing changed in those before. */
  #reachedFrom(tick: number, known: number): Reached | null {
    let from = this.#ticks.findLastIndex((one) => one.tick <= tick)
    for (let before = 0; from > 0 && before < this.#over; before += this.#ticks[from]?.n ?? 0) from -= 1
    const row = new Row()
    for (const entry of this.#ticks.slice(from)) {
      row.add(entry, 1)
      for (
        let first = this.#ticks[from];
        first !== undefined && row.n - first.n >= this.#over;
        first = this.#ticks[from]
      ) {
        row.add(first, -1)
        from += 1
      }
      if (row.n >= this.#over && this.#isBad(row, known)) {
        return { n: row.n, k: row.k, identities: this.#tellsApart ? row.identities : null, rate: this.#rateOf(row) }
      }
    }
    return null
  }

  #isBad(row: Row, known: number): boolean {
    if (this.#tellsApart && row.identities < Math.min(ENOUGH, Math.max(1, known))) return false
    // A mean may lose its last digit.
    return this.#rateOf(row) >= this.#rate - 1e-9
  }

  #rateOf(row: Row): number {
    return this.#tellsApart ? row.meanRate : row.k / row.n
  }
}

/** Requests in a row, and how each identity fared in them. */
class Row {
  n = 0
  k = 0
  readonly #identities = new Map<number, Readonly<ArmCount>>()
  #rates = 0

  get identities(): number {
    return this.#identities.size
  }

  /** The mean of the identities' own failure rates. */
  get meanRate(): number {
    return this.identities === 0 ? 0 : this.#rates / this.identities
  }

  /** Adds a tick, or takes it away again. */
  add(tick: TickOfB, sign: 1 | -1): void {
    this.n += sign * tick.n
    this.k += sign * tick.k
    for (const [identity, { n, k }] of tick.identities) {
      const before = this.#identities.get(identity) ?? { n: 0, k: 0 }
      const after = { n: before.n + sign * n, k: before.k + sign * k }
      this.#rates += rateOf(after) - rateOf(before)
      if (after.n === 0) this.#identities.delete(identity)
      else this.#identities.set(identity, after)
    }
  }
}

function rateOf({ n, k }: ArmCount): number {
  return n === 0 ? 0 : k / n
}
