import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exchange } from '../faults/raw-client.js'
import { GATEWAYS, type Gateway, type GatewayOptions, optionsFor } from './gateways.js'
import { type RecordingUpstream, startRecordingUpstream } from './recording-upstream.js'

interface Hostile {
  readonly name: string
  /** What the upstream answers. */
  readonly bytes: string
  /** The header lines and the body that may reach the client; without them: 502. */
  readonly lines?: readonly string[] | undefined
  readonly body?: string | undefined
  readonly status?: number | undefined
}

const OK = 'HTTP/1.1 200 OK\r\n'
const BODY = 'Content-Length: 4\r\n\r\ngood'
const CHUNKED = '4\r\ngood\r\n0\r\n\r\n'
const SIDE = ['x-side: b', 'vary: *']
const LENGTH = ['content-length: 4', ...SIDE]
const MANY = Array.from({ length: 1500 }, (_, i) => `a${i}: 1`)
const CHUNKS = [...SIDE, 'transfer-encoding: chunked']

const BAD: readonly Hostile[] = [
  ...['gzip, chunked', 'chunked, chunked', 'chunked, identity', 'identity', 'xchunked', ''].map((coding) => ({
    name: `transfer-encoding ${JSON.stringify(coding)}`,
    bytes: `${OK}X-Evil: 1\r\nTransfer-Encoding: ${coding}\r\n\r\n${CHUNKED}`,
  })),
  {
    name: 'transfer-encoding twice',
    bytes: `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\nX-Evil: 1\r\n\r\n${CHUNKED}`,
  },
  ...['+4', '4, 4', '0x4', '4 4', '-1', '18446744073709551620'].map((length) => ({
    name: `content-length ${length}`,
    bytes: `${OK}X-Evil: 1\r\nContent-Length: ${length}\r\n\r\ngood`,
  })),
  { name: 'bare LFs', bytes: 'HTTP/1.1 200 OK\nX-Evil: 1\nContent-Length: 4\n\ngood' },
  { name: 'a bare LF after a header', bytes: `${OK}X-A: a\nX-Evil: 1\r\n${BODY}` },
  { name: 'a bare CR in a value', bytes: `${OK}X-A: a\rX-Evil: 1\r\n${BODY}` },
  { name: 'a bare CR in the status line', bytes: `HTTP/1.1 200 OK\rX-Evil: 1\r\n${BODY}` },
  { name: 'a folded header', bytes: `${OK}X-Evil: a\r\n Set-Cookie: evil=1\r\n${BODY}` },
  ...[0, 1, 8, 11, 27, 127].map((code) => ({
    name: `the character ${code} in a value`,
    bytes: `${OK}X-Evil: a${String.fromCharCode(code)}b\r\n${BODY}`,
  })),
  { name: 'a blank before a colon', bytes: `${OK}X-Evil : 1\r\n${BODY}` },
  { name: 'no name', bytes: `${OK}: evil\r\n${BODY}` },
  { name: 'the status 000', bytes: `HTTP/1.1 000 Evil\r\n${BODY}` },
]

const GOOD: readonly Hostile[] = [
  {
    name: 'a redirect to elsewhere',
    bytes: `HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\n${BODY}`,
    status: 302,
    lines: ['location: http://evil.example/', ...LENGTH],
  },
  {
    name: 'cookies, each on its line',
    bytes: `${OK}Set-Cookie: a=1; Domain=evil.example\r\nSet-Cookie: b=2, c=3\r\n${BODY}`,
    lines: ['set-cookie: a=1; domain=evil.example', 'set-cookie: b=2, c=3', ...LENGTH],
  },
  {
    name: 'what is of one connection',
    bytes: `${OK}Keep-Alive: timeout=9999\r\nProxy-Authenticate: Basic\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: h2c\r\n${BODY}`,
    lines: LENGTH,
  },
  {
    name: 'headers named by Connection',
    bytes: `${OK}Connection: x-a, set-cookie, date, x-side, vary\r\nX-A: 1\r\nSet-Cookie: a=b\r\nX-Side: A\r\nVary: x\r\n${BODY}`,
    lines: LENGTH,
  },
  { name: 'its length named by Connection', bytes: `${OK}Connection: content-length\r\n${BODY}`, lines: CHUNKS },
  {
    name: 'its chunks named by Connection',
    bytes: `${OK}Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED}`,
    lines: CHUNKS,
  },
  {
    name: 'a forged side',
    bytes: `${OK}X-Side: A\r\nx-side: A\r\nX-Canary-Upstream: A\r\n${BODY}`,
    lines: ['x-side: b', 'content-length: 4', 'vary: *'],
  },
  {
    name: 'names of Object.prototype',
    bytes: `${OK}__proto__: a\r\nconstructor: b\r\ntoString: c\r\n${BODY}`,
    lines: ['__proto__: a', 'constructor: b', 'tostring: c', ...LENGTH],
  },
  { name: '1 500 headers', bytes: `${OK}${MANY.join('\r\n')}\r\n${BODY}`, lines: [...MANY, ...LENGTH] },
  { name: 'bytes beyond ASCII', bytes: `${OK}X-A: \u00e9\u00ff\r\n${BODY}`, lines: ['x-a: \u00e9\u00ff', ...LENGTH] },
  { name: 'a NUL in its reason', bytes: `HTTP/1.1 200 O\u0000K\r\n${BODY}`, lines: LENGTH },
  { name: 'an escape in its reason', bytes: `HTTP/1.1 200 \u001b[31mOK\r\n${BODY}`, lines: LENGTH },
  { name: 'a byte beyond ASCII in its reason', bytes: `HTTP/1.1 200 Tr\u00e8s bien\r\n${BODY}`, lines: LENGTH },
  {
    name: 'a chunk extension',
    bytes: `${OK}Transfer-Encoding: chunked\r\n\r\n4;evil="1"\r\ngood\r\n0\r\n\r\n`,
    lines: CHUNKS,
  },
  {
    name: 'headers in early hints',
    bytes: `HTTP/1.1 103 Hints\r\nX-Evil: 1\r\nSet-Cookie: evil=1\r\n\r\n${OK}${BODY}`,
    lines: LENGTH,
  },
  {
    name: 'a thousand interim responses',
    bytes: `${'HTTP/1.1 103 Hints\r\n\r\n'.repeat(1000)}${OK}${BODY}`,
    lines: LENGTH,
  },
  { name: 'a body with 204', bytes: `HTTP/1.1 204 No Content\r\n${BODY}`, status: 204, lines: SIDE, body: '' },
  {
    name: 'a second response behind the first',
    bytes: `${OK}${BODY}HTTP/1.1 200 OK\r\nX-Evil: 1\r\n${BODY}`,
    lines: LENGTH,
  },
]

