import type { GuardOptions } from '@canary-release/core/guard'
import {
  type Cell,
  type Delta,
  Judge,
  addFailures,
  addIdentityFailures,
  addIdentityLatency,
  addTo,
  cellOf,
  createDelta,
  createLatencies,
  latencyBucket,
  packLatency,
  resolveGuardOptions,
} from '@canary-release/core/guard/internal'
import { Alias, Draws } from './draws.js'

/** One simulated release. Time in seconds, which are ticks. */
export interface Scenario {
  readonly name: string
  readonly options: GuardOptions
  readonly seconds: number
  readonly requestsPerSecond: number
  readonly steps: number
  readonly bucketsOnB: (second: number) => number
  /** Makes the failure rates of one run: those of A, and of B. */
  readonly failures: (draws: Draws) => (second: number) => { readonly A: number; readonly B: number }
  /** Seconds from a request to its failure. */
  readonly failsAfter: number
  /** How many times A's latency B's is. */
  readonly slowness: number
  /** `null`: requests are independent of each other. */
  readonly identities: Identities | null
}

/** Accounts that send requests: by Zipf's law, some of them failing again and again. */
export interface Identities {
  readonly count: number
  readonly exponent: number
  readonly badPart: number
  readonly badRate: number
  readonly goodRate: number
}

/** What became of one run: when and after how many requests to B it was rolled back, or `null`. */
export type Ending = { readonly second: number; readonly requestsToB: number } | null

const MEDIAN_MS = 50
const SIGMA = 0.6
const TAIL_PART = 0.02
const TAIL_FACTOR = 8

/** Simulates one run of a release, from its start to a rollback or its end. */
export function simulate(scenario: Scenario, seed: number): Ending {
  const draws = new Draws(seed)
  const options = resolveGuardOptions(scenario.options, scenario.identities !== null)
  const judge = new Judge(options)
  const traffic =
    scenario.identities === null ? anonymous(scenario, draws) : accounts(scenario, scenario.identities, draws)
  for (let second = 0; second < scenario.seconds; second += 1) {
    const delta = createDelta(1, second)
    traffic(delta, cellOf(delta, scenario.bucketsOnB(second), scenario.steps), second)
    judge.tick(delta)
    if (judge.breach !== null) return { second, requestsToB: judge.b.n }
  }
  return null
}

type Traffic = (delta: Delta, cell: Cell, second: number) => void

/** Requests that are independent of each other: only their counts are drawn. */
function anonymous(scenario: Scenario, draws: Draws): Traffic {
  const { options, requestsPerSecond, failsAfter, slowness, steps, bucketsOnB } = scenario
  const ratesAt = scenario.failures(draws)
  const latencies = options.latency === false ? null : { A: latenciesTimes(1), B: latenciesTimes(slowness) }
  const pending: { readonly kA: number; readonly kB: number }[] = []
  return (delta, cell, second) => {
    const share = bucketsOnB(second) / steps
    const rates = ratesAt(second)
    // Requests that fail and that do not are independent of each other where their sum is Poisson.
    const [perA, perB] = [requestsPerSecond * (1 - share), requestsPerSecond * share]
    const kA = draws.poisson(perA * rates.A)
    const kB = draws.poisson(perB * rates.B)
    const nA = kA + draws.poisson(perA * (1 - rates.A))
    const nB = kB + draws.poisson(perB * (1 - rates.B))
    pending.push({ kA, kB })
    cell.decided.A += nA
    cell.decided.B += nB
    cell.ended.A += nA - kA
    cell.ended.B += nB - kB
    if (latencies !== null) {
      const counts = (cell.latencies = createLatencies())
      // A request that fails slowly has not ended yet, and one that fails at once is as fast as others.
      const slowly = failsAfter > 0
      for (let i = slowly ? kA : 0; i < nA; i += 1) increment(counts.A, latencies.A.draw(draws))
      for (let i = slowly ? kB : 0; i < nB; i += 1) increment(counts.B, latencies.B.draw(draws))
    }
    const due = second - failsAfter
    const failed = pending[due]
    if (failed === undefined || failed.kA + failed.kB === 0) return
    const old = cellOf(delta, bucketsOnB(due), steps)
    old.ended.A += failed.kA
    old.ended.B += failed.kB
    addFailures(old, due, failed.kA, failed.kB)
    if (latencies === null || failsAfter === 0) return
    const counts = (old.latencies ??= createLatencies())
    const bucket = latencyBucket(failsAfter * 1000)
    counts.A[bucket] = (counts.A[bucket] ?? 0) + failed.kA
    counts.B[bucket] = (counts.B[bucket] ?? 0) + failed.kB
  }
}

