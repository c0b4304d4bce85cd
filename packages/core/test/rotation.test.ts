import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Rotation } from '../src/decision/rotation.js'
import { createRelease } from '../src/entries/index.js'

const phases = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const upstreams = { A: 'http://a:1', B: 'http://b:1' }

/** How many units of 1/steps of a request the worst window of requests deviates by, given each request's deviation. */
function worstWindow(deviations: readonly number[]): number {
  let sum = 0
  let least = 0
  let most = 0
  for (const deviation of deviations) {
    sum += deviation
    least = Math.min(least, sum)
    most = Math.max(most, sum)
  }
  return most - least
}

/** What each request adds to `steps × (B's count − its due)`. */
function deviationsOf(rotation: Rotation, steps: number, shares: readonly number[]): number[] {
  return shares.map((bucketsOnB) => (rotation.next(bucketsOnB) < bucketsOnB ? steps : 0) - bucketsOnB)
}

const sharesOf = (steps: number) => fc.array(fc.integer({ min: 0, max: steps }), { minLength: 1, maxLength: 400 })
const stepsAndShares = fc.integer({ min: 1, max: 50 }).chain((steps) => fc.tuple(fc.constant(steps), sharesOf(steps)))

test("keeps B's count within 1 of its due in every window, from any phase, however the share changes", () => {
  fc.assert(
    fc.property(phases, stepsAndShares, (phase, [steps, shares]) => {
      expect(worstWindow(deviationsOf(new Rotation(steps, phase), steps, shares))).toBeLessThan(steps)
    }),
    { seed: 31, numRuns: 2000 },
  )
})

test("keeps B's count within 1 of its due in every window through a whole ramp", () => {
  fc.assert(
    fc.property(phases, fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 9 }), (phase, steps, hold) => {
      const ramp = Array.from({ length: (steps + 1) * hold }, (_, i) => Math.floor(i / hold))
      expect(worstWindow(deviationsOf(new Rotation(steps, phase), steps, ramp))).toBeLessThan(steps)
    }),
    { seed: 32, numRuns: 150 },
  )
})

test("keeps B's count within 1 of its due in every window across a change of steps", () => {
  fc.assert(
    fc.property(phases, stepsAndShares, stepsAndShares, (phase, [steps, shares], [newSteps, newShares]) => {
      const rotation = new Rotation(steps, phase)
      const before = deviationsOf(rotation, steps, shares).map((units) => units * newSteps)
      rotation.rescale(newSteps)
      const after = deviationsOf(rotation, newSteps, newShares).map((units) => units * steps)
      expect(worstWindow([...before, ...after])).toBeLessThan(steps * newSteps)
    }),
    { seed: 33, numRuns: 2000 },
  )
})

test('visits each bucket once in any `steps` requests in a row while the share stands still', () => {
  const settled = fc.tuple(phases, stepsAndShares, fc.nat())
  fc.assert(
    fc.property(settled, ([phase, [steps, shares], n]) => {
      const rotation = new Rotation(steps, phase)
      for (const share of shares) rotation.next(share)
      const bucketsOnB = n % (steps + 1)
      const buckets = Array.from({ length: 3 * steps }, () => rotation.next(bucketsOnB))
      for (let from = 0; from <= 2 * steps; from += 1) {
        expect(new Set(buckets.slice(from, from + steps)).size).toBe(steps)
      }
      expect(Math.min(...buckets)).toBe(0)
      expect(Math.max(...buckets)).toBe(steps - 1)
    }),
    { seed: 34, numRuns: 500 },
  )
})

test('sends nobody to B at 0 and everybody at all steps', () => {
  fc.assert(
    fc.property(phases, fc.integer({ min: 1, max: 4_294_967_296 }), (phase, steps) => {
      const rotation = new Rotation(steps, phase)
      for (let i = 0; i < 20; i += 1) {
        expect(rotation.next(0)).toBeGreaterThanOrEqual(0)
        expect(rotation.next(steps)).toBeLessThan(steps)
      }
    }),
    { seed: 35, numRuns: 500 },
  )
})

test('says beforehand what it will say, and peeking changes nothing', () => {
  fc.assert(
    fc.property(phases, stepsAndShares, (phase, [steps, shares]) => {
      const rotation = new Rotation(steps, phase)
      for (const bucketsOnB of shares) {
        const peeked = [rotation.peek(bucketsOnB), rotation.peek(bucketsOnB)]
        const next = rotation.next(bucketsOnB)
        expect(peeked).toEqual([next, next])
      }
    }),
    { seed: 36, numRuns: 500 },
  )
})

test('reaches B with the first request of a process as often as the share says, as the phase is random', () => {
  // Stratified phases, not drawn ones: exactly 10 of 100 processes begin on B.
  const first = Array.from({ length: 100 }, (_, i) =>
    createRelease({ name: 'r', upstreams, percentage: 10, hash: 'none', random: () => (i + 0.5) / 100 }).decide(),
  )
  expect(first.filter(({ upstream }) => upstream === 'B')).toHaveLength(10)
})

test('holds the bound through a release whose percentage a person raises, and whose steps are refined', () => {
  const release = createRelease({ name: 'r', upstreams, percentage: 7, steps: 100, hash: 'none', random: () => 0.37 })
  const deviations: number[] = []
  for (const options of [{}, { percentage: 13 }, { percentage: 50 }, { steps: 1000 }, { percentage: 49.9 }]) {
    release.update(options)
    for (let i = 0; i < 777; i += 1) {
      const { upstream, bucketsOnB, steps } = release.decide()
      deviations.push((upstream === 'B' ? 1000 : 0) - (bucketsOnB * 1000) / steps)
    }
  }
  expect(worstWindow(deviations)).toBeLessThan(1000)
})

test('begins at 0 where the injected randomness is out of range', () => {
  for (const phase of [Number.NaN, -1, 1, Number.POSITIVE_INFINITY]) {
    expect(new Rotation(10, phase).next(1)).toBe(new Rotation(10, 0).next(1))
  }
})
