import { Judge, addFailures, cellOf, createDelta, resolveGuardOptions } from '@canary-release/core/guard/internal'
import { Draws } from './draws.js'

// Several processes count the requests of one release, and their counts are judged together: which of a tick's counts
// are there when it is judged must not depend on which side failed. Time in ticks of one second.

/** What becomes of counts that come late. */
export type LateRule =
  /** A tick is judged one tick after its end, by what is there. */
  | 'drop'
  /** The same; what comes later is moved whole to the tick in which it comes. */
  | 'move'
  /** A tick waits for all members, 10 ticks at most: then the missing one is expired, and the others are judged on. */
  | 'wait'
  /** The same, but evidence begins anew after the expiry, in a stage that needs more of it. */
  | 'stages'
  /** Nothing is merged: each member judges alone, with its part of α (`judges`). */
  | 'apart'

/** One simulated release with A and B the same. */
export interface FleetScenario {
  readonly name: string
  readonly members: number
  readonly rule: LateRule
  /** Publishing stops for up to so many ticks after a tick in which A failed in that process; 0: never. */
  readonly lateAfterA: number
  /** The probability that a member dies in a tick, whatever it saw. */
  readonly dies: number
  /** Ticks at which all members come back with other options. */
  readonly deploys: readonly number[]
  /** Ticks from which on the store is away for 20 ticks; each member judges alone meanwhile. */
  readonly outages: readonly number[]
  readonly share: number
  /** The failure rate of A and of B. */
  readonly rates: { readonly A: number; readonly B: number }
}

export const SECONDS = 900
const REQUESTS_PER_SECOND = 100
const STEPS = 1000
/** Ticks after which a missing member is expired. */
const LIMIT = 10
const OUTAGE = 20

interface Counts {
  readonly nA: number
  readonly nB: number
  readonly kA: number
  readonly kB: number
}

class Member {
  readonly #draws: Draws
  readonly #scenario: FleetScenario
  /** Its counts wait for the ones before them. */
  #free = 0
  /** The first tick of which its counts are waited for. */
  from = 0

  constructor(draws: Draws, scenario: FleetScenario) {
    this.#draws = draws
    this.#scenario = scenario
  }

  /** What it saw in a tick, and when that is published; `Infinity`: it died. */
  tick(tick: number): { readonly member: Member; readonly counts: Counts; readonly at: number } {
    const { members, share, rates, lateAfterA, dies } = this.#scenario
    const [perA, perB] = [(REQUESTS_PER_SECOND / members) * (1 - share), (REQUESTS_PER_SECOND / members) * share]
    const kA = this.#draws.poisson(perA * rates.A)
    const kB = this.#draws.poisson(perB * rates.B)
    const nA = kA + this.#draws.poisson(perA * (1 - rates.A))
    const nB = kB + this.#draws.poisson(perB * (1 - rates.B))
    const delay = kA > 0 && lateAfterA > 0 ? 1 + this.#draws.below(lateAfterA) : 0
    this.#free = Math.max(this.#free, tick + 1 + delay)
    const died = dies > 0 && this.#draws.uniform() < dies
    if (died) this.#free = tick + 2
    return { member: this, counts: { nA, nB, kA, kB }, at: died ? Infinity : this.#free }
  }

  /** When it can publish again. */
  get back(): number {
    return this.#free
  }
}

/** How many times more evidence the n-th stage of a run needs: the inverses sum to 1. */
export function stageFactor(stage: number): number {
  return stage === 1 ? 4 / 3 : 4 * stage * (stage - 1)
}

const OPTIONS = { latency: false, hardLimit: false } as const

/** Judges what a fleet has published, in stages. */
class MergedJudge {
  readonly #alpha: number
  readonly #factor: (stage: number) => number
  #stage = 0
  #judge: Judge

  constructor(alpha: number, factor: (stage: number) => number) {
    this.#alpha = alpha
    this.#factor = factor
    this.#judge = this.begin()
  }

