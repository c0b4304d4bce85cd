import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { MAX_STEPS } from '../src/decision/bucket.js'
import { bucketsOfElapsed, elapsedAfterEdit } from '../src/decision/schedule.js'
import { createRelease } from '../src/entries/index.js'
import { readVectors } from './vectors.js'

const whole = z.int()
const { cases } = z
  .object({
    cases: z.array(
      z.object({
        duration: whole,
        steps: whole,
        toDuration: whole,
        toSteps: whole,
        elapsed: whole,
        elapsedAfter: whole,
      }),
    ),
  })
  .parse(readVectors('edits'))

test(`moves a ramp's time as all ${cases.length} cases of the vectors say`, () => {
  expect(cases.length).toBeGreaterThan(70)
  for (const { duration, steps, toDuration, toSteps, elapsed, elapsedAfter } of cases) {
    const from = { durationMs: duration, steps }
    const to = { durationMs: toDuration, steps: toSteps }
    expect(elapsedAfterEdit(elapsed, from, to), JSON.stringify({ elapsed, from, to })).toBe(elapsedAfter)
  }
})

test('moves the time of a release as the vectors say', () => {
  for (const { duration, steps, toDuration, toSteps, elapsed, elapsedAfter } of cases) {
    if (elapsed < 0) continue
    const release = createRelease({
      name: 'r',
      upstreams: { A: 'http://a', B: 'http://b' },
      start: 1_800_000_000,
      duration: duration / 1000,
      steps,
      clock: () => 1_800_000_000_000 + elapsed,
    })
    release.update({ duration: toDuration / 1000, steps: toSteps })
    const to = { durationMs: toDuration, steps: toSteps }
    expect(release.status().bucketsOnB).toBe(bucketsOfElapsed(elapsedAfter, to.durationMs, to.steps))
    const isEdit = duration !== toDuration || steps !== toSteps
    if (isEdit) expect(release.status().elapsed).toBe(elapsedAfter / 1000)
  }
})

const durations = fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 1e13 }))
const steps = fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: MAX_STEPS }))
const sizes = fc.record({ durationMs: durations, steps })
const exact = (elapsed: number, { durationMs, steps: of }: { durationMs: number; steps: number }) =>
  (BigInt(elapsed) * BigInt(of)) / BigInt(durationMs)

test('never lowers a share, and raises it by no more than one bucket or one millisecond', () => {
  fc.assert(
    fc.property(sizes, sizes, fc.nat({ max: 1_000_000_000 }), (from, to, part) => {
      const elapsed = Number((BigInt(from.durationMs) * BigInt(part)) / 1_000_000_000n)
      const after = elapsedAfterEdit(elapsed, from, to)
      expect(Number.isSafeInteger(after) && after >= 0 && after <= to.durationMs).toBe(true)
      const [was, is] = [exact(elapsed, from), exact(after, to)]
      // is / s′ ≥ was / s
      expect(is * BigInt(from.steps) >= was * BigInt(to.steps)).toBe(true)
      const fraction =
        (BigInt(elapsed) * BigInt(to.durationMs) + BigInt(from.durationMs) - 1n) / BigInt(from.durationMs)
      // The least number of buckets that keeps the share.
      const least = (was * BigInt(to.steps) + BigInt(from.steps) - 1n) / BigInt(from.steps)
      if (BigInt(after) !== fraction) {
        expect(BigInt(after) > fraction).toBe(true)
        expect(exact(after - 1, to) < least).toBe(true)
        // Where there are more buckets than milliseconds, several go over in one.
        if (to.steps <= to.durationMs) expect(is).toBe(least)
      }
    }),
    { seed: 14, numRuns: 20_000 },
  )
})

test('leaves a ramp where it is that was not edited, and one that has not begun or is complete', () => {
  fc.assert(
    fc.property(sizes, sizes, fc.integer({ min: -1e9, max: 0 }), fc.nat({ max: 1e9 }), (from, to, before, beyond) => {
      expect(elapsedAfterEdit(before, from, to)).toBe(before)
      expect(elapsedAfterEdit(from.durationMs + beyond, from, to)).toBe(to.durationMs)
      const within = Math.min(beyond, from.durationMs)
      expect(elapsedAfterEdit(within, from, from)).toBe(within)
      expect(bucketsOfElapsed(to.durationMs, to.durationMs, to.steps)).toBe(to.steps)
    }),
    { seed: 15, numRuns: 5000 },
  )
})
