import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { MAX_STEPS, bucketOf, bucketOfHash, compileSalt } from '../src/decision/bucket.js'
import { hashWithPrefix } from '../src/decision/murmur3.js'
import { readVectors } from './vectors.js'

const vectors = z
  .object({
    cases: z.array(
      z.object({
        salt: z.string(),
        identifier: z.string(),
        hash: z.number(),
        buckets: z.record(z.string(), z.number()),
      }),
    ),
    products: z.array(z.object({ hash: z.number(), steps: z.number(), bucket: z.number() })),
    loneSurrogate: z.object({ salt: z.string(), identifierUtf16: z.array(z.string()), hash: z.number() }),
  })
  .parse(readVectors('buckets'))

test(`hashes and places all ${vectors.cases.length} identities of the vectors`, () => {
  expect(vectors.cases.length).toBeGreaterThan(40)
  for (const { salt, identifier, hash, buckets } of vectors.cases) {
    const compiled = compileSalt(salt)
    expect(hashWithPrefix(compiled, identifier), `${salt}:${identifier.slice(0, 50)}`).toBe(hash)
    for (const [steps, bucket] of Object.entries(buckets)) {
      expect(bucketOf(compiled, identifier, Number(steps)), `${identifier.slice(0, 50)} of ${steps}`).toBe(bucket)
    }
  }
})

test('multiplies hashes and steps exactly where the product exceeds 2⁵³', () => {
  expect(vectors.products.length).toBeGreaterThan(10)
  for (const { hash, steps, bucket } of vectors.products) expect(bucketOfHash(hash, steps)).toBe(bucket)
})

test('hashes a lone surrogate as U+FFFD', () => {
  const { salt, identifierUtf16, hash } = vectors.loneSurrogate
  const identity = String.fromCharCode(...identifierUtf16.map((unit) => Number.parseInt(unit, 16)))
  expect(hashWithPrefix(compileSalt(salt), identity)).toBe(hash)
})

const hashes = fc.integer({ min: 0, max: MAX_STEPS - 1 })

test('agrees with exact arithmetic for any hash and any number of steps', () => {
  fc.assert(
    fc.property(hashes, fc.integer({ min: 1, max: MAX_STEPS }), (hash, steps) => {
      expect(bucketOfHash(hash, steps)).toBe(Number((BigInt(hash) * BigInt(steps)) >> 32n))
    }),
    { seed: 7, numRuns: 20_000 },
  )
})

test('only refines the order when steps are multiplied', () => {
  fc.assert(
    fc.property(hashes, fc.integer({ min: 1, max: 65_536 }), fc.integer({ min: 1, max: 65_536 }), (hash, steps, by) => {
      expect(Math.floor(bucketOfHash(hash, steps * by) / by)).toBe(bucketOfHash(hash, steps))
    }),
    { seed: 8, numRuns: 10_000 },
  )
})

test('makes other identities first under another salt', () => {
  const identities = Array.from({ length: 20_000 }, (_, i) => `user-${i}`)
  const firstUnder = (salt: string) => {
    const compiled = compileSalt(salt)
    return new Set(identities.filter((identity) => bucketOf(compiled, identity, 100) < 10))
  }
  const one = firstUnder('orders-v2')
  const both = [...firstUnder('orders-v3')].filter((identity) => one.has(identity)).length
  // Independent: 1 % of n = 20000 is 200, σ = √(20000 × 0.01 × 0.99) = 14.1; tolerated 4 σ.
  expect(Math.abs(both - 200)).toBeLessThan(4 * 14.1)
})
