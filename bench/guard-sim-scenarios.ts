import type { Draws } from './draws.js'
import type { Identities, Scenario } from './guard-sim-traffic.js'

const SHARES = [1, 5, 10, 50]
const RATES = [0.1, 1, 5]
const REQUESTS_PER_SECOND = 100
const HOUR = 3600

const ERRORS_ONLY = { latency: false } as const
/** The hard limit has no guarantee, and bursts of 40 % come near it. */
const NO_LIMIT = { latency: false, hardLimit: false } as const

const PLAIN: Omit<Scenario, 'name' | 'bucketsOnB' | 'failures'> = {
  options: {},
  seconds: HOUR,
  requestsPerSecond: REQUESTS_PER_SECOND,
  steps: 1000,
  failsAfter: 0,
  slowness: 1,
  identities: null,
}

function scenario(changes: Partial<Scenario> & Pick<Scenario, 'name' | 'bucketsOnB' | 'failures'>): Scenario {
  return { ...PLAIN, ...changes }
}

const always = (A: number, B = A) => {
  const rates = { A, B }
  return () => () => rates
}

const fixed = (percentage: number) => () => percentage * 10

/** A ramp from 1 to 50 % in an hour, in steps of 0.1 %. */
const ramp = (second: number) => 10 + Math.floor((490 * second) / HOUR)

/** A rate that wanders between 0.1 and 10 %, the same for A and B. */
function drifting(draws: Draws) {
  let ln = Math.log(0.01)
  return () => {
    ln = Math.min(Math.log(0.1), Math.max(Math.log(0.001), ln + 0.05 * draws.normal()))
    const rate = Math.exp(ln)
    return { A: rate, B: rate }
  }
}

/** 0.1 %, and every three minutes or so some seconds in which 40 % of everything fails. */
function bursting(draws: Draws) {
  let left = 0
  return () => {
    if (left > 0) left -= 1
    else if (draws.uniform() < 1 / 180) left = 1 + draws.below(8)
    const rate = left > 0 ? 0.4 : 0.001
    return { A: rate, B: rate }
  }
}

const ACCOUNTS: Identities = { count: 10_000, exponent: 1.1, badPart: 0.01, badRate: 0.1, goodRate: 0.0005 }

function sticky(name: string, bucketsOnB: Scenario['bucketsOnB']): Scenario {
  return scenario({
    name: `${name}, sticky: 10 000 accounts by Zipf’s law, of which 1 % fail 10 % of their requests; latency watched too`,
    requestsPerSecond: 30,
    bucketsOnB,
    failures: always(0),
    identities: ACCOUNTS,
  })
}

/** Failures of the time with 50 % come in while the share is 5 %. */
export const FALL = scenario({
  name: 'fall from 50 to 5 % after 10 min, 5 % fail after 30 s',
  options: ERRORS_ONLY,
  bucketsOnB: (second) => (second < 600 ? 500 : 50),
  failures: always(0.05),
  failsAfter: 30,
})

/** A and B are the same: every rollback is a false alarm. */
export const HEALTHY: readonly Scenario[] = [
  ...RATES.flatMap((rate) =>
    SHARES.map((share) =>
      scenario({
        name: `${share} % on B, ${rate} % fail`,
        options: ERRORS_ONLY,
        bucketsOnB: fixed(share),
        failures: always(rate / 100),
      }),
    ),
  ),
  ...[1, 50].map((share) =>
    scenario({
      name: `${share} % on B, 1 % fail; latency watched too`,
      bucketsOnB: fixed(share),
      failures: always(0.01),
    }),
  ),
  scenario({
    name: 'ramp from 1 to 50 %, failure rate drifting between 0.1 and 10 %; latency watched too',
    bucketsOnB: ramp,
    failures: drifting,
  }),
  scenario({
    name: 'ramp from 1 to 50 %, bursts of some seconds in which 40 % fail',
    options: NO_LIMIT,
    bucketsOnB: ramp,
    failures: bursting,
  }),
  scenario({
    name: '10 % on B, bursts of some seconds in which 40 % fail',
    options: NO_LIMIT,
    bucketsOnB: fixed(10),
    failures: bursting,
  }),
  scenario({
    name: 'ramp from 1 to 50 %, 1 % fail after 30 s',
    options: ERRORS_ONLY,
    bucketsOnB: ramp,
    failures: always(0.01),
    failsAfter: 30,
  }),
  FALL,
  sticky('5 % on B', fixed(5)),
  sticky('50 % on B', fixed(50)),
  sticky('ramp from 1 to 50 %', ramp),
]

/** Requests of accounts judged as if they were independent: what the unit `identity` is for. */
export const WRONG_UNIT: readonly Scenario[] = [5, 50].map((share) =>
  scenario({
    name: `the same at ${share} %, judged by requests (\`unit: 'request'\`)`,
    options: { unit: 'request', latency: false },
    requestsPerSecond: 30,
    bucketsOnB: fixed(share),
    failures: always(0),
    identities: ACCOUNTS,
  }),
)

/** B is worse: rows of the table of detection, a scenario for each share. */
export const WORSE: readonly { readonly name: string; readonly shares: readonly Scenario[] }[] = [
  { name: '1 % fail instead of 0.1 %', failures: always(0.001, 0.01), slowness: 1 },
  { name: '5 % fail instead of 1 %', failures: always(0.01, 0.05), slowness: 1 },
  { name: '50 % fail instead of 0.1 %', failures: always(0.001, 0.5), slowness: 1 },
  { name: 'latency × 2', failures: always(0), slowness: 2 },
].map(({ name, failures, slowness }) => ({
  name,
  shares: SHARES.map((share) =>
    scenario({
      name: `${name} at ${share} %`,
      seconds: 4 * HOUR,
      bucketsOnB: fixed(share),
      failures,
      slowness,
    }),
  ),
}))

/** What the table of detection must reach, in requests to B. */
export const WANTED: readonly (readonly number[])[] = [
  [570, 600, 740, 1700],
  [210, 230, 260, 590],
  [11, 14, 21, 100],
  [44, 57, 75, 270],
]

/** A ramp of 1000 steps an hour on which part of B's requests hang until the head timeout. */
export const HANGING = scenario({
  name: 'ramp of 1000 steps an hour, 30 % of B’s requests hang for 30 s',
  bucketsOnB: (second) => Math.floor((1000 * second) / HOUR),
  failures: always(0.001, 0.3),
  failsAfter: 30,
  options: ERRORS_ONLY,
})

export { SHARES }
