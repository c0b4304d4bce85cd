import { describe, expect, it } from 'vitest'
import { FALL, HANGING, HEALTHY, WANTED, WORSE } from '../../../../bench/guard-sim-scenarios.js'
import {
  ONE_FOR_ALL,
  afterRestart,
  fivePartners,
  heldRamp,
  oneForAll,
  tenTimes,
} from '../../../../bench/guard-sim-releases.js'
import { type Scenario, simulate } from '../../../../bench/guard-sim-traffic.js'

// The short form of bench/guard-sim: the same scenarios, fewer runs, the same seeds each time.
const endings = (scenario: Scenario, runs: number) =>
  Array.from({ length: runs }, (_, run) => simulate(scenario, 1_000_003 * (run + 1)))
const alarms = (scenario: Scenario, runs: number) => endings(scenario, runs).filter((ending) => ending !== null).length

describe('with A and B the same', () => {
  it('a fall from 50 to 5 % with slow failures raises no more false alarms than α', () => {
    // 2 expected at most of 200; σ = 1.4.
    expect(alarms(FALL, 200)).toBeLessThanOrEqual(5)
  })

  it.each(HEALTHY.filter((scenario) => scenario !== FALL))('$name: hardly a false alarm in an hour', (scenario) => {
    // 0.2 expected at most of 20: three have a probability of 0.1 %.
    expect(alarms(scenario, 20)).toBeLessThan(3)
  })
})

describe('with B worse', () => {
  it('a ramp of 1000 steps an hour on which 30 % of B’s requests hang is rolled back in every run', () => {
    expect(alarms(HANGING, 100)).toBe(100)
  })

  it.each(WORSE.map(({ name, shares }, i) => ({ name, shares, wanted: WANTED[i] ?? [] })))(
    '$name: is rolled back in about as many requests as promised',
    ({ shares, wanted }) => {
      for (const [i, scenario] of shares.entries()) {
        const requests = endings(scenario, 151).map((ending) => ending?.requestsToB ?? Infinity)
        const median = requests.toSorted((a, b) => a - b)[75] ?? Number.NaN
        // 15 %, and as much again for the median of only 151 runs, whose σ is about 6 %.
        expect(Math.abs(median / (wanted[i] ?? Number.NaN) - 1)).toBeLessThan(0.3)
      }
    },
  )
})

describe('whole releases', () => {
  const runs = <Result>(count: number, simulated: (seed: number) => Result) =>
    Array.from({ length: count }, (_, run) => simulated(1_000_003 * (run + 1)))
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)

  it('that were repaired and restarted are hardly ever rolled back again', () => {
    expect(sum(runs(50, afterRestart))).toBeLessThan(4)
  })

  it('whose B is as bad again after each restart are found as fast, ten times in a row', () => {
    const again = runs(31, tenTimes)
    const medians = again[0]?.map((_, i) => again.map((found) => found[i] ?? Infinity).toSorted((a, b) => a - b)[15])
    expect(medians).toHaveLength(10)
    // The σ of a median of 31 runs is about 13 %.
    for (const median of medians ?? []) expect(Math.abs((median ?? Infinity) / 480 - 1)).toBeLessThan(0.5)
  })

  it('that are held are neither stuck nor leave a share that was not judged', () => {
    for (const held of runs(20, heldRamp)) expect(held).toMatchObject({ stuck: false, unjudged: false })
  })

  it('with five partners are blind, and say why', () => {
    expect(sum(runs(10, fivePartners))).toBe(10)
  })

  it.each(ONE_FOR_ALL)('with $name are not rolled back, at $percentage %', (hostile) => {
    expect(sum(runs(10, oneForAll(hostile)))).toBe(0)
  })
})