/** Requests of accounts: each stays on its side, and is as good or bad, as fast or slow, as it is. */
function accounts(scenario: Scenario, identities: Identities, draws: Draws): Traffic {
  const { count, exponent, badPart, badRate, goodRate } = identities
  const { steps, requestsPerSecond } = scenario
  const who = new Alias(Array.from({ length: count }, (_, rank) => (rank + 1) ** -exponent))
  const all = Array.from({ length: count }, () => ({
    hash: draws.bits(),
    bucket: draws.below(steps),
    rate: draws.uniform() < badPart ? badRate : goodRate,
    octaves: Math.round(8 * draws.normal()),
  }))
  const latency = latenciesTimes(1)
  return (delta, cell, second) => {
    const buckets = scenario.bucketsOnB(second)
    for (let i = draws.poisson(requestsPerSecond); i > 0; i -= 1) {
      const account = all[who.draw(draws)]
      if (account === undefined) continue
      const arm = account.bucket < buckets ? 'B' : 'A'
      cell.decided[arm] += 1
      cell.ended[arm] += 1
      if (arm === 'B') addTo(delta.identitiesOfB, account.hash)
      const bucket = Math.max(FLOOR, Math.min(287, latency.draw(draws) + account.octaves))
      if (scenario.options.unit === 'request') increment((cell.latencies ??= createLatencies())[arm], bucket)
      else addIdentityLatency(cell, account.hash, packLatency(arm, bucket))
      if (draws.uniform() >= account.rate) continue
      addFailures(cell, second, arm === 'A' ? 1 : 0, arm === 'B' ? 1 : 0)
      if (arm === 'B') addIdentityFailures(delta, second, account.hash)
      if (scenario.options.unit !== 'request') cell.failedIdentities.set(account.hash, arm)
    }
  }
}

const FLOOR = latencyBucket(5)
const known = new Map<number, Alias>()

/** Lognormal latencies with a slow tail, as histogram buckets. */
function latenciesTimes(factor: number): Alias {
  const made = known.get(factor)
  if (made !== undefined) return made
  const below = (ms: number) =>
    (1 - TAIL_PART) * lognormalBelow(ms, factor) + TAIL_PART * lognormalBelow(ms, factor * TAIL_FACTOR)
  const weights = Array.from({ length: 288 }, (_, bucket) =>
    bucket < FLOOR ? 0 : below(2 ** ((bucket - 15) / 16)) - (bucket === FLOOR ? 0 : below(2 ** ((bucket - 16) / 16))),
  )
  const alias = new Alias(weights)
  known.set(factor, alias)
  return alias
}

function lognormalBelow(ms: number, factor: number): number {
  return normalBelow((Math.log(ms) - Math.log(MEDIAN_MS * factor)) / SIGMA)
}

/** The normal distribution function (Abramowitz and Stegun 26.2.17). */
function normalBelow(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z))
  const series = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  const tail = (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * series
  return z > 0 ? 1 - tail : tail
}

function increment(counts: number[], bucket: number): void {
  counts[bucket] = (counts[bucket] ?? 0) + 1
}
