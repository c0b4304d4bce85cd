import { createRelease } from '@canary-release/core'
import { expect, test } from 'vitest'
import { ask, echoOf } from './client.js'
import { type Stage, always, never } from './stage.js'

const byHeader = (request: { headers: Record<string, unknown> }) => request.headers['x-user']
const side = async (url: string, headers: Record<string, string> = {}) => (await echoOf(url, { headers })).name
const sides = (url: string, users: number) =>
  Promise.all(Array.from({ length: users }, (_, i) => side(url, { 'x-user': `user-${i}` })))

export function decisions(stage: Stage): void {
  const { app } = stage

  test('sends everything to A at 0 %, everything to B at 100 %', async () => {
    for (const [percentage, expected] of [
      [0, 'A'],
      [100, 'B'],
    ] as const) {
      const { url } = await app({ percentage, consumer: byHeader })
      expect(new Set(await sides(url, 20))).toEqual(new Set([expected]))
    }
  })

  test('keeps a consumer on one side, and splits consumers by the percentage', async () => {
    const { url } = await app({ percentage: 50, consumer: byHeader })
    const first = await sides(url, 60)
    expect(await sides(url, 60)).toEqual(first)
    const onB = first.filter((name) => name === 'B').length
    expect(onB).toBeGreaterThan(15)
    expect(onB).toBeLessThan(45)
  })

  test('moves consumers only from A to B while the percentage grows', async () => {
    const release = createRelease(stage.options({ percentage: 10, consumer: byHeader }) as never)
    const { url } = await app(release)
    let before = await sides(url, 40)
    for (const percentage of [30, 60, 90, 100]) {
      release.update({ percentage })
      const after = await sides(url, 40)
      expect(after.filter((name, i) => before[i] === 'B' && name === 'A')).toEqual([])
      before = after
    }
    expect(new Set(before)).toEqual(new Set(['B']))
  })

  test('obeys the override header, then the override cookie, and ignores other values', async () => {
    const { url } = await app({ percentage: 0 })
    expect(await side(url, always)).toBe('B')
    expect(await side(url, { cookie: 'x=1; canary=always' })).toBe('B')
    expect(await side(url, { ...never, cookie: 'canary=always' })).toBe('A')
    expect(await side(url, { 'x-canary': 'maybe' })).toBe('A')
  })

  test('a rollback goes before every override', async () => {
    const release = createRelease(stage.options({ percentage: 100 }) as never)
    const { url } = await app(release)
    release.rollback('bad')
    expect(await side(url, always)).toBe('A')
    release.restart()
    expect(await side(url)).toBe('B')
    release.promote()
    expect(await side(url, never)).toBe('B')
  })

  test('a disabled release sends everything to A', async () => {
    const { url } = await app({ percentage: 100, enabled: false })
    expect(await side(url, always)).toBe('A')
  })

  test.each([
    ['allow', 'B', 'A'],
    ['deny', 'A', 'B'],
  ] as const)('%s: members to %s, everybody else to %s', async (hash, member, other) => {
    const authenticate = (headers: Record<string, unknown>) => ({ id: 1, groups: [headers['x-group']] })
    const { url } = await app({ hash: { [hash]: ['beta', 'staff'] } }, { authenticate })
    expect(await side(url, { 'x-group': 'beta' })).toBe(member)
    expect(await side(url, { 'x-group': 'public' })).toBe(other)
  })

  test('takes groups from roles, and from the words of scope', async () => {
    for (const user of [{ roles: ['beta'] }, { scope: 'read beta' }]) {
      const { url } = await app({ hash: { allow: ['beta'] } }, { authenticate: () => user })
      expect(await side(url)).toBe('B')
    }
  })

  test('hashes a header, and falls back to the consumer', async () => {
    const release = createRelease(stage.options({ hash: { header: 'X-Tenant' }, consumer: byHeader }) as never)
    const reasons: unknown[] = []
    release.on('decision', ({ hashedBy }) => reasons.push(hashedBy))
    const { url } = await app(release)
    const tenants = await Promise.all(
      Array.from({ length: 20 }, () => side(url, { 'x-tenant': 'acme', 'x-user': 'a' })),
    )
    expect(new Set(tenants).size).toBe(1)
    await side(url, { 'x-user': 'alice' })
    await side(url)
    expect(reasons.slice(-3)).toEqual(['header', 'consumer', 'ip'])
  })

  test('none: every second request, exactly', async () => {
    const { url } = await app({ hash: 'none', percentage: 50 })
    const served: string[] = []
    for (let i = 0; i < 20; i += 1) served.push(await side(url))
    expect(served.filter((name) => name === 'B')).toHaveLength(10)
    for (let i = 1; i < served.length; i += 1) expect(served[i]).not.toBe(served[i - 1])
  })

  const FORWARDED = { realIpHeader: 'forwarded' }
  test.each([
    [{}, { 'x-forwarded-proto': 'https' }, true],
    [{}, { 'x-forwarded-proto': ' HTTPS , http' }, true],
    [{}, { 'x-forwarded-proto': ['wss', 'ws'] }, true],
    [{}, { 'x-forwarded-proto': 'http, https' }, false],
    [{}, { 'x-forwarded-proto': 'httpss' }, false],
    [{}, { forwarded: 'proto=https' }, false],
    [FORWARDED, { forwarded: 'for=192.0.2.9;proto=https, for=127.0.0.1;proto=http' }, true],
    [FORWARDED, { forwarded: 'for=192.0.2.9;proto=http;by="https", proto=https' }, false],
    [FORWARDED, { forwarded: 'proto=https;;' }, false],
    [FORWARDED, { forwarded: 'proto=https', 'x-forwarded-proto': 'http' }, false],
  ])(
    'with %j a trusted peer that says %j makes a cookie Secure: %j; a stranger does not',
    async (more, headers, secure) => {
      const hash = { cookie: 'canary_id' }
      for (const [trustedIps, expected] of [
        [['loopback'], secure],
        [['192.0.2.1'], false],
        [null, false],
      ] as const) {
        const { url } = await app({ hash, ...more, ...(trustedIps === null ? {} : { trustedIps }) })
        const [cookie = ''] = (await ask(url, { headers })).headers['set-cookie'] ?? []
        expect(cookie).toMatch(expected ? /^canary_id=.*; Secure$/ : /^canary_id=.*; SameSite=Lax$/)
      }
    },
  )

  test('a visitor without cookie gets one with the first response, and stays where that response came from', async () => {
    const { url } = await app({ hash: { cookie: 'canary_id' }, exposeHeader: 'x-upstream' })
    const served = new Set<unknown>()
    for (let i = 0; i < 12; i += 1) {
      const first = await ask(url)
      const [cookie = ''] = first.headers['set-cookie'] ?? []
      expect(cookie).toMatch(/^canary_id=[0-9a-f-]{36}; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax$/)
      expect(first.headers['cache-control']).toBe('private')
      const again = await ask(url, { headers: { cookie: cookie.split(';')[0] } })
      expect(again.headers['set-cookie']).toBeUndefined()
      expect(again.headers['x-upstream']).toBe(first.headers['x-upstream'])
      served.add(first.headers['x-upstream'])
    }
    expect(served).toEqual(new Set(['A', 'B']))
  })

  test('names the upstream in a response header, and what a cache must tell apart', async () => {
    const { url } = await app({ exposeHeader: 'x-upstream', percentage: 100 })
    const { headers } = await ask(`${url}/cookies`)
    expect([headers['x-upstream'], headers.vary]).toEqual(['B', '*'])
    const byHash = await app({
      exposeHeader: 'x-upstream',
      hash: { header: 'x-tenant' },
      override: { header: 'x-canary' },
    })
    expect((await ask(`${byHash.url}/cookies`)).headers.vary).toBe('accept, x-tenant, x-canary')
  })

  test('a rollback, a restart and an update hold from the next request on', async () => {
    const release = createRelease(stage.options({ percentage: 100 }) as never)
    const { url } = await app(release)
    const served = [await side(url)]
    release.rollback()
    served.push(await side(url))
    release.restart()
    served.push(await side(url))
    release.update({ upstreams: { A: stage.A(), B: stage.A() } })
    served.push(await side(url))
    expect(served).toEqual(['B', 'A', 'B', 'A'])
    expect(() => release.update({ percentage: 101 })).toThrow('percentage must be between 0 and 100, got 101')
    expect(release.status().percentage).toBe(100)
  })

  test('a ramp follows its clock', async () => {
    let now = Date.UTC(2026, 0, 1)
    const clock = () => now
    const options = stage.options({
      percentage: undefined,
      start: new Date(now),
      duration: 100,
      clock,
      consumer: byHeader,
    })
    const { url } = await app(createRelease(options as never))
    expect(new Set(await sides(url, 20))).toEqual(new Set(['A']))
    now += 50_000
    expect(new Set(await sides(url, 40))).toEqual(new Set(['A', 'B']))
    now += 50_000
    expect(new Set(await sides(url, 20))).toEqual(new Set(['B']))
  })

  test('decides a request once, however often the same release is mounted', async () => {
    const release = createRelease(stage.options({ mode: 'rewrite' }) as never)
    let decided = 0
    release.on('decision', () => (decided += 1))
    const { url } = await stage.mounted({ mounts: [{ source: release }, { source: release }], rewrites: true })
    await ask(`${url}/x`)
    expect(decided).toBe(1)
  })

  test('counts requests and failures by upstream, from the raw status', async () => {
    const release = createRelease(stage.options() as never)
    const outcomes: unknown[] = []
    release.on('outcome', ({ status, decision, error }) => outcomes.push([decision.upstream, status, error]))
    const { url } = await app(release)
    await ask(`${url}/status/503`, { headers: always })
    await ask(`${url}/status/404`, { headers: never })
    expect(outcomes).toEqual([
      ['B', 503, null],
      ['A', 404, null],
    ])
    const { counts } = release.status()
    expect(counts).toEqual({ A: { requests: 1, failures: 0 }, B: { requests: 1, failures: 1 }, fallback: 0 })
  })
}
