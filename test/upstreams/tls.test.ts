import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Agent, request as secureRequest } from 'node:https'
import type { TLSSocket } from 'node:tls'
import type { UpstreamLocation } from '@canary-release/core'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { ask } from '../conformance/client.js'
import { GATEWAYS, type Gateway, type GatewayOptions, pem } from './gateways.js'
import { echoing, plainUpstream, secureUpstream, silentUpstream, unixUpstream } from './servers.js'

// Upstreams over TLS and on Unix sockets, through each adapter, over real sockets.

type Tls = NonNullable<UpstreamLocation['tls']>
/** Of a CA that nobody knows. */
const stranger = (file: string) => readFileSync(new URL(`${file}.pem`, import.meta.url))
const always = { 'x-canary': 'always' }

for (const [name, start] of Object.entries(GATEWAYS)) {
  const over = async (location: UpstreamLocation, proxy: GatewayOptions['proxy'] = {}, isSecure = false) => {
    const upstreams = { A: 'http://127.0.0.1:9', B: location }
    const gateway = await start({ upstreams, proxy }, { secure: isSecure })
    return Object.assign(gateway, { [Symbol.asyncDispose]: () => gateway.close() })
  }
  const secure = (port: number, tls: Tls, host = '127.0.0.1') => over({ url: `https://${host}:${port}`, tls })
  const get = ({ port }: Gateway) => ask(`http://127.0.0.1:${port}/`, { headers: always })

  describe(`${name}: an upstream over TLS`, () => {
    test('is checked against its own CA and the name that it is told', async () => {
      const told: unknown[] = []
      await using upstream = await secureUpstream((request, response) => {
        told.push(Reflect.get(request.socket, 'servername'))
        response.end('secret')
      })
      await using gateway = await secure(upstream.port, { ca: pem('ca'), servername: 'upstream.test' })
      expect(await get(gateway)).toMatchObject({ status: 200, text: 'secret' })
      expect(told).toEqual(['upstream.test'])
    })

    test.each([
      ['localhost', 'localhost'],
      ['127.0.0.1', false],
    ])('of the host %s is told the name %j', async (host, expected) => {
      const told: unknown[] = []
      await using upstream = await secureUpstream((request, response) => {
        told.push(Reflect.get(request.socket, 'servername'))
        response.end()
      })
      await using gateway = await secure(upstream.port, { rejectUnauthorized: false }, host)
      expect((await get(gateway)).status).toBe(200)
      expect(told).toEqual([expected])
    })

    test.each<[string, () => Tls]>([
      ['whose CA is not known', () => ({ servername: 'upstream.test' })],
      ['whose certificate is for another name', () => ({ ca: pem('ca'), servername: 'other.test' })],
      ['whose certificate is not for its address', () => ({ ca: pem('ca') })],
    ])('%s is never asked: 502', async (_name, tls) => {
      const asked: unknown[] = []
      await using upstream = await secureUpstream((request, response) => {
        asked.push(request.url)
        response.end()
      })
      await using gateway = await secure(upstream.port, tls())
      const { status, text } = await get(gateway)
      expect([status, text]).toEqual([502, 'ERR_CANARY_UPSTREAM_CONNECT: upstream B could not be connected to'])
      expect(asked).toEqual([])
    })

    test('that never ends its handshake: 504 in time', async () => {
      await using silent = await silentUpstream()
      const location = { url: `https://127.0.0.1:${silent.port}`, tls: { ca: pem('ca') } }
      await using gateway = await over(location, { connectTimeoutMs: 200 })
      expect(await get(gateway)).toMatchObject({
        status: 504,
        text: 'ERR_CANARY_UPSTREAM_TIMEOUT: upstream B could not be connected to in 200 ms',
      })
    })

    const withClientCertificate = () =>
      secureUpstream(
        ({ socket }, response) => void response.end((socket as TLSSocket).getPeerCertificate().subject?.CN),
        { ca: pem('ca'), requestCert: true, rejectUnauthorized: true },
      )

    test('that wants a client certificate gets it', async () => {
      await using upstream = await withClientCertificate()
      const tls = { ca: pem('ca'), servername: 'upstream.test', cert: pem('client'), key: pem('client-key') }
      await using gateway = await secure(upstream.port, tls)
      expect(await get(gateway)).toMatchObject({ status: 200, text: 'client' })
    })

    test.each<[string, () => Tls]>([
      ['none', () => ({})],
      ['one that another CA signed', () => ({ cert: stranger('stranger'), key: stranger('stranger-key') })],
    ])('that wants a client certificate and gets %s: 502', async (_name, tls) => {
      await using upstream = await withClientCertificate()
      await using gateway = await secure(upstream.port, { ca: pem('ca'), servername: 'upstream.test', ...tls() })
      const { status, text } = await get(gateway)
      expect([status, text]).toEqual([502, expect.stringMatching(/^ERR_CANARY_UPSTREAM_(CONNECT|RESPONSE): /)])
    })

    test.each([
      ['TLS', true],
      ['no TLS', false],
    ])('carries a WebSocket of a client with %s, message by message', async (_name, isSecure) => {
      await using upstream = await secureUpstream(() => {})
      const echo = echoing(upstream)
      const location = {
        url: `https://127.0.0.1:${upstream.port}`,
        tls: { ca: pem('ca'), servername: 'upstream.test' },
      }
      await using gateway = await over(location, {}, isSecure)
      const url = `${isSecure ? 'wss' : 'ws'}://127.0.0.1:${gateway.port}/`
      await expectEcho(new WebSocket(url, { headers: always, agent: isSecure ? trusting() : undefined }))
      await expect.poll(() => echo.clients.size).toBe(0)
    })

    test('that cannot be trusted gets no upgrade either', async () => {
      await using upstream = await secureUpstream(() => {})
      echoing(upstream)
      await using gateway = await secure(upstream.port, { servername: 'upstream.test' })
      const client = new WebSocket(`ws://127.0.0.1:${gateway.port}/`, { headers: always })
      const [error] = (await once(client, 'error')) as [Error]
      expect(error.message).toContain('502')
    })
  })

  describe(`${name}: an upstream on a Unix socket`, () => {
    test('is reached, under the name of its URL', async () => {
      await using upstream = await unixUpstream((request, response) => void response.end(request.headers.host))
      await using gateway = await over({ url: 'http://orders.test', socketPath: upstream.socketPath })
      expect(await get(gateway)).toMatchObject({ status: 200, text: 'orders.test' })
    })

    test('carries a WebSocket', async () => {
      await using upstream = await unixUpstream(() => {})
      echoing(upstream)
      await using gateway = await over({ url: 'http://orders.test', socketPath: upstream.socketPath })
      await expectEcho(new WebSocket(`ws://127.0.0.1:${gateway.port}/`, { headers: always }))
    })

    test('that is not there: 502', async () => {
      await using gateway = await over({ url: 'http://orders.test', socketPath: '/nonexistent/canary.sock' })
      expect(await get(gateway)).toMatchObject({ status: 502, text: expect.stringMatching(/^ERR_CANARY_UPSTREAM_CON/) })
    })
  })

  test(`${name}: a server with TLS says so to its upstream, and sets its sticky cookie Secure`, async () => {
    await using upstream = await plainUpstream((request, response) => {
      response.end(String(request.headers['x-forwarded-proto']))
    })
    const url = `http://127.0.0.1:${upstream.port}`
    for (const isSecure of [true, false]) {
      const gateway = await start(
        { upstreams: { A: url, B: url }, hash: { cookie: 'canary_id' } },
        { secure: isSecure },
      )
      const answered = isSecure ? await askSecurely(gateway.port) : await ask(`http://127.0.0.1:${gateway.port}/`)
      expect(answered.text).toBe(isSecure ? 'https' : 'http')
      const cookie = String(answered.headers['set-cookie'])
      expect(cookie).toMatch(/^canary_id=/)
      expect(/; Secure(;|$)/.test(cookie)).toBe(isSecure)
      await gateway.close()
    }
  })
}

const trusting = () => new Agent({ ca: pem('ca'), servername: 'upstream.test' })

async function expectEcho(client: WebSocket): Promise<void> {
  await once(client, 'open')
  for (const text of ['one', '', 'x'.repeat(200_000)]) {
    client.send(text)
    expect(String((await once(client, 'message'))[0]) === text).toBe(true)
  }
  client.close(1000, 'done')
  const [code, reason] = await once(client, 'close')
  expect([code, String(reason)]).toEqual([1000, 'done'])
}

async function askSecurely(port: number): Promise<{ headers: Record<string, unknown>; text: string }> {
  const request = secureRequest({ host: '127.0.0.1', port, ca: pem('ca'), servername: 'upstream.test', agent: false })
  const [response] = (await once(request.end(), 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response) text += String(chunk)
  return { headers: response.headers, text }
}
