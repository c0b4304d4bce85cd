import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GATEWAYS, type Gateway, type GatewayOptions, optionsFor, sendRaw, statusesOf } from './gateways.js'
import { PASSED, type RecordingUpstream, startRecordingUpstream } from './recording-upstream.js'
import { type Clean, FRAMING_TRAILERS, SMUGGLING } from './smuggling-table.js'

// Behind each attack goes one more request, so that a byte too much or too few of the first would show in it.
const LAST = 'GET /last HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n'

type Dialect = (port: number, request: Clean) => string

const OF_UNDICI: Dialect = (port, { line, framing = 'none', body = '' }) =>
  [
    `${line} HTTP/1.1`,
    `host: 127.0.0.1:${port}`,
    'connection: keep-alive',
    'x-forwarded-for: 127.0.0.1',
    'x-forwarded-host: gateway',
    'x-forwarded-port: 80',
    'x-forwarded-proto: http',
    PASSED,
    ...(framing === 'none'
      ? []
      : [framing === 'chunked' ? 'transfer-encoding: chunked' : `content-length: ${framing}`]),
    '',
    body,
  ].join('\r\n')

const OF_HTTP_PROXY: Dialect = (port, { line, framing = 'none', body = '' }) =>
  [
    `${line} HTTP/1.1`,
    PASSED,
    'x-forwarded-proto: http',
    'x-forwarded-port: 80',
    'x-forwarded-host: gateway',
    'x-forwarded-for: 127.0.0.1',
    ...(typeof framing === 'number' ? [`content-length: ${framing}`] : []),
    `host: 127.0.0.1:${port}`,
    ...(framing === 'chunked' ? ['transfer-encoding: chunked'] : []),
    'Connection: keep-alive',
    '',
    body,
  ].join('\r\n')

const throughHttpProxy = (options: GatewayOptions) => {
  const forwarded = { ...options, proxy: { ...options.proxy, forwarder: httpProxyForwarder() } }
  return GATEWAYS['node']?.(forwarded) ?? Promise.reject(new Error('no gateway'))
}

const SUBJECTS = [
  ...Object.entries(GATEWAYS).map(([name, start]) => ({ name, start, dialect: OF_UNDICI })),
  { name: 'node with http-proxy', start: throughHttpProxy, dialect: OF_HTTP_PROXY },
]

for (const { name: framework, start, dialect } of SUBJECTS) {
  describe(`request smuggling through ${framework}`, () => {
    let upstream: RecordingUpstream
    let gateway: Gateway

    beforeAll(async () => {
      upstream = await startRecordingUpstream()
      const url = `http://127.0.0.1:${upstream.port}`
      gateway = await start(optionsFor({ A: url, B: url }))
    })

    afterAll(async () => {
      await gateway.close()
      await upstream[Symbol.asyncDispose]()
    })

    test.for(SMUGGLING)('$name', async ({ bytes, clean }) => {
      const text = await sendRaw(gateway.port, bytes + LAST)
      const received = upstream.take()
      const last = dialect(upstream.port, { line: 'GET /last' })
      if (clean === undefined) {
        expect(statusesOf(text)[0], text).toBe(400)
        expect(['', last]).toContain(received)
        return
      }
      expect(statusesOf(text), text).toEqual([200, 200])
      const first = dialect(upstream.port, clean)
      // They may have taken two connections.
      expect([first + last, last + first]).toContain(received)
    })

    test.for(FRAMING_TRAILERS)('a body is never finished by trailers that would frame it: %j', async (bytes) => {
      const text = await sendRaw(gateway.port, bytes + LAST)
      expect(statusesOf(text), text).toEqual([400])
      const received = upstream.take()
      expect(received).not.toContain('\r\n0\r\n')
      expect(received).not.toContain('GET /last')
    })

    test('pipelined requests arrive one by one, each answered in its turn', async () => {
      const targets = ['/1', '/2', '/3', '/4']
      const text = await sendRaw(
        gateway.port,
        targets.map((target) => `GET ${target} HTTP/1.1\r\nHost: gateway\r\n\r\n`).join('') + LAST,
      )
      expect([...text.matchAll(/\r\n\r\n(\/\w+?)(?=HTTP|$)/g)].map(([, body]) => body)).toEqual([...targets, '/last'])
      const requests = upstream.take().split(/(?=GET \/)/)
      const expected = [...targets, '/last'].map((target) => dialect(upstream.port, { line: `GET ${target}` }))
      expect(requests.sort()).toEqual(expected.sort())
    })
  })
}
