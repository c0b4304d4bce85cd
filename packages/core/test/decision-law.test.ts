import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Decision, type Hash, type ReleaseOptions, createRelease } from '../src/entries/index.js'

const upstreams = { A: 'http://a:1', B: 'http://b:1' }
const identities = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 })
const percentages = fc.integer({ min: 0, max: 10_000 }).map((hundredths) => hundredths / 100)

function releaseWith(options: Partial<ReleaseOptions>) {
  return createRelease({ name: 'orders-v2', upstreams, ...options })
}

const isOnB = (options: Partial<ReleaseOptions>, consumer: string) =>
  releaseWith(options).decide({ consumer }).upstream === 'B'

test('keeps an identity on B while the percentage grows', () => {
  fc.assert(
    fc.property(identities, percentages, percentages, (consumer, one, other) => {
      const [less, more] = one <= other ? [one, other] : [other, one]
      if (isOnB({ percentage: less, steps: 10_000 }, consumer)) {
        expect(isOnB({ percentage: more, steps: 10_000 }, consumer)).toBe(true)
      }
    }),
    { seed: 41, numRuns: 1000 },
  )
})

test('keeps every identity of one release on B through a percentage that a person raises', () => {
  fc.assert(
    fc.property(fc.uniqueArray(identities, { minLength: 20 }), fc.array(percentages), (consumers, raised) => {
      const release = releaseWith({ percentage: 0, steps: 10_000 })
      const onB = new Set<string>()
      for (const percentage of raised.toSorted((a, b) => a - b)) {
        release.update({ percentage })
        for (const consumer of consumers) {
          const { upstream } = release.decide({ consumer })
          if (onB.has(consumer)) expect(upstream).toBe('B')
          if (upstream === 'B') onB.add(consumer)
        }
      }
    }),
    { seed: 42, numRuns: 100 },
  )
})

test('keeps every identity on B while time passes, also when the clock steps back', () => {
  const instants = fc.array(fc.integer({ min: -60_000, max: 200_000 }), { minLength: 2, maxLength: 60 })
  fc.assert(
    fc.property(fc.uniqueArray(identities, { minLength: 10 }), instants, (consumers, clock) => {
      let now = 0
      const release = releaseWith({ start: 0, duration: 100, clock: () => now })
      const onB = new Set<string>()
      let highest = 0
      for (now of clock) {
        for (const consumer of consumers) {
          const { upstream, bucketsOnB } = release.decide({ consumer })
          expect(bucketsOnB).toBeGreaterThanOrEqual(highest)
          highest = bucketsOnB
          if (onB.has(consumer)) expect(upstream).toBe('B')
          if (upstream === 'B') onB.add(consumer)
        }
        expect(release.status().bucketsOnB).toBe(highest)
      }
      expect(highest).toBe(Math.min(1000, Math.max(0, Math.floor(Math.max(...clock) / 100))))
    }),
    { seed: 43, numRuns: 200 },
  )
})

test('keeps every identity on B when steps are multiplied at an equal percentage', () => {
  const multiples = fc.integer({ min: 1, max: 1000 })
  fc.assert(
    fc.property(identities, percentages, multiples, multiples, (consumer, percentage, steps, by) => {
      if ((percentage * steps) / 100 < 1) return
      const release = releaseWith({ percentage, steps })
      const before = release.decide({ consumer })
      release.update({ steps: steps * by })
      const after = release.decide({ consumer })
      expect(Math.floor((after.bucket ?? -1) / by)).toBe(before.bucket)
      if (before.upstream === 'B') expect(after.upstream).toBe('B')
    }),
    { seed: 44, numRuns: 1000 },
  )
})

test('sends everybody to A at 0 and to B at 100, and at the start and the end of a ramp', () => {
  const steps = fc.integer({ min: 1, max: 4_294_967_296 })
  fc.assert(
    fc.property(identities, steps, (consumer, steps) => {
      expect(isOnB({ percentage: 0, steps }, consumer)).toBe(false)
      expect(isOnB({ percentage: 100, steps }, consumer)).toBe(true)
      expect(isOnB({ start: 1000, duration: 60, steps, clock: () => 1_000_000 }, consumer)).toBe(false)
      expect(isOnB({ start: 1000, duration: 60, steps, clock: () => 1_060_000 }, consumer)).toBe(true)
    }),
    { seed: 45, numRuns: 500 },
  )
})

