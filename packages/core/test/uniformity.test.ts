import { expect, test } from 'vitest'
import { bucketOf, compileSalt } from '../src/decision/bucket.js'

const N = 100_000

/** Marsaglia's xorshift32: the same identities in every run. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

const next = generator(20_260_101)
const hex = (digits: number) => (next() % 16 ** digits).toString(16).padStart(digits, '0')
const NAMES = ['ada', 'grace', 'alan', 'edsger', 'barbara', 'donald', 'leslie', 'tony']
const HOSTS = ['example.com', 'example.org', 'mail.example.net']

const shapes: Record<string, (i: number) => string> = {
  UUIDs: () => `${hex(4)}${hex(4)}-${hex(4)}-4${hex(3)}-${'89ab'[next() % 4]}${hex(3)}-${hex(4)}${hex(4)}${hex(4)}`,
  'sequential numbers': (i) => String(i),
  'e-mail addresses': (i) => `${NAMES[i % NAMES.length]}.${Math.floor(i / 24)}@${HOSTS[Math.floor(i / 8) % 3]}`,
  'IPv4 addresses': (i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`,
  'IPv6 networks': (i) => `2001:db8:${(i >> 12).toString(16)}:${(i & 0xfff).toString(16)}::/64`,
}

/** Σ (observed − expected)² / expected over the buckets. */
function chiSquare(identities: readonly string[], salt: string, steps: number): number {
  const compiled = compileSalt(salt)
  const counts = new Uint32Array(steps)
  for (const identity of identities) {
    const bucket = bucketOf(compiled, identity, steps)
    counts[bucket] = (counts[bucket] ?? 0) + 1
  }
  const expected = identities.length / steps
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
}

// Of n = 100000 identities the statistic has mean df = steps − 1 and σ = √(2 df); tolerated: 4 σ, either way.
for (const [shape, make] of Object.entries(shapes)) {
  test(`spreads ${N} ${shape} evenly over buckets, under several salts`, () => {
    const identities = Array.from({ length: N }, (_, i) => make(i))
    expect(new Set(identities).size).toBe(N)
    for (const salt of ['orders-v2', 'checkout', '']) {
      for (const steps of [100, 1000]) {
        const df = steps - 1
        const deviation = (chiSquare(identities, salt, steps) - df) / Math.sqrt(2 * df)
        expect(Math.abs(deviation), `${shape}, ${steps} steps, salt "${salt}"`).toBeLessThan(4)
      }
    }
  })
}

test('is a test that an uneven spread fails', () => {
  const identities = Array.from({ length: N }, (_, i) => (i % 50 === 0 ? 'one-and-the-same' : String(i)))
  expect((chiSquare(identities, 'orders-v2', 100) - 99) / Math.sqrt(198)).toBeGreaterThan(100)
})
