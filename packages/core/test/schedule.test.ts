import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { MAX_STEPS } from '../src/decision/bucket.js'
import { bucketsOfElapsed, elapsedUntil } from '../src/decision/schedule.js'
import { createRelease } from '../src/entries/index.js'
import { readVectors } from './vectors.js'

const { cases } = z
  .object({
    cases: z.array(
      z.object({
        start: z.number(),
        duration: z.number(),
        steps: z.number(),
        now: z.number(),
        bucketsOnB: z.number(),
      }),
    ),
  })
  .parse(readVectors('schedule'))

const upstreams = { A: 'http://a:1', B: 'http://b:1' }
const durations = fc.integer({ min: 1, max: 400 * 86_400_000 })
const steps = fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: MAX_STEPS }))
const exact = (elapsed: number, duration: number, of: number) =>
  Number((BigInt(Math.min(Math.max(elapsed, 0), duration)) * BigInt(of)) / BigInt(duration))

test(`has as many buckets on B as all ${cases.length} cases of the vectors say`, () => {
  expect(cases.length).toBeGreaterThan(80)
  for (const { start, duration, steps: of, now, bucketsOnB } of cases) {
    const release = createRelease({ name: 'r', upstreams, start, duration, steps: of, clock: () => now * 1000 })
    expect(release.decide({ consumer: 'x' }).bucketsOnB, `${now - start} s of ${duration} in ${of}`).toBe(bucketsOnB)
    expect(release.status().bucketsOnB).toBe(bucketsOnB)
  }
})

test('agrees with exact arithmetic at any instant of any ramp', () => {
  fc.assert(
    fc.property(durations, steps, fc.integer({ min: -1000, max: 401 * 86_400_000 }), (duration, of, elapsed) => {
      expect(bucketsOfElapsed(elapsed, duration, of)).toBe(exact(elapsed, duration, of))
    }),
    { seed: 11, numRuns: 10_000 },
  )
})

test('agrees with exact arithmetic just before, at and after each crossing', () => {
  fc.assert(
    fc.property(durations, steps, fc.nat({ max: MAX_STEPS }), (duration, of, n) => {
      const crossing = Math.ceil(((n % of) * duration) / of)
      for (const elapsed of [crossing - 1, crossing, crossing + 1]) {
        expect(bucketsOfElapsed(elapsed, duration, of)).toBe(exact(elapsed, duration, of))
      }
    }),
    { seed: 12, numRuns: 5000 },
  )
})

test('knows the first millisecond at which a bucket is on B', () => {
  fc.assert(
    fc.property(durations, steps, fc.nat({ max: MAX_STEPS - 1 }), (duration, of, n) => {
      const bucket = n % of
      const elapsed = elapsedUntil(bucket, duration, of)
      expect(bucketsOfElapsed(elapsed, duration, of)).toBeGreaterThan(bucket)
      expect(bucketsOfElapsed(elapsed - 1, duration, of)).toBeLessThanOrEqual(bucket)
      expect(elapsed).toBeLessThanOrEqual(duration)
    }),
    { seed: 13, numRuns: 5000 },
  )
})
