import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CAP, ERROR_RATIOS, Evidence, errorLevels, lnRatioOfBlock } from '../../src/guard/evidence.js'
import { latencyBucket, latencyLevels } from '../../src/guard/latency.js'

interface Vectors {
  increments: {
    nA: number
    nB: number
    kA: number
    kB: number
    oddsRatio: number
    tolerated: number
    cap?: number
    ln: number
  }[]
  errorRuns: {
    tolerated: number
    cap: number | null
    blocks: [number, number, number, number][]
    lnEvidence: number[]
  }[]
  identityRuns: {
    share: number
    tolerated: number
    cap: number
    firstFailures: ('A' | 'B')[]
    lnEvidence: number[]
  }[]
  latencyFirstBlock: {
    nA: number
    nB: number
    slow: Record<string, [number, number]>
    cap: number
    lnEvidence: number
  }[]
  latencyBucket: { ms: number; bucket: number }[]
}

const path = new URL('../../../../test/vectors/guard.json', import.meta.url)
const vectors: Vectors = JSON.parse(readFileSync(path, 'utf8'))
const CLOSE = 9

function score(evidence: Evidence, nA: number, nB: number, kA: number, kB: number): void {
  if (nA > 0 && nB > 0) evidence.add(0, nB / (nA + nB), kA, kB)
  evidence.close()
}

describe('the vectors', () => {
  it('has increments', () => {
    for (const { oddsRatio, tolerated, cap, ln, ...block } of vectors.increments) {
      expect(lnRatioOfBlock(block, oddsRatio, tolerated, cap ?? Infinity)).toBeCloseTo(ln, CLOSE)
    }
  })

  it('has runs of blocks', () => {
    for (const { tolerated, cap, blocks, lnEvidence } of vectors.errorRuns) {
      const evidence = new Evidence(errorLevels(tolerated), tolerated, cap ?? Infinity)
      const seen = blocks.map((block) => (score(evidence, ...block), evidence.ln))
      for (const [i, ln] of lnEvidence.entries()) expect(seen[i]).toBeCloseTo(ln, CLOSE)
    }
  })

  it('has runs of identities', () => {
    for (const { share, tolerated, cap, firstFailures, lnEvidence } of vectors.identityRuns) {
      const evidence = new Evidence(errorLevels(tolerated), tolerated, cap)
      for (const [i, arm] of firstFailures.entries()) {
        evidence.add(0, share, arm === 'A' ? 1 : 0, arm === 'B' ? 1 : 0)
        evidence.close()
        expect(evidence.ln).toBeCloseTo(lnEvidence[i] ?? Number.NaN, CLOSE)
      }
    }
  })

  it('has a first block of latencies', () => {
    for (const { nA, nB, slow, cap, lnEvidence } of vectors.latencyFirstBlock) {
      const quantiles = Object.keys(slow).map((name) => Number(name.slice(1)) / 100)
      const evidence = new Evidence(latencyLevels(quantiles), 1, cap)
      for (const [level, [kA, kB]] of Object.values(slow).entries()) evidence.add(level, nB / (nA + nB), kA, kB)
      evidence.close()
      expect(evidence.ln).toBeCloseTo(lnEvidence, CLOSE)
    }
  })

  it('has buckets of latencies', () => {
    for (const { ms, bucket } of vectors.latencyBucket) expect(latencyBucket(ms)).toBe(bucket)
  })
})

const count = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 2 ** 31 }))
const arm = fc.tuple(count, fc.double({ min: 0, max: 1, noNaN: true })).map(([n, part]) => [n, Math.floor(n * part)])
const block = fc.tuple(arm, arm).map(([[nA = 0, kA = 0] = [], [nB = 0, kB = 0] = []]) => ({ nA, nB, kA, kB }))
const settings = { seed: 5, numRuns: 400 }

