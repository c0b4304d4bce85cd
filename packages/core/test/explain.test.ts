import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Hash, type ReleaseOptions, type RequestDescription, createRelease } from '../src/entries/index.js'

const upstreams = { A: 'http://a:1', B: 'http://b:1' }
const logger = { info() {}, warn() {}, error() {} }

function releaseWith(options: Partial<ReleaseOptions>) {
  return createRelease({ name: 'canary', upstreams, logger, random: () => 0.25, ...options })
}

const hashes = fc.constantFrom<Hash>(
  'consumer',
  'ip',
  'none',
  { header: 'x-tenant' },
  { cookie: 'canary_id' },
  { allow: ['staff'] },
  { deny: ['staff', 'beta'] },
)
const word = fc.constantFrom('', 'always', 'never', 'alice', 'bob', '🐤')
const requests: fc.Arbitrary<RequestDescription> = fc.record(
  {
    consumer: word,
    groups: fc.subarray(['staff', 'beta', 'users']),
    ip: fc.oneof(fc.ipV4(), fc.ipV6()),
    headers: fc.dictionary(fc.constantFrom('X-Tenant', 'x-canary', 'other'), word),
    cookies: fc.dictionary(fc.constantFrom('canary_id', 'canary', 'other'), word),
  },
  { requiredKeys: [] },
)
const shares: fc.Arbitrary<Partial<ReleaseOptions>> = fc.oneof(
  fc.integer({ min: 0, max: 100 }).map((percentage) => ({ percentage })),
  fc.integer({ min: 0, max: 200 }).map((seconds) => ({ start: 0, duration: 100, clock: () => seconds * 1000 })),
  fc.constantFrom('rolled-back' as const, 'promoted' as const).map((state) => ({ percentage: 10, state: { state } })),
  fc.constant({ percentage: 10, enabled: false }),
)

test('explains the decision that is then made, and changes nothing', () => {
  fc.assert(
    fc.property(hashes, shares, fc.array(requests, { minLength: 1, maxLength: 10 }), (hash, share, sequence) => {
      const options = { ...share, hash, override: { header: 'x-canary', cookie: 'canary' } }
      const explained = releaseWith(options)
      const plain = releaseWith(options)
      const told: unknown[] = []
      explained.on('decision', (decision) => told.push(decision))
      explained.on('change', (change) => told.push(change))
      for (const request of sequence) {
        const before = [explained.status(), told.length]
        const { decision, rules } = explained.explain(request)
        expect([explained.status(), told.length]).toEqual(before)
        const made = explained.decide(request)
        const fresh =
          made.setCookie === undefined
            ? {}
            : {
                bucket: expect.any(Number),
                upstream: expect.any(String),
                setCookie: expect.any(String),
                origin: expect.any(String),
              }
        expect(decision).toEqual({ ...made, ...fresh })
        expect(plain.decide(request)).toEqual({ ...made, ...fresh })
        // The last rule is the one that applies, and no other.
        expect(rules.map(({ applies }) => applies)).toEqual([...rules.slice(1).map(() => false), true])
        expect(rules.every(({ why }) => why.length > 0)).toBe(true)
      }
    }),
    { seed: 61, numRuns: 2000 },
  )
})

test('names the percentage from which an identity is on B, exactly', () => {
  const consumers = fc.string({ minLength: 1 })
  fc.assert(
    fc.property(consumers, fc.integer({ min: 1, max: 100_000 }), (consumer, steps) => {
      const release = releaseWith({ percentage: 0, steps })
      const { goesToB, decision } = release.explain({ consumer })
      release.update({ percentage: goesToB?.percentage })
      expect(release.decide({ consumer })).toMatchObject({ upstream: 'B', bucketsOnB: (decision.bucket ?? -1) + 1 })
    }),
    { seed: 62, numRuns: 1000 },
  )
})

test('names the millisecond at which an identity goes over to B', () => {
  const durations = fc.integer({ min: 1, max: 100_000_000 })
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), durations, fc.integer({ min: 1, max: 100_000 }), (consumer, ms, steps) => {
      const build = (now: number) =>
        releaseWith({ start: 1_700_000_000, duration: Math.max(1, ms) / 1000, steps, clock: () => now })
      const date = build(0).explain({ consumer }).goesToB?.date
      const instant = Date.parse(date ?? '')
      expect(build(instant).decide({ consumer }).upstream).toBe('B')
      expect(build(instant - 1).decide({ consumer }).upstream).toBe('A')
    }),
    { seed: 63, numRuns: 1000 },
  )
})

test('says each rule that was looked at, and what it found', () => {
  const override = { header: 'X-Canary', cookie: 'canary' }
  const release = releaseWith({ percentage: 50, hash: { header: 'x-tenant' }, override })
  const { rules, identity, goesToB } = release.explain({ consumer: 'alice', headers: { 'x-canary': 'perhaps' } })
  expect(rules).toEqual([
    { rule: 'state', applies: false, why: '500 of 1000 buckets are on B' },
    { rule: 'override header', applies: false, why: 'x-canary says "perhaps"' },
    { rule: 'override cookie', applies: false, why: 'canary is missing' },
    { rule: 'header', applies: false, why: 'the request has no header' },
    { rule: 'consumer', applies: true, why: 'bucket 226 is below 500' },
  ])
  expect([identity, goesToB]).toEqual(['alice', { percentage: 22.7, date: null }])
  expect(release.explain({ cookies: { canary: 'never' } }).rules.at(-1)).toEqual({
    rule: 'override cookie',
    applies: true,
    why: 'canary says "never"',
  })
  release.rollback()
  expect(release.explain({ consumer: 'alice' })).toMatchObject({
    rules: [{ rule: 'state', applies: true, why: 'the release is rolled-back: everything goes to A' }],
    identity: null,
    goesToB: null,
  })
})

test('says of groups what was looked for and whether the caller is in it', () => {
  const release = releaseWith({ percentage: 50, hash: { allow: ['staff', 'beta'] } })
  expect(release.explain({ groups: ['beta'] }).rules.at(-1)?.why).toBe('in one of "staff", "beta" (allow)')
  expect(release.explain({}).rules.at(-1)?.why).toBe('not in one of "staff", "beta" (allow)')
})

test('names no date while the release stands still', () => {
  const release = releaseWith({ start: 1000, duration: 100, clock: () => 1_020_000 })
  expect(release.explain({ consumer: 'alice' }).goesToB?.date).toBe(new Date(1_022_700).toISOString())
  release.pause()
  expect(release.explain({ consumer: 'alice' }).goesToB).toEqual({ percentage: 22.7, date: null })
})

test('stays readable for a hostile request', () => {
  const release = releaseWith({ percentage: 50, override: { header: 'x-canary' } })
  const { rules } = release.explain({ consumer: 'x'.repeat(102_400), headers: { 'x-canary': 'y\n'.repeat(50_000) } })
  expect(rules.every(({ why }) => why.length < 300 && !why.includes('\n'))).toBe(true)
})
