import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GATEWAYS, type Gateway, type GatewayOptions, optionsFor, sendRaw, statusesOf } from './gateways.js'
import { PASSED, type RecordingUpstream, startRecordingUpstream } from './recording-upstream.js'

const FORGED = [
  'X-Forwarded-For: 192.0.2.1',
  'x-forwarded-for: 192.0.2.2',
  'X-Forwarded-Host: evil.example',
  'X-Forwarded-Port: 1',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Prefix: /evil',
  'X-Forwarded-Ssl: on',
  'Forwarded: for=192.0.2.3;host=evil.example',
  'X-Real-IP: 192.0.2.4',
  'X_Forwarded_For: 192.0.2.5',
  'X_Forwarded-Host: evil.example',
  'X_Real_IP: 192.0.2.6',
]

const GATEWAYS_OWN = [
  'x-forwarded-for: 127.0.0.1',
  'x-forwarded-host: gateway',
  'x-forwarded-port: 80',
  'x-forwarded-proto: http',
  PASSED,
]

/** What the client is called in the header that a trusted proxy says it in. */
const REAL_IP: Partial<GatewayOptions> = { realIpHeader: 'CF-Connecting-IP' }
const TRUSTING: Partial<GatewayOptions> = { trustedIps: ['loopback'] }
const PROXY = { connectTimeoutMs: 2000, headersTimeoutMs: 2000, bodyTimeoutMs: 2000 } as const