describe('a block', () => {
  it('changes nothing where an arm is empty or nothing failed', () => {
    fc.assert(
      fc.property(fc.array(block), block, fc.constantFrom('nA', 'nB', 'k'), (history, last, missing) => {
        const evidence = new Evidence(errorLevels(1.25), 1.25)
        for (const { nA, nB, kA, kB } of history) score(evidence, nA, nB, kA, kB)
        const before = evidence.ln
        const { nA, nB, kA, kB } = last
        if (missing === 'k') score(evidence, nA, nB, 0, 0)
        else score(evidence, missing === 'nA' ? 0 : nA, missing === 'nB' ? 0 : nB, kA, kB)
        expect(evidence.ln).toBe(before)
      }),
      settings,
    )
  })

  it('never lowers the evidence when one of its failures is B’s instead of A’s', () => {
    fc.assert(
      fc.property(fc.array(block), block, (history, { nA, nB, kA, kB }) => {
        fc.pre(kA > 0 && kB < nB)
        const [one, other] = [new Evidence(errorLevels(1.25), 1.25), new Evidence(errorLevels(1.25), 1.25)]
        for (const evidence of [one, other]) for (const b of history) score(evidence, b.nA, b.nB, b.kA, b.kB)
        score(one, nA, nB, kA, kB)
        score(other, nA, nB, kA - 1, kB + 1)
        expect(other.ln).toBeGreaterThanOrEqual(one.ln - 1e-9 * Math.abs(one.ln))
      }),
      settings,
    )
  })

  it('stays a finite number for all counts up to 2³¹', () => {
    const most = 2 ** 31
    const extremes = [0, 1, most].flatMap((nA) => [0, 1, most].map((nB) => ({ nA, nB, kA: nA, kB: nB })))
    fc.assert(
      fc.property(fc.array(fc.oneof(block, fc.constantFrom(...extremes)), { minLength: 1 }), (blocks) => {
        const evidence = new Evidence(errorLevels(1.25), 1.25)
        for (const { nA, nB, kA, kB } of blocks) {
          score(evidence, nA, nB, kA, kB)
          expect(Number.isFinite(evidence.ln)).toBe(true)
          expect(evidence.ln).toBeLessThanOrEqual(CAP * blocks.length)
        }
      }),
      settings,
    )
  })
})

describe('the expectation of e^ℓ', () => {
  const small = fc
    .record({
      nA: fc.integer({ min: 1, max: 12 }),
      nB: fc.integer({ min: 1, max: 12 }),
      k: fc.integer({ min: 1, max: 24 }),
      ratio: fc.constantFrom(...ERROR_RATIOS),
      tolerated: fc.constantFrom(1, 1.25, 2),
    })
    .filter(({ nA, nB, k }) => k <= nA + nB)

  /** Over all arrangements of k failures, whose odds in B are `oddsRatio` times those in A (Fisher's distribution). */
  function expectation(nA: number, nB: number, k: number, oddsRatio: number, value: (kB: number) => number): number {
    let weights = 0
    let sum = 0
    for (let kB = Math.max(0, k - nA); kB <= Math.min(k, nB); kB += 1) {
      const weight = choose(nB, kB) * choose(nA, k - kB) * oddsRatio ** kB
      weights += weight
      sum += weight * value(kB)
    }
    return sum / weights
  }

  function choose(n: number, k: number): number {
    let product = 1
    for (let i = 1; i <= k; i += 1) product *= (n - k + i) / i
    return product
  }

  it('is at most 1 over every arrangement of a block’s failures', () => {
    fc.assert(
      fc.property(small, ({ nA, nB, k, ratio }) => {
        const value = (kB: number) => Math.exp(lnRatioOfBlock({ nA, nB, kA: k - kB, kB }, ratio, 1))
        expect(expectation(nA, nB, k, 1, value)).toBeLessThanOrEqual(1 + 1e-12)
      }),
      settings,
    )
  })

  it('is at most 1 where B’s odds are the tolerated multiple of A’s, or less', () => {
    fc.assert(
      fc.property(small, fc.double({ min: 0.01, max: 1, noNaN: true }), (sample, part) => {
        const { nA, nB, k, ratio, tolerated } = sample
        const value = (kB: number) => Math.exp(lnRatioOfBlock({ nA, nB, kA: k - kB, kB }, ratio * tolerated, tolerated))
        expect(expectation(nA, nB, k, tolerated, value)).toBeLessThanOrEqual(1 + 1e-12)
        expect(expectation(nA, nB, k, tolerated * part, value)).toBeLessThanOrEqual(1 + 1e-12)
      }),
      settings,
    )
  })

  it('is at most 1 for late failures, each B’s with the nominal share', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 0.999, noNaN: true }),
        fc.integer({ min: 1, max: 30 }),
        (share, failures) => {
          const evidence = (kB: number) => {
            const e = new Evidence(errorLevels(1), 1)
            e.add(0, share, failures - kB, kB)
            e.close()
            return Math.exp(e.ln)
          }
          let sum = 0
          for (let kB = 0; kB <= failures; kB += 1) {
            sum += choose(failures, kB) * share ** kB * (1 - share) ** (failures - kB) * evidence(kB)
          }
          expect(sum).toBeLessThanOrEqual(1 + 1e-9)
        },
      ),
      settings,
    )
  })
})
