import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { adminHandler, listenAdmin } from '@canary-release/admin'
import { type Registry, createRegistry, memoryStore } from '@canary-release/core/registry'
import { type Authentication, byToken } from '../src/authentication.js'
import { Refusal } from '../src/refusal.js'
import { WrongTokens } from '../src/wrong-tokens.js'
import { openAdmin, send } from './client.js'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

async function openRegistry(): Promise<Registry> {
  const registry = await createRegistry({ store: memoryStore() })
  closing.push(() => registry.close())
  return registry
}

/** A server whose clients seem to come from `peer`. */
async function seenFrom(peer: string, options: Partial<Parameters<typeof listenAdmin>[0]> = {}): Promise<string> {
  const { url, server, close } = await listenAdmin({ registry: await openRegistry(), port: 0, ...options })
  server.prependListener('request', ({ socket }: IncomingMessage) =>
    Object.defineProperty(socket, 'remoteAddress', { value: peer }),
  )
  closing.push(close)
  return url
}

/** Sends bytes as they are, and gives all that comes until the server closes. */
async function raw(url: string, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.end(bytes)
  await once(socket, 'close')
  return Buffer.concat(chunks).toString()
}

const TOKEN = 'correct-horse-battery-staple'

describe('with a token', () => {
  test('a request without it, or with another, is 401 and changes nothing', async () => {
    const wrong: Record<string, string>[] = [
      {},
      { authorization: 'Bearer' },
      { authorization: 'Bearer ' },
      { authorization: `Bearer ${TOKEN}x` },
      { authorization: `Bearer ${TOKEN.slice(1)}` },
      { authorization: `Bearer ${TOKEN.toUpperCase()}` },
      { authorization: `Bearer x, Bearer ${TOKEN}` },
      { authorization: `Basic ${TOKEN}` },
      { authorization: TOKEN },
      { 'kong-admin-token': '' },
      { 'kong-admin-token': `${TOKEN} x` },
      { cookie: `token=${TOKEN}` },
    ]
    for (const headers of wrong) {
      await using admin = await openAdmin({ token: TOKEN })
      for (const [method, path] of [
        ['POST', '/services'],
        ['GET', `/services?token=${TOKEN}`],
        ['DELETE', '/x'],
        ['OPTIONS', '/'],
      ] as const) {
        const {
          status,
          body,
          headers: received,
        } = await send(admin.url, method, path, { json: { host: 'h' }, headers })
        expect([headers, status, body]).toEqual([headers, 401, { message: 'Unauthorized' }])
        expect(received['www-authenticate']).toBe('Bearer realm="admin"')
      }
      expect(admin.registry.version).toBe(0)
      expect(admin.logged.join()).not.toContain(TOKEN)
    }
  })

  test('a request with it is served, whichever header brings it', async () => {
    await using admin = await openAdmin({ token: TOKEN })
    const right = [
      { authorization: `Bearer ${TOKEN}` },
      { authorization: `bearer ${TOKEN}` },
      { 'kong-admin-token': TOKEN },
      { 'kong-admin-token': TOKEN, authorization: 'Basic b3RoZXI6b25l' },
    ]
    for (const headers of right)
      expect(await send(admin.url, 'GET', '/services', { headers })).toMatchObject({ status: 200 })
    const headers = { authorization: `Bearer ${TOKEN}` }
    expect(await send(admin.url, 'POST', '/services', { json: { host: 'h' }, headers })).toMatchObject({ status: 201 })
    expect(await admin.registry.audit()).toMatchObject([{ by: 'admin@127.0.0.1' }])
  })

  test('clients elsewhere are served, and those behind a proxy', async () => {
    const url = await seenFrom('203.0.113.9', { token: TOKEN })
    const headers = { 'kong-admin-token': TOKEN, 'x-forwarded-for': '198.51.100.1' }
    expect(await send(url, 'GET', '/services', { headers })).toMatchObject({ status: 200 })
    expect(await send(url, 'GET', '/services', {})).toMatchObject({ status: 401 })
  })
})