for (const [framework, start] of Object.entries(GATEWAYS)) {
  describe(`request headers through ${framework}`, () => {
    let upstream: RecordingUpstream
    const gateways: Gateway[] = []

    beforeAll(async () => {
      upstream = await startRecordingUpstream()
    })

    afterAll(async () => {
      for (const gateway of gateways) await gateway.close()
      await upstream[Symbol.asyncDispose]()
    })

    async function gatewayWith(more: Partial<GatewayOptions> = {}) {
      const url = `http://127.0.0.1:${upstream.port}`
      const gateway = await start(optionsFor({ A: url, B: url }, { proxy: PROXY, ...more }))
      gateways.push(gateway)
      return gateway
    }

    /** The header lines that arrive beside the gateway's own `host` and `connection`. */
    async function arriving(gateway: Gateway, lines: readonly string[]) {
      const head = ['GET /x HTTP/1.1', 'Host: gateway', 'Connection: close', ...lines, '', ''].join('\r\n')
      const text = await sendRaw(gateway.port, head)
      expect(statusesOf(text), text).toEqual([200])
      const [line, host, connection, ...rest] = upstream.take().split('\r\n')
      expect([line, host]).toEqual(['GET /x HTTP/1.1', `host: 127.0.0.1:${upstream.port}`])
      expect(connection).toBe('connection: keep-alive')
      expect(rest.splice(-2)).toEqual(['', ''])
      return rest
    }

    test('nothing that a stranger says of its client is passed on', async () => {
      const gateway = await gatewayWith()
      expect(await arriving(gateway, [...FORGED, 'X-Kept: 1'])).toEqual(['x-kept: 1', ...GATEWAYS_OWN])
    })

    test('the header that names clients is passed on from a trusted peer only, in no spelling', async () => {
      const forged = ['CF-Connecting-IP: 192.0.2.1', 'Cf_Connecting_Ip: 192.0.2.2', 'cf-connecting_ip: 192.0.2.3']
      expect(await arriving(await gatewayWith(REAL_IP), forged)).toEqual(GATEWAYS_OWN)
      const trusting = await gatewayWith({ ...REAL_IP, ...TRUSTING })
      expect((await arriving(trusting, forged))[0]).toBe('cf-connecting-ip: 192.0.2.1')
    })

    test('what a trusted proxy says is appended to, and never by other spellings', async () => {
      expect(await arriving(await gatewayWith(TRUSTING), FORGED)).toEqual([
        'x-forwarded-prefix: /evil',
        'x-forwarded-ssl: on',
        'forwarded: for=192.0.2.3;host=evil.example',
        'x-real-ip: 192.0.2.4',
        'x-forwarded-for: 192.0.2.1, 192.0.2.2, 127.0.0.1',
        'x-forwarded-host: evil.example, gateway',
        'x-forwarded-port: 1, 80',
        'x-forwarded-proto: https, http',
        PASSED,
      ])
    })

    test.each([
      '',
      'x'.repeat(8000),
      ',,,,',
      ' , ',
      '::1%eth0',
      '\u00ff',
      '127.0.0.1, , 127.0.0.1',
      '"',
      'for="[',
      '1'.repeat(64),
    ])('rubbish in forwarding headers of a trusted peer breaks nothing: %j', async (value) => {
      for (const realIpHeader of ['x-forwarded-for', 'forwarded', 'x-real-ip']) {
        const gateway = await gatewayWith({ ...TRUSTING, realIpHeader, hash: 'ip' })
        const lines = await arriving(gateway, [`${realIpHeader}: ${value}`])
        expect(lines.filter((line) => line.startsWith('x-forwarded-proto'))).toEqual(['x-forwarded-proto: http'])
      }
    })

    test('Connection takes off headers of the client, and none of the gateway', async () => {
      const gateway = await gatewayWith({ proxy: { ...PROXY, decisionHeader: 'X-Side' } })
      const named =
        'x-forwarded-for, X-FORWARDED-HOST ,x-forwarded-proto, x-forwarded-port, host, x-side, x-canary-upstream'
      const lines = [
        `Connection: ${named}, cookie, authorization, x-gone`,
        'Connection: transfer-encoding, content-length, te, , "x-kept", x-kept;q=1, __proto__',
        'Cookie: a=b',
        'Authorization: Bearer x',
        'X-Gone: 1',
        'X-Kept: 1',
      ]
      expect(await arriving(gateway, [...lines, 'X-Canary: never'])).toEqual([
        'x-kept: 1',
        'x-canary: never',
        ...GATEWAYS_OWN,
        'x-side: A',
      ])
    })

    test('what is of one connection stays on it', async () => {
      const gateway = await gatewayWith()
      const lines = [
        'Keep-Alive: timeout=1000, max=1000000',
        'Proxy-Connection: keep-alive',
        'Proxy-Authorization: Basic eDp5',
        'Proxy-Authenticate: Basic',
        'TE: trailers, chunked',
        'Upgrade: h2c',
        'HTTP2-Settings: AAMAAABkAAQAAP__',
        'Keep_Alive: timeout=1000',
        'Proxy_Authorization: Basic eDp5',
      ]
      expect(await arriving(gateway, lines)).toEqual(GATEWAYS_OWN)
    })

    test.each(['X-Canary-Upstream', 'X-Side', 'X_Side'])('nobody forges the decision in %s', async (decisionHeader) => {
      const gateway = await gatewayWith({ proxy: { ...PROXY, decisionHeader } })
      const spellings = [decisionHeader, decisionHeader.toUpperCase(), decisionHeader.replaceAll(/[-_]/g, '_')]
      const forged = [...spellings, decisionHeader.replaceAll(/[-_]/g, '-')].map((name) => `${name}: B, A`)
      for (const [override, side] of [
        ['always', 'B'],
        ['never', 'A'],
      ]) {
        const lines = await arriving(gateway, [...forged, 'X-Canary-Upstream: B', `X-Canary: ${override}`])
        expect(lines).toEqual([`x-canary: ${override}`, ...GATEWAYS_OWN, `${decisionHeader.toLowerCase()}: ${side}`])
      }
    })

    test('without a decision header no decision is told, nor believed', async () => {
      const lines = await arriving(await gatewayWith(), ['X-Canary-Upstream: B', 'X-Canary: never'])
      expect(lines).toEqual(['x-canary: never', ...GATEWAYS_OWN])
    })

    test('control characters in names and values are refused', async () => {
      const gateway = await gatewayWith()
      for (const code of [0, 1, 8, 11, 12, 13, 27, 31, 127]) {
        for (const line of [`X-A: a${String.fromCharCode(code)}b`, `X-${String.fromCharCode(code)}A: b`]) {
          const text = await sendRaw(
            gateway.port,
            `GET /x HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n${line}\r\n\r\n`,
          )
          expect([statusesOf(text), upstream.take()], JSON.stringify(line)).toEqual([[400], ''])
        }
      }
    })

    test('bytes beyond ASCII in values arrive as they were', async () => {
      const value = Array.from({ length: 128 }, (_, i) => String.fromCharCode(128 + i)).join('')
      expect(await arriving(await gatewayWith(), [`X-A: ${value}`])).toEqual([`x-a: ${value}`, ...GATEWAYS_OWN])
    })
  })
}
