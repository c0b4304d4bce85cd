import { expect, test } from 'vitest'
import type { RequestDescription } from '../src/decision/facts.js'
import type { Hash } from '../src/decision/plan.js'
import { type ReleaseOptions, createRelease } from '../src/entries/index.js'

const upstreams = { A: 'http://a:1', B: 'https://b:2/base' }
const logger = { info() {}, warn() {}, error() {} }

function releaseWith(options: Partial<ReleaseOptions> = {}) {
  return createRelease({ name: 'orders-v2', upstreams, percentage: 50, logger, ...options })
}

test('decides with the upstream, the reason and everything it went by', () => {
  // Bucket 226 of alice under the salt `canary` is one of the vectors.
  const alice = { upstream: 'B', reason: 'bucket', hashedBy: 'consumer', bucket: 226, origin: 'https://b:2' }
  const decision = releaseWith({ name: 'canary' }).decide({ consumer: 'alice' })
  expect(decision).toEqual({ ...alice, bucketsOnB: 500, steps: 1000, release: 'canary' })
  expect(JSON.parse(JSON.stringify(decision))).toEqual(decision)
  const other = releaseWith({ name: 'canary', percentage: 22.6 }).decide({ consumer: 'alice' })
  expect(other).toMatchObject({ upstream: 'A', bucket: 226, bucketsOnB: 226, origin: 'http://a:1' })
})

test('names no origin where the upstream is a handler', () => {
  const release = releaseWith({ upstreams: { A: () => {}, B: 'http://b:2' }, percentage: 0 })
  expect(release.decide({ consumer: 'x' }).origin).toBeNull()
})

test('asks the rules in order: standing, override header, override cookie, groups, bucket', () => {
  const options = { override: { header: 'X-Canary', cookie: 'canary' }, hash: { deny: ['staff'] } }
  const toB = { headers: { 'x-canary': 'always' } }
  const toA = { headers: { 'x-canary': 'never' } }
  const said = (options: Partial<ReleaseOptions>, request: RequestDescription) => {
    const { upstream, reason, bucket, hashedBy } = releaseWith(options).decide(request)
    expect([bucket, hashedBy]).toEqual([null, null])
    return `${reason} ${upstream}`
  }
  expect(said({ ...options, enabled: false }, toB)).toBe('disabled A')
  expect(said({ ...options, state: { state: 'rolled-back' } }, toB)).toBe('rolled-back A')
  expect(said({ ...options, state: { state: 'promoted' } }, toA)).toBe('promoted B')
  expect(said({ ...options, enabled: false, state: { state: 'promoted' } }, toB)).toBe('disabled A')
  expect(said(options, { ...toB, cookies: { canary: 'never' } })).toBe('override B')
  expect(said(options, { ...toA, cookies: { canary: 'always' } })).toBe('override A')
  expect(said(options, { headers: { 'x-canary': 'maybe' }, cookies: { canary: 'always' } })).toBe('override B')
  expect(said(options, { cookies: { canary: 'never' } })).toBe('override A')
  expect(said(options, { groups: ['staff'] })).toBe('group A')
  expect(said(options, { groups: ['users'], headers: { 'x-canary': 'ALWAYS' } })).toBe('group B')
})

test('sends whoever is in an allowed group to B and everyone else to A, and the reverse for denied groups', () => {
  const allow = releaseWith({ hash: { allow: ['staff', 'beta'] } })
  const deny = releaseWith({ hash: { deny: ['staff', 'beta'] } })
  const cases: [RequestDescription, boolean][] = [
    [{ groups: ['beta'] }, true],
    [{ groups: ['users', 'staff'] }, true],
    [{ groups: ['users'] }, false],
    [{ groups: ['Staff'] }, false],
    [{ groups: [] }, false],
    [{}, false],
  ]
  for (const [request, member] of cases) {
    expect(allow.decide(request).upstream).toBe(member ? 'B' : 'A')
    expect(deny.decide(request).upstream).toBe(member ? 'A' : 'B')
  }
})

const everything = {
  consumer: 'alice',
  ip: '203.0.113.9',
  headers: { 'X-Tenant': 'acme' },
  cookies: { canary_id: 'c-1' },
}
const without = (...names: (keyof typeof everything)[]) =>
  Object.fromEntries(Object.entries(everything).filter(([name]) => names.every((gone) => gone !== name)))

