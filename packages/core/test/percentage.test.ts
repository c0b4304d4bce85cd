import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { MAX_STEPS } from '../src/decision/bucket.js'
import { percentageOf } from '../src/decision/explain.js'
import { bucketsOfPercentage, leastSteps } from '../src/decision/percentage.js'
import { createRelease } from '../src/entries/index.js'
import { readVectors } from './vectors.js'

const { cases } = z
  .object({
    cases: z.array(
      z.object({
        percentage: z.number(),
        steps: z.number(),
        bucketsOnB: z.number().optional(),
        error: z.boolean().optional(),
      }),
    ),
  })
  .parse(readVectors('percentage'))

const upstreams = { A: 'http://a:1', B: 'http://b:1' }
const fixed = (percentage: number, steps: number) => createRelease({ name: 'vectors', upstreams, percentage, steps })
const steps = fc.integer({ min: 1, max: MAX_STEPS })
const percentages = fc.oneof(
  fc.double({ min: 0, max: 100, noNaN: true }),
  fc.integer({ min: 0, max: 10_000 }).map((hundredths) => hundredths / 100),
)

test(`puts as many buckets on B as all ${cases.length} cases of the vectors say, or refuses the percentage`, () => {
  expect(cases.length).toBeGreaterThan(100)
  for (const { percentage, steps: of, bucketsOnB, error } of cases) {
    if (error === true) expect(() => fixed(percentage, of), `${percentage} of ${of}`).toThrow(/^percentage must reach/)
    else expect(fixed(percentage, of).status().bucketsOnB, `${percentage} of ${of}`).toBe(bucketsOnB)
  }
})

test('takes the decimal that was written, not its binary neighbour', () => {
  expect(bucketsOfPercentage(32.3, 1000)).toBe(323)
  expect(Math.floor((32.3 * 1000) / 100)).toBe(322)
  for (let hundredths = 0; hundredths <= 10_000; hundredths += 1) {
    expect(bucketsOfPercentage(Number((hundredths / 100).toFixed(2)), 10_000)).toBe(hundredths)
  }
})

test('never has fewer buckets on B for a larger percentage', () => {
  fc.assert(
    fc.property(percentages, percentages, steps, (one, other, of) => {
      const [less, more] = one <= other ? [one, other] : [other, one]
      expect(bucketsOfPercentage(less, of)).toBeLessThanOrEqual(bucketsOfPercentage(more, of))
    }),
    { seed: 1, numRuns: 5000 },
  )
})

test('has no bucket on B at 0 and all of them at 100, for any number of steps', () => {
  fc.assert(
    fc.property(steps, (of) => {
      expect(bucketsOfPercentage(0, of)).toBe(0)
      expect(bucketsOfPercentage(-0, of)).toBe(0)
      expect(bucketsOfPercentage(100, of)).toBe(of)
    }),
    { seed: 2, numRuns: 1000 },
  )
})

test('names the smallest number of steps of which a percentage is a bucket', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-7, max: 100, noNaN: true }), (percentage) => {
      const least = leastSteps(percentage)
      expect(bucketsOfPercentage(percentage, least)).toBeGreaterThanOrEqual(1)
      expect(least === 1 ? 0 : bucketsOfPercentage(percentage, least - 1)).toBe(0)
    }),
    { seed: 3, numRuns: 5000 },
  )
  expect(() => fixed(0.01, 1000)).toThrow('with steps 10000 or more')
})

test('knows the least percentage that puts a bucket on B', () => {
  fc.assert(
    fc.property(steps, fc.nat({ max: MAX_STEPS - 1 }), (of, n) => {
      const bucket = n % of
      const percentage = percentageOf(bucket, of)
      expect(bucketsOfPercentage(percentage, of)).toBeGreaterThan(bucket)
      expect(bucketsOfPercentage(percentage * (1 - 8 * Number.EPSILON), of)).toBeLessThanOrEqual(bucket)
      expect(percentage).toBeLessThanOrEqual(100)
    }),
    { seed: 4, numRuns: 3000 },
  )
  expect(percentageOf(226, 1000)).toBe(22.7)
  expect(percentageOf(0, 3)).toBeCloseTo(33.333, 3)
})