const REQUEST = 'GET /x HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n'
/** What Node and the frameworks say of themselves. */
const OWN = /^(?:date|connection|x-powered-by|keep-alive): /

for (const [framework, start] of Object.entries(GATEWAYS)) {
  describe(`a hostile upstream behind ${framework}`, () => {
    let upstream: RecordingUpstream
    let answer = ''
    let gateway: Gateway
    const others: Gateway[] = []

    const gatewayWith = (more: Partial<GatewayOptions>) => {
      const url = `http://127.0.0.1:${upstream.port}`
      return start(optionsFor({ A: url, B: url }, { percentage: 100, exposeHeader: 'X-Side', ...more }))
    }

    beforeAll(async () => {
      upstream = await startRecordingUpstream(() => answer)
      gateway = await gatewayWith({})
    })

    afterAll(async () => {
      for (const one of [gateway, ...others]) await one.close()
      await upstream[Symbol.asyncDispose]()
    })

    const linesOf = (headers: string) =>
      headers
        .split('\r\n')
        .slice(1)
        .filter((line) => !OWN.test(line))

    test.for(BAD)('$name: nothing of it reaches the client', async ({ bytes }) => {
      answer = bytes
      const seen = await exchange(gateway.port, REQUEST)
      expect([seen.status, seen.whole], seen.text).toEqual([502, true])
      expect(seen.headers).toContain(`\r\ncontent-length: ${seen.body.length}`)
      expect(seen.text).not.toMatch(/evil|good|127\.0\.0\.1/i)
      answer = OK + BODY
      const next = await exchange(gateway.port, REQUEST)
      expect([next.status, next.body]).toEqual([200, 'good'])
    })

    test.for(GOOD)('$name: only what may pass', async ({ bytes, status = 200, lines = [], body = 'good' }) => {
      answer = bytes
      const seen = await exchange(gateway.port, REQUEST)
      expect([seen.status, seen.whole], seen.text).toEqual([status, true])
      expect(linesOf(seen.headers).sort()).toEqual([...lines].sort())
      expect(seen.headers).toMatch(/^http\/1\.1 \d{3} [\t\u0020-\u007e\u0080-\u00ff]*\r\n/)
      expect(seen.headers.includes('transfer-encoding') ? seen.body : `4\r\n${seen.body}\r\n0\r\n\r\n`).toBe(
        `4\r\n${body}\r\n0\r\n\r\n`,
      )
    })

    test.each([
      ['onRequestHeaders', 'a\r\nX-Evil: 1', ''],
      ['onRequestHeaders', 'a\u0000', ''],
      ['onRequestHeaders', '\u0100', ''],
      ['onResponseHeaders', 'a\r\nX-Evil: 1', 'good'],
      ['onResponseHeaders', '\u0100', 'good'],
    ])('a hook %s that hands on %j splits nothing', async (hook, value) => {
      answer = OK + BODY
      const spoil = (headers: OutgoingHttpHeaders | IncomingHttpHeaders) => void (headers['x-name'] = value)
      const spoiled = await gatewayWith({ proxy: { [hook]: spoil } })
      others.push(spoiled)
      upstream.take()
      const seen = await exchange(spoiled.port, REQUEST)
      expect([400, 500, 502]).toContain(seen.status)
      expect([seen.whole, /evil|good/i.test(seen.text)]).toEqual([true, false])
      const length = /\r\ncontent-length: (\d+)/.exec(seen.headers)?.[1]
      if (length !== undefined) expect(seen.body).toHaveLength(Number(length))
      if (hook === 'onRequestHeaders') expect(upstream.take()).toBe('')
    })
  })
}