test.each<[Hash, RequestDescription, string, string | null]>([
  [{ header: 'x-tenant' }, everything, 'header', 'acme'],
  [{ header: 'X-TENANT' }, everything, 'header', 'acme'],
  [{ header: 'x-tenant' }, without('headers'), 'consumer', 'alice'],
  [{ header: 'x-tenant' }, { ...everything, headers: { 'x-tenant': '' } }, 'consumer', 'alice'],
  [{ header: 'x-tenant' }, without('headers', 'consumer'), 'ip', '203.0.113.9'],
  [{ header: 'x-tenant' }, {}, 'none', null],
  [{ cookie: 'canary_id' }, everything, 'cookie', 'c-1'],
  ['consumer', everything, 'consumer', 'alice'],
  ['consumer', { ...everything, consumer: 42 }, 'consumer', '42'],
  ['consumer', { ...everything, consumer: '' }, 'ip', '203.0.113.9'],
  ['consumer', { ...everything, consumer: Number.NaN }, 'ip', '203.0.113.9'],
  ['consumer', without('consumer', 'ip'), 'none', null],
  ['ip', everything, 'ip', '203.0.113.9'],
  ['ip', without('ip'), 'none', null],
  ['ip', { ip: '' }, 'none', null],
  ['ip', { ip: '::ffff:203.0.113.9' }, 'ip', '203.0.113.9'],
  ['ip', { ip: '2001:db8:1:2:3:4:5:6' }, 'ip', '2001:db8:1:2::/64'],
  ['none', everything, 'none', null],
])('hashes by %j, %j: the %s', (hash, request, hashedBy, identity) => {
  const release = releaseWith({ hash })
  expect(release.decide(request)).toMatchObject({ reason: 'bucket', hashedBy })
  expect(release.explain(request).identity).toBe(identity)
  if (identity !== null) {
    const plain = releaseWith({ hash: { header: 'x' } }).decide({ headers: { x: identity } })
    expect(release.decide(request).bucket).toBe(plain.bucket)
  }
})

test('hashes IPv6 clients by as many bits as ipv6Prefix says', () => {
  const identityBy = (ipv6Prefix: number) =>
    releaseWith({ hash: 'ip', ipv6Prefix }).explain({ ip: '2001:db8:1:2:3:4:5:6' }).identity
  expect(identityBy(48)).toBe('2001:db8:1::/48')
  expect(identityBy(64)).toBe('2001:db8:1:2::/64')
  expect(identityBy(128)).toBe('2001:db8:1:2:3:4:5:6/128')
})

test('joins a header that came several times, and does not mistake an inherited name for a header or cookie', () => {
  const header = releaseWith({ hash: { header: 'x-tenant' } })
  expect(header.explain({ headers: { 'x-tenant': ['a', 'b'] } }).identity).toBe('a, b')
  expect(releaseWith({ hash: { header: 'constructor' } }).decide({ headers: {} }).hashedBy).toBe('none')
  expect(releaseWith({ hash: { cookie: 'toString' } }).decide({ cookies: {} }).setCookie).toMatch(/^toString=/)
})

test('gives a visitor without the cookie a fresh id that is hashed at once', () => {
  const release = releaseWith({ hash: { cookie: 'canary_id' } })
  const first = release.decide({ consumer: 'alice', ip: '203.0.113.9' })
  expect(first.hashedBy).toBe('cookie')
  expect(first.setCookie).toMatch(
    /^canary_id=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax$/,
  )
  const id = first.setCookie?.slice('canary_id='.length).split(';')[0]
  const second = release.decide({ cookies: { canary_id: id } })
  expect([second.bucket, second.upstream]).toEqual([first.bucket, first.upstream])
  expect('setCookie' in second).toBe(false)
  expect(release.decide({}).setCookie).not.toBe(first.setCookie)
  expect(release.decide({ cookies: { canary_id: '' } }).setCookie).toBeDefined()
})

test('marks the cookie Secure on TLS only', () => {
  const release = releaseWith({ hash: { cookie: 'canary_id' } })
  expect(release.decide({ secure: true }).setCookie).toMatch(/; SameSite=Lax; Secure$/)
  expect(release.decide({ secure: false }).setCookie).not.toContain('Secure')
})

test('sets no cookie where no bucket is needed', () => {
  const options = { hash: { cookie: 'canary_id' }, override: { header: 'x-canary' } }
  const overridden = releaseWith(options).decide({ headers: { 'x-canary': 'always' } })
  const rolledBack = releaseWith({ ...options, state: { state: 'rolled-back' } }).decide({})
  expect([overridden.setCookie, rolledBack.setCookie]).toEqual([undefined, undefined])
})

test('makes other users first under another salt, and the same under the same whatever the name', () => {
  const users = Array.from({ length: 1000 }, (_, i) => `user-${i}`)
  const bucketsOf = (options: Partial<ReleaseOptions>) => {
    const release = releaseWith(options)
    return users.map((consumer) => release.decide({ consumer }).bucket)
  }
  expect(bucketsOf({ name: 'other' })).not.toEqual(bucketsOf({}))
  expect(bucketsOf({ name: 'other', salt: 'orders-v2' })).toEqual(bucketsOf({}))
})

test('says after a rollback that no bucket is on B, and after a promotion that all are', () => {
  const release = releaseWith()
  release.promote()
  expect(release.decide({}).bucketsOnB).toBe(1000)
  release.rollback()
  expect(release.decide({}).bucketsOnB).toBe(0)
})