const hashes: readonly Hash[] = [
  'consumer',
  'ip',
  'none',
  { header: 'x-tenant' },
  { cookie: 'canary_id' },
  { allow: ['staff'] },
  { deny: ['staff'] },
]

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
const refuse = () => {
  throw new Error('refused')
}
const hostile = fc.oneof(
  fc.constantFrom<() => unknown>(revoked, refuse, () => new Proxy({}, { get: refuse, has: refuse, ownKeys: refuse })),
  fc.constantFrom<() => unknown>(
    () => new Proxy([], { get: refuse }),
    () => Symbol('x'),
    () => Object.create(null),
  ),
  fc.constant<() => unknown>(() => ({
    'X-Tenant': { toString: refuse },
    get 'x-tenant'() {
      return refuse()
    },
  })),
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }).map((value) => () => value),
  fc
    .constantFrom('', '\0', '\ud800', '\udfff\ud800', '🐤', 'always', '__proto__', 'x'.repeat(102_400))
    .map((text) => () => text),
)
const descriptions = fc.dictionary(
  fc.constantFrom('consumer', 'groups', 'ip', 'headers', 'cookies', 'secure', '__proto__', 'other'),
  hostile,
)

function expectWhole(decision: Decision): void {
  const { upstream, reason, bucket, bucketsOnB, steps, hashedBy } = decision
  if (reason === 'bucket') {
    expect(bucket).toSatisfy((n) => Number.isInteger(n) && n >= 0 && n < steps)
    expect(upstream).toBe((bucket ?? steps) < bucketsOnB ? 'B' : 'A')
    expect(['consumer', 'ip', 'header', 'cookie', 'none']).toContain(hashedBy)
  } else {
    expect(['group', 'override']).toContain(reason)
    expect(['A', 'B']).toContain(upstream)
  }
}

for (const hash of hashes) {
  test(`decides and explains whatever the request is, hashed by ${JSON.stringify(hash)}`, () => {
    const override = { header: 'x-canary', cookie: 'canary' }
    const release = releaseWith({ percentage: 30, hash, override })
    const told = (input: unknown) => {
      expectWhole(Reflect.apply(release.decide, release, [input]))
      expectWhole(Reflect.apply(release.explain, release, [input]).decision)
    }
    fc.assert(
      fc.property(descriptions, (description) => {
        const getters = Object.entries(description).map(([name, get]) => [name, { get, enumerable: true }] as const)
        told(Object.defineProperties({}, Object.fromEntries(getters)))
      }),
      { seed: 46, numRuns: 1000 },
    )
    fc.assert(fc.property(fc.anything(), told), { seed: 47, numRuns: 500 })
    for (const input of [null, undefined, 0, '', revoked(), new Proxy({}, { get: refuse })]) told(input)
  })
}

test.each([
  ['100 KB', 'x'.repeat(102_400)],
  ['100 KB outside ASCII', 'é'.repeat(51_200)],
  ['NULs', 'a\0b\0'],
  ['lone surrogates', '\ud800x\udc00'],
  ['emoji', '🐤👩‍👩‍👧'],
])('hashes an identity of %s', (_, identity) => {
  for (const hash of ['consumer', { header: 'x-tenant' }, { cookie: 'canary_id' }] as const) {
    const request = { consumer: identity, headers: { 'x-tenant': identity }, cookies: { canary_id: identity } }
    const decision = releaseWith({ percentage: 50, hash }).decide(request)
    expect(decision.hashedBy).not.toBe('none')
    expect(decision.bucket).toBe(releaseWith({ percentage: 1, hash }).decide(request).bucket)
  }
})

test('decides the same in another process', async () => {
  const consumers = Array.from({ length: 200 }, (_, i) => `user-${i * 7919}-é🐤`)
  const program = `
    import { createRelease } from ${JSON.stringify(new URL('../dist/entries/index.js', import.meta.url).href)}
    const release = createRelease({ name: 'orders-v2', upstreams: ${JSON.stringify(upstreams)}, percentage: 37.5 })
    const decisions = ${JSON.stringify(consumers)}.map((consumer) => release.decide({ consumer }))
    console.log(JSON.stringify(decisions))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
  const release = releaseWith({ percentage: 37.5 })
  expect(JSON.parse(stdout)).toEqual(consumers.map((consumer) => release.decide({ consumer })))
})