describe('without a token', () => {
  test('only this machine is served', async () => {
    for (const peer of ['203.0.113.9', '10.0.0.1', '::ffff:203.0.113.9', '2001:db8::1', '::', '0.0.0.0', '']) {
      const { status, body } = await send(await seenFrom(peer), 'GET', '/services')
      expect([peer, status, body]).toEqual([peer, 403, { message: 'without a token only loopback is served' }])
    }
    for (const peer of ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1']) {
      expect([peer, (await send(await seenFrom(peer), 'GET', '/services')).status]).toEqual([peer, 200])
    }
  })

  test('nobody is served whom a proxy on this machine passes on', async () => {
    await using admin = await openAdmin()
    for (const name of ['x-forwarded-for', 'forwarded', 'x-real-ip', 'via', 'x-forwarded-host']) {
      expect(await admin.call('GET', '/services', { headers: { [name]: '127.0.0.1' } })).toMatchObject({
        status: 403,
        body: { message: 'without a token forwarded requests are not served' },
      })
    }
  })

  test('it refuses to listen beyond loopback', async () => {
    const registry = await openRegistry()
    for (const host of [
      '0.0.0.0',
      '::',
      '[::]',
      '192.168.1.1',
      'example.com',
      'localhost.example.com',
      '::ffff:1.2.3.4',
      '',
    ]) {
      await expect(listenAdmin({ registry, host, port: 0 }), host).rejects.toMatchObject({
        code: 'ERR_CANARY_OPTION',
        message: expect.stringMatching(/^admin: host must be/),
      })
    }
    for (const host of ['127.0.0.1', '127.0.0.2', 'localhost']) {
      const admin = await listenAdmin({ registry, host, port: 0 })
      expect(await send(admin.url, 'GET', '/')).toMatchObject({ status: 200 })
      await admin.close()
    }
    const open = await listenAdmin({ registry, host: '0.0.0.0', port: 0, token: TOKEN })
    closing.push(open.close)
    expect(await send(open.url.replace('0.0.0.0', '127.0.0.1'), 'GET', '/')).toMatchObject({ status: 401 })
  })
})

describe('wrong tokens', () => {
  const wrong = (n: number) => ({ authorization: `Bearer wrong-token-number-${n}` })

  test('are 429 from the eleventh in a minute on, and the right one is served all the same', async () => {
    await using admin = await openAdmin({ token: TOKEN })
    const right = { authorization: `Bearer ${TOKEN}` }
    for (let n = 1; n <= 10; n += 1) {
      expect([n, (await send(admin.url, 'GET', '/services', { headers: wrong(n) })).status]).toEqual([n, 401])
      expect(await send(admin.url, 'GET', '/services', { headers: right })).toMatchObject({ status: 200 })
    }
    for (const method of ['GET', 'POST', 'DELETE']) {
      const { status, headers, body } = await send(admin.url, method, '/services', { headers: wrong(11) })
      expect([status, body]).toEqual([429, { message: 'Too many wrong tokens' }])
      expect(headers['retry-after']).toMatch(/^(?:[1-9]|[1-5]\d|60)$/)
      expect(await admin.call('GET', '/services')).toMatchObject({ status: 200 })
    }
    // The document says so, and who brings none has not guessed.
    expect(await admin.call('GET', '/services', { headers: wrong(12) })).toMatchObject({ status: 429 })
    expect(await send(admin.url, 'GET', '/services')).toMatchObject({ status: 401 })
    expect(await admin.call('POST', '/services', { json: { host: 'h' } })).toMatchObject({ status: 201 })
  })

  test('count for each header that brings one, and not beside the right one', async () => {
    await using admin = await openAdmin({ token: TOKEN })
    const both = { authorization: `Bearer ${TOKEN}`, 'kong-admin-token': 'wrong-token' }
    for (let n = 0; n < 20; n += 1) {
      expect(await send(admin.url, 'GET', '/services', { headers: both })).toMatchObject({ status: 200 })
    }
    const statuses: number[] = []
    for (let n = 0; n < 6; n += 1) {
      const headers = { ...wrong(n), 'kong-admin-token': 'wrong-token' }
      statuses.push((await send(admin.url, 'GET', '/services', { headers })).status)
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429])
  })

  test('of one peer are not those of another, and a network of IPv6 is one peer', async () => {
    const statusFrom = async (peer: string, authenticate: Authentication) => {
      try {
        return await authenticate({ headers: wrong(0), socket: { remoteAddress: peer } } as never)
      } catch (error) {
        if (error instanceof Refusal) return error.status
        throw error
      }
    }
    const authenticate = byToken(TOKEN, new WrongTokens(() => 0))
    const peers = Array.from({ length: 10 }, (_, n) => `2001:db8:0:1::${n}`)
    for (const peer of peers) expect(await statusFrom(peer, authenticate)).toBe(401)
    for (const peer of ['2001:db8:0:1:ffff::1', '2001:DB8:0:1::']) {
      expect([peer, await statusFrom(peer, authenticate)]).toEqual([peer, 429])
    }
    for (const peer of ['2001:db8:0:2::1', '203.0.113.9']) {
      expect([peer, await statusFrom(peer, authenticate)]).toEqual([peer, 401])
    }
  })

  test('are taken again when the minute of the oldest is over', () => {
    let now = 0
    const counted = new WrongTokens(() => now)
    for (let n = 0; n < 10; n += 1) {
      now = n * 1000
      expect(counted.add('203.0.113.9')).toBe(0)
    }
    expect(counted.add('203.0.113.9')).toBe(51)
    now = 59_999
    expect(counted.add('203.0.113.9')).toBe(1)
    expect(counted.add('::ffff:203.0.113.9')).toBe(1)
    now = 60_000
    expect([counted.add('203.0.113.9'), counted.add('203.0.113.9')]).toEqual([0, 1])
    now = 200_000
    for (let n = 0; n < 10; n += 1) expect(counted.add('203.0.113.9')).toBe(0)
    expect(counted.add('203.0.113.9')).toBe(60)
    for (let n = 0; n < 10; n += 1) expect(counted.add(undefined)).toBe(0)
    expect(counted.add(undefined)).toBe(60)
  })

  test('of many peers fill no memory', () => {
    let now = 0
    const counted = new WrongTokens(() => now)
    for (let n = 0; n < 30_000; n += 1) counted.add(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)
    expect(counted.peers).toBe(10_000)
    now = 60_000
    counted.add('203.0.113.9')
    expect(counted.peers).toBe(1)
  })
})