  /** Begins without evidence, in a stage that needs more of it. */
  begin(): Judge {
    this.#stage += 1
    const options = resolveGuardOptions({ ...OPTIONS, alpha: 0.5 }, false)
    return (this.#judge = new Judge({ ...options, needed: this.#factor(this.#stage) / this.#alpha }))
  }

  /** Whether B is found worse. */
  tick(tick: number, share: number, counts: readonly Counts[]): boolean {
    const delta = createDelta(1, tick)
    const cell = cellOf(delta, Math.round(share * STEPS), STEPS)
    for (const { nA, nB, kA, kB } of counts) {
      cell.decided.A += nA
      cell.decided.B += nB
      if (kA + kB > 0) addFailures(cell, tick, kA, kB)
    }
    this.#judge.tick(delta)
    return this.#judge.breach !== null
  }
}

/** When a release was rolled back, and after how many requests to B; `null` where it was not. */
export type FleetEnding = { readonly tick: number; readonly requestsToB: number } | null

/** Simulates one release with several processes for a quarter of an hour. */
export function simulateFleet(scenario: FleetScenario, alpha: number, seed: number): FleetEnding {
  const draws = new Draws(seed)
  const members = Array.from({ length: scenario.members }, () => new Member(draws, scenario))
  const factor = scenario.rule === 'stages' ? stageFactor : () => 1
  const merged = new MergedJudge(0.9 * alpha, factor)
  // Each member's own judge, which is fed only while the store is away: the j-th needs j(j + 1) / (0.1 α).
  const local = members.map((_, j) => new MergedJudge(0.1 * alpha, () => (j + 1) * (j + 2)))
  const apart = members.map(() => new MergedJudge(alpha / members.length, () => 1))
  /** By the tick in which they come. */
  const moved = new Map<number, Counts[]>()
  let unscoredThrough = -1
  let requestsToB = 0
  for (let tick = 0; tick < SECONDS; tick += 1) {
    if (scenario.deploys.includes(tick)) merged.begin()
    const seen = members.map((member) => member.tick(tick))
    for (const { counts } of seen) requestsToB += counts.nB
    if (scenario.rule === 'apart') {
      const found = seen.filter(({ counts }, j) => apart[j]?.tick(tick, scenario.share, [counts]) === true)
      if (found.length > 0) return { tick, requestsToB }
      continue
    }
    if (scenario.outages.some((from) => tick > from && tick <= from + OUTAGE)) {
      for (const [j, { counts }] of seen.entries()) {
        if (local[j]?.tick(tick, scenario.share, [counts]) === true) return { tick, requestsToB }
      }
    }
    if (tick <= unscoredThrough) continue
    const present = scenario.rule === 'drop' || scenario.rule === 'move' ? early() : awaited()
    if (present === null) continue
    if (merged.tick(tick, scenario.share, present)) return { tick, requestsToB }

    function early(): Counts[] {
      const counts = moved.get(tick) ?? []
      moved.delete(tick)
      for (const { counts: own, at } of seen) {
        if (at <= tick + 2) counts.push(own)
        else if (scenario.rule === 'move') push(moved, Math.floor(at), own)
      }
      return counts
    }

    /** `null`: the tick is not scored, as somebody expired in it. */
    function awaited(): Counts[] | null {
      const waitedFor = seen.filter(({ member }) => member.from <= tick)
      const first = Math.min(...waitedFor.map(({ at }) => at))
      const missing = waitedFor.filter(({ at }) => at > first + LIMIT)
      // It comes back with an empty tick, and counts from the next one on.
      for (const { member } of missing) member.from = Math.ceil(Math.max(member.back, first + LIMIT)) + 1
      if (missing.length === 0 || scenario.rule === 'wait') {
        return waitedFor.filter((one) => !missing.includes(one)).map(({ counts }) => counts)
      }
      // The next stage begins with a tick that began after the expiry.
      unscoredThrough = Math.floor(first + LIMIT)
      merged.begin()
      return null
    }
  }
  return null
}

function push(moved: Map<number, Counts[]>, tick: number, counts: Counts): void {
  const known = moved.get(tick)
  if (known === undefined) moved.set(tick, [counts])
  else known.push(counts)
}
