import type { Delta } from './delta.js'
import type { ArmCount } from './report.js'
import type { SavedHardLimit } from './saved/saved-run.js'

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

  /** Takes the next tick; `known` is how many identities B has: `Infinity` before that is known. */
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

  save(): SavedHardLimit {
    const ticks = this.#ticks.map(({ tick, n, k, identities }, i) => [
      tick - (this.#ticks[i - 1]?.tick ?? 0),
      n,
      k,
      ...[...identities].flatMap(([identity, own]) => [identity, own.n, own.k]),
    ])
    return { ticks, reached: this.#reached }
  }

  restore({ ticks, reached }: SavedHardLimit): void {
    let tick = 0
    for (const [since = 0, n = 0, k = 0, ...rest] of ticks) {
      tick += since
      const identities = new Map<number, ArmCount>()
      for (let i = 0; i + 2 < rest.length; i += 3) {
        identities.set(rest[i] ?? 0, { n: rest[i + 1] ?? 0, k: rest[i + 2] ?? 0 })
      }
      this.#ticks.push({ tick, n, k, identities })
    }
    this.#reached = reached
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
    const least = Math.min(ENOUGH, Math.max(1, known))
    const row = new Row(this.#tellsApart ? Math.ceil(this.#over / least) : Infinity)
    let from = this.#ticks.findLastIndex((one) => one.tick <= tick)
    const start = from
    while (from > 0 && row.length < this.#over) row.add(this.#ticks[(from -= 1)], 1)
    for (const entry of this.#ticks.slice(start)) {
      row.add(entry, 1)
      while (row.isLongWithout(this.#ticks[from], this.#over)) from += 1
      if (row.length < this.#over || (this.#tellsApart && row.identities < least)) continue
      const rate = this.#tellsApart ? row.meanRate : row.k / row.n
      // A mean may lose its last digit.
      if (rate >= this.#rate - 1e-9) {
        return { n: row.n, k: row.k, identities: this.#tellsApart ? row.identities : null, rate }
      }
    }
    return null
  }
}

/** Requests in a row, and how each identity fared in them. */
class Row {
  n = 0
  k = 0
  readonly #most: number
  readonly #identities = new Map<number, Readonly<ArmCount>>()
  #rates = 0
  /** Requests of an identity above `most`. */
  #excess = 0

  /** Of each identity no more than `most` requests make the row longer: else who asks most makes it too short for others. */
  constructor(most: number) {
    this.#most = most
  }

  get length(): number {
    return this.n - this.#excess
  }

  get identities(): number {
    return this.#identities.size
  }

  /** The mean of the identities' own failure rates. */
  get meanRate(): number {
    return this.identities === 0 ? 0 : this.#rates / this.identities
  }

  /** Adds a tick, or takes it away again. */
  add(tick: TickOfB | undefined, sign: 1 | -1): void {
    if (tick === undefined) return
    this.n += sign * tick.n
    this.k += sign * tick.k
    for (const [identity, { n, k }] of tick.identities) {
      const before = this.#identities.get(identity) ?? NONE
      const after = { n: before.n + sign * n, k: before.k + sign * k }
      this.#rates += rateOf(after) - rateOf(before)
      this.#excess += Math.max(0, after.n - this.#most) - Math.max(0, before.n - this.#most)
      if (after.n === 0) this.#identities.delete(identity)
      else this.#identities.set(identity, after)
    }
  }

  /** Takes its first tick away where it is still `over` long without it. */
  isLongWithout(first: TickOfB | undefined, over: number): boolean {
    // Most often it would be too short at once.
    if (first === undefined || this.length < over || this.n - first.n < over) return false
    this.add(first, -1)
    if (this.length >= over) return true
    this.add(first, 1)
    return false
  }
}

const NONE: Readonly<ArmCount> = { n: 0, k: 0 }

function rateOf({ n, k }: ArmCount): number {
  return n === 0 ? 0 : k / n
}