describe("the application's own authentication", () => {
  test('says who calls, for the audit trail, or turns the call away', async () => {
    const authenticate = ({ headers }: { readonly headers: NodeJS.Dict<string | string[]> }) =>
      headers['x-user'] === undefined ? null : `${String(headers['x-user'])} of operations`
    const url = await seenFrom('203.0.113.9', { authenticate: async (request) => authenticate(request) })
    expect(await send(url, 'POST', '/services', { json: { host: 'h' } })).toMatchObject({ status: 401 })
    const headers = { 'x-user': 'alice' }
    expect(await send(url, 'POST', '/services', { json: { host: 'h' }, headers })).toMatchObject({ status: 201 })
    expect((await send(url, 'GET', '/audit', { headers })).body).toMatchObject({
      data: [{ by: 'alice of operations' }],
    })
  })
})

describe('a web page of another site', () => {
  const token = { authorization: `Bearer ${TOKEN}` }

  test('cannot come in by a name of its own (DNS rebinding)', async () => {
    await using open = await openAdmin()
    await using locked = await openAdmin({ token: TOKEN })
    for (const { url } of [open, locked]) {
      for (const host of [
        'evil.example',
        'evil.example:8001',
        'localhost.evil.example',
        '127.0.0.1.nip.io',
        'xn--lcalhost-54a',
      ]) {
        const { status, body } = await send(url, 'GET', '/services', { headers: { host, ...token } })
        expect([host, status, body]).toEqual([host, 403, { message: 'this Host is not one of allowedHosts' }])
      }
      for (const host of [
        'localhost',
        'LOCALHOST:8001',
        'localhost.',
        'app.localhost',
        '127.0.0.1',
        '[::1]:8001',
        '192.0.2.7',
      ]) {
        expect([host, (await send(url, 'GET', '/services', { headers: { host, ...token } })).status]).toEqual([
          host,
          200,
        ])
      }
    }
  })

  test('is judged by the whole target where that names a host, and by none that cannot be read', async () => {
    await using admin = await openAdmin()
    const { url } = admin
    expect(
      await raw(url, 'GET http://evil.example/services HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
    ).toMatch(/^HTTP\/1.1 403 /)
    expect(
      await raw(url, 'GET http://localhost/services HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
    ).toMatch(/^HTTP\/1.1 200 /)
    for (const head of [
      'GET / HTTP/1.0',
      'GET / HTTP/1.1\r\nHost: a b',
      'GET / HTTP/1.1\r\nHost: user@localhost',
      'GET /\\x HTTP/1.1\r\nHost: localhost',
      'GET / HTTP/1.1\r\nHost: localhost/x',
      'GET / HTTP/1.1\r\nHost: [',
    ]) {
      const answer = await raw(url, `${head}\r\nConnection: close\r\n\r\n`)
      expect([head, answer.split('\r\n')[0]]).toEqual([head, 'HTTP/1.1 400 Bad Request'])
      expect(answer).not.toMatch(/\.(?:ts|js|mjs)\b/)
    }
  })

  test('comes in by the names that the operator allows', async () => {
    await using admin = await openAdmin({ allowedHosts: ['Admin.Example'] })
    const get = (host: string) => admin.call('GET', '/services', { headers: { host } })
    expect(await get('admin.example:443')).toMatchObject({ status: 200 })
    expect(await get('x.admin.example')).toMatchObject({ status: 403 })
  })

  test('cannot post a form or read an answer', async () => {
    await using admin = await openAdmin({ token: TOKEN })
    const host = new URL(admin.url).host
    const foreign: Record<string, string>[] = [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { origin: '' },
      { origin: 'http://127.0.0.1:1' },
      { origin: `http://${host}.evil.example` },
      { origin: 'http://localhost' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'cross-site', origin: `http://${host}` },
    ]
    for (const headers of foreign) {
      for (const method of ['POST', 'GET', 'OPTIONS']) {
        const {
          status,
          body,
          headers: received,
        } = await admin.call(method, '/services', { form: ['host=evil'], headers })
        expect([headers, status, body]).toEqual([headers, 403, { message: 'requests of other sites are not taken' }])
        expect(Object.keys(received).filter((name) => name.startsWith('access-control'))).toEqual([])
      }
    }
    expect(admin.registry.version).toBe(0)
    for (const headers of [
      { origin: `http://${host}`, 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'none' },
    ]) {
      expect(await admin.call('POST', '/services', { form: ['host=own'], headers })).toMatchObject({ status: 201 })
    }
  })
})

describe('answers', () => {
  test('are not kept, not framed, not guessed at, and not read from elsewhere', async () => {
    await using admin = await openAdmin()
    for (const path of ['/services', '/nothing', '/services?size=x']) {
      expect((await admin.call('GET', path)).headers).toMatchObject({
        'cache-control': 'no-store',
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
        'content-type': 'application/json',
        'cross-origin-resource-policy': 'same-origin',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
      })
    }
  })
})

describe('options', () => {
  test('that are wrong are told, with what was expected', async () => {
    const registry = await openRegistry()
    const token = TOKEN
    const wrong: readonly (readonly [object, string])[] = [
      [{}, 'admin: token or authenticate must be given: only listenAdmin serves without, and on loopback'],
      [
        { token: undefined },
        'admin: token or authenticate must be given: only listenAdmin serves without, and on loopback',
      ],
      [{ authenticate: null }, 'admin: authenticate must be a function'],
      [{ token: null }, 'admin: token must be 16 or more ASCII characters without spaces'],
      [{ token: '' }, 'admin: token must be 16 or more ASCII characters without spaces'],
      [{ token: 'a' }, 'admin: token must be 16 or more ASCII characters without spaces'],
      [{ token: 'fifteen-chars--' }, 'admin: token must be 16 or more ASCII characters without spaces'],
      [{ token: 'sixteen or more characters' }, 'admin: token must be 16 or more ASCII characters without spaces'],
      [{ token: 'a', authenticate: () => 'x' }, 'admin: token must be left out where authenticate is given'],
      [{ token, allowedHosts: ['http://a'] }, 'admin: allowedHosts.0 must be a host name without scheme and port'],
      [{ token, allowedHosts: ['a', 'b:80'] }, 'admin: allowedHosts.1 must be a host name without scheme and port'],
      [{ token, allowedHosts: 'a' }, 'admin: allowedHosts must be an array'],
      [{ token, basePath: 'admin' }, 'admin: basePath must be a path such as /admin'],
      [{ token, timeoutMs: 0 }, 'admin: timeoutMs must be between 1 and 600000'],
      [{ token, registry: {} }, 'admin: registry must be what createRegistry made'],
      [
        { tokn: 'a' },
        'admin: tokn is not an option: known are registry, token, authenticate, allowedHosts, basePath, showKeys, timeoutMs, logger',
      ],
    ]
    for (const [options, message] of wrong) {
      expect(() => adminHandler({ registry, ...options })).toThrow(
        expect.objectContaining({ code: 'ERR_CANARY_OPTION', message }),
      )
    }
    for (const none of [null, undefined, 'http://127.0.0.1:8001']) {
      expect(() => Reflect.apply(adminHandler, null, [none])).toThrow('admin: options must be an object')
      await expect(Reflect.apply(listenAdmin, null, [none])).rejects.toThrow('admin: options must be an object')
    }
    await expect(listenAdmin({ registry, port: 70_000 })).rejects.toMatchObject({
      message: 'admin: port must be between 0 and 65535',
    })
  })

  test('a port that is taken is told', async () => {
    await using admin = await openAdmin()
    const port = Number(new URL(admin.url).port)
    await expect(listenAdmin({ registry: admin.registry, port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })
})
