import { apiKeyConsumers, createRelease, type Decision } from '@canary-release/core'
import { expect, test } from 'vitest'
import { ask } from './client.js'
import type { AppSpec } from './frameworks.js'
import type { Stage } from './stage.js'

const SILENT = { info() {}, warn() {}, error() {} }

const throwing = () => {
  throw new Error('no session')
}

const NONSENSE: [string, () => unknown, RegExp][] = [
  ['throws', throwing, /no session/],
  ['returns a promise', async () => 'alice', /async function/],
  ['returns an object', () => ({ id: 1 }), /type object/],
]

/** Who the caller is, and where it is. */
export function callers(stage: Stage): void {
  async function decided(
    more: object,
    headers: Record<string, string> = {},
    spec: Partial<AppSpec> = {},
    query = '',
  ): Promise<Decision> {
    const release = createRelease(stage.options({ logger: SILENT, ...more }) as never)
    const decisions: Decision[] = []
    release.on('decision', (decision) => decisions.push(decision))
    const { url } = await stage.app(release, spec)
    await ask(`${url}/x${query}`, { headers })
    expect(decisions).toHaveLength(1)
    return decisions[0] as Decision
  }
  const bucketOf = (request: object) => createRelease(stage.options() as never).decide(request).bucket

  test.each([
    ['id', { id: 'alice', username: 'x' }],
    ['sub', { sub: 'alice', username: 'x' }],
    ['username', { username: 'alice' }],
    ['_id', { _id: 'alice' }],
    ['_id of MongoDB', { _id: { toHexString: () => 'alice' } }],
  ])('the consumer is the %s of the user that the authentication left', async (_name, user) => {
    const { bucket, hashedBy } = await decided({}, {}, { authenticate: () => user })
    expect([bucket, hashedBy]).toEqual([bucketOf({ consumer: 'alice' }), 'consumer'])
  })

  test('the consumer may be in auth, as express-jwt leaves it', async () => {
    const { bucket } = await decided({}, {}, { authenticate: () => ({ sub: 'alice' }), as: 'auth' })
    expect(bucket).toBe(bucketOf({ consumer: 'alice' }))
  })

  test('the consumer may be a number', async () => {
    const { bucket } = await decided({}, {}, { authenticate: () => ({ id: 7 }) })
    expect(bucket).toBe(bucketOf({ consumer: '7' }))
  })

  test.each([
    ['an email alone', { email: 'alice@example.com' }, true],
    ['an id that is an object', { id: { value: 7 } }, true],
    ['a list', ['alice'], true],
    ['no field at all', {}, false],
    ['an id', { id: 'alice' }, false],
  ])('a user with %s is warned about once where nobody can be known by it', async (_name, user, warns) => {
    const warnings: string[] = []
    const logger = { ...SILENT, warn: (text: string) => void warnings.push(text) }
    const release = createRelease(stage.options({ logger }) as never)
    const hashed: unknown[] = []
    release.on('decision', ({ hashedBy }) => hashed.push(hashedBy))
    const { url } = await stage.app(release, { authenticate: () => user })
    for (let i = 0; i < 3; i += 1) await ask(`${url}/x`)
    const by = 'id' in user && user.id === 'alice' ? 'consumer' : 'ip'
    expect(hashed).toEqual([by, by, by])
    expect(warnings).toEqual(
      warns ? [expect.stringMatching(/user has no id, sub, username, _id.*option consumer/)] : [],
    )
  })

  test('the consumer is never taken from a header, but by a function that says so', async () => {
    expect((await decided({}, { 'x-user': 'alice', authorization: 'alice' })).hashedBy).toBe('ip')
    const consumer = ({ headers }: { headers: Record<string, string> }) => headers['x-user']
    expect((await decided({ consumer }, { 'x-user': 'alice' })).bucket).toBe(bucketOf({ consumer: 'alice' }))
  })

  test('callers with API keys', async () => {
    const consumer = apiKeyConsumers({ header: 'apikey', query: 'key', keys: { s3cret: 'alice' } })
    expect((await decided({ consumer }, { apikey: 's3cret' })).bucket).toBe(bucketOf({ consumer: 'alice' }))
    expect((await decided({ consumer }, { apikey: 'guess' })).hashedBy).toBe('ip')
    expect((await decided({ consumer }, { apikey: 's3cret'.repeat(1000) })).hashedBy).toBe('ip')
    const byQuery = async (query: string) => (await decided({ consumer }, {}, {}, query)).bucket
    expect(await byQuery('?page=2&key=s3cret')).toBe(bucketOf({ consumer: 'alice' }))
    expect(await byQuery('?page=2')).toBe((await decided({})).bucket)
  })

  test.each([
    ['throws', throwing, /no session/],
    ['returns a promise', async () => ['staff'], /groups must return a list of texts/],
    ['returns a text', () => 'staff', /groups must return a list of texts/],
  ])('a groups function that %s is reported once, and nobody is in a group', async (_name, groups, message) => {
    const errors: unknown[] = []
    const onError = (error: unknown) => errors.push(error)
    const hash = { allow: ['staff'] }
    const release = createRelease(stage.options({ groups, hash, logger: SILENT, onError }) as never)
    const { url } = await stage.app(release)
    for (let i = 0; i < 3; i += 1) expect(JSON.parse((await ask(url)).text).name).toBe('A')
    expect(errors).toHaveLength(1)
    expect(String(errors[0])).toMatch(message)
  })

  test.each(NONSENSE)(
    'a consumer function that %s is reported once, and the chain goes on',
    async (_name, consumer, message) => {
      const errors: unknown[] = []
      const release = createRelease(
        stage.options({ consumer, onError: (error: unknown) => errors.push(error) }) as never,
      )
      const { url } = await stage.app(release)
      for (let i = 0; i < 3; i += 1) expect((await ask(url)).status).toBe(200)
      expect(errors).toHaveLength(1)
      expect(String(errors[0])).toMatch(message)
    },
  )

  test.each([
    ['x-forwarded-for', '198.51.100.7, 127.0.0.1', '198.51.100.7'],
    ['x-forwarded-for', '6.6.6.6, 198.51.100.7', '198.51.100.7'],
    ['x-forwarded-for', '198.51.100.7:4711', '198.51.100.7'],
    ['x-forwarded-for', '[2001:db8:1:2::7]:443', '2001:db8:1:2::9'],
    ['x-real-ip', '198.51.100.7', '198.51.100.7'],
    ['forwarded', 'for=6.6.6.6, for="198.51.100.7:80";proto=https', '198.51.100.7'],
  ])('behind a trusted proxy the client is read from %s: %s', async (realIpHeader, value, ip) => {
    const { bucket, hashedBy } = await decided(
      { hash: 'ip', trustedIps: ['loopback'], realIpHeader },
      { [realIpHeader]: value },
    )
    expect([bucket, hashedBy]).toEqual([bucketOf({ ip }), 'ip'])
  })

  test('a forwarding header of anybody else is not believed, and warned about once', async () => {
    const warnings: string[] = []
    const logger = { ...SILENT, warn: (text: string) => void warnings.push(text) }
    const release = createRelease(stage.options({ hash: 'ip', logger }) as never)
    const decisions: Decision[] = []
    release.on('decision', (decision) => decisions.push(decision))
    const { url } = await stage.app(release)
    for (let i = 0; i < 3; i += 1) await ask(url, { headers: { 'x-forwarded-for': `198.51.100.${i}` } })
    expect(new Set(decisions.map(({ bucket }) => bucket))).toEqual(new Set([bucketOf({ ip: '127.0.0.1' })]))
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/x-forwarded-for came from .*127\.0\.0\.1/)
  })

  test('all addresses of an IPv6 network are one client', async () => {
    const decide = (ip: string) =>
      decided({ hash: 'ip', trustedIps: ['loopback'] }, { 'x-forwarded-for': ip }).then(({ bucket }) => bucket)
    expect(await decide('2001:db8:1:2::1')).toBe(await decide('2001:DB8:1:2:ffff::2'))
  })
}
