import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { createRegistry, memoryStore } from '@canary-release/core/registry'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { exchange } from '../faults/raw-client.js'
import { DEFAULT_PAGES } from './default-pages.js'
import { type GatewayOptions, optionsFor } from './gateways.js'
import { type RecordingUpstream, startRecordingUpstream } from './recording-upstream.js'

const SECRET = 'top-secret'
const SILENT = { info() {}, warn() {}, error() {} }

/** What no answer may hold: where upstreams are and what happened to them, as this process knows it. */
const INNER = /top-secret|127\.0\.0\.1|localhost|ECONN|EPIPE|UND_ERR|HPE_|socket hang up/
/** What Express prints outside production, and nobody inside. */
const TRACE = /^ *(?:at |<br> )|&nbsp; at |file:\/\/|node:|node_modules|undici|cause|\/src\//m

const GET = 'GET /x HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n'
const READ =
  'POST /x HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Type: multipart/form-data\r\nContent-Length: 2\r\n\r\nab'

function thrower(): never {
  throw Object.assign(new Error(`${SECRET} 127.0.0.1`), { status: 418, expose: true, headers: { 'x-leak': SECRET } })
}

interface Failing {
  readonly name: string
  readonly status: number
  readonly code: string
  readonly request?: string
  /** What the upstream answers; without it: nothing, ever. */
  readonly answer?: string
  readonly port?: 'answering' | 'closed' | 'breaking'
  readonly scheme?: 'http' | 'https'
  readonly proxy?: GatewayOptions['proxy']
}

const FAILING: readonly Failing[] = [
  { name: 'nobody listens', port: 'closed', status: 502, code: 'ERR_CANARY_UPSTREAM_CONNECT' },
  { name: 'no TLS is spoken', scheme: 'https', status: 504, code: 'ERR_CANARY_UPSTREAM_TIMEOUT' },
  { name: 'no answer comes', status: 504, code: 'ERR_CANARY_UPSTREAM_TIMEOUT' },
  { name: 'nonsense comes', answer: `HTTP/9 ${SECRET}\r\n\r\n`, status: 502, code: 'ERR_CANARY_UPSTREAM_RESPONSE' },
  { name: 'the upstream hangs up', port: 'breaking', status: 502, code: 'ERR_CANARY_UPSTREAM_RESPONSE' },
  {
    name: 'the path climbs above the base',
    request: GET.replace('/x', '/%2e%2e/x'),
    status: 400,
    code: 'ERR_CANARY_REQUEST',
  },
  { name: 'the body was read', request: READ, status: 500, code: 'ERR_CANARY_BODY' },
  {
    name: 'a hook for requests throws',
    proxy: { onRequestHeaders: thrower },
    status: 500,
    code: 'ERR_CANARY_HOOK',
  },
  {
    name: 'a hook for responses throws',
    proxy: { onResponseHeaders: thrower },
    answer: `HTTP/1.1 200 OK\r\nX-Leak: ${SECRET}\r\nContent-Length: 2\r\n\r\nok`,
    status: 500,
    code: 'ERR_CANARY_HOOK',
  },
]

for (const mode of ['production', 'development']) {
  describe.each(Object.entries(DEFAULT_PAGES))(`the error page of %s in ${mode}`, (framework, start) => {
    let upstream: RecordingUpstream
    let answer: string | undefined
    const ports = { closed: 0, breaking: 0, answering: 0 }
    const breaking = createServer((socket) => socket.once('data', () => socket.destroy()))
    let logged = ''

    beforeAll(async () => {
      upstream = await startRecordingUpstream(() => answer ?? '')
      ports.answering = upstream.port
      const closed = createServer()
      for (const [name, server] of [
        ['closed', closed],
        ['breaking', breaking],
      ] as const) {
        await once(server.listen(0, '127.0.0.1'), 'listening')
        ports[name] = (server.address() as AddressInfo).port
      }
      await new Promise((resolve) => closed.close(resolve))
    })
    beforeEach(() => {
      vi.stubEnv('NODE_ENV', mode)
      // Express prints what nobody handles.
      logged = ''
      vi.spyOn(console, 'error').mockImplementation((...said) => void (logged += said.join('\n')))
    })
    afterEach(() => {
      vi.unstubAllEnvs()
      vi.restoreAllMocks()
    })
    afterAll(async () => {
      await upstream[Symbol.asyncDispose]()
      await new Promise((resolve) => breaking.close(resolve))
    })

    function sourceFor({ port = 'answering', scheme = 'http', proxy }: Partial<Failing>) {
      const url = `${scheme}://127.0.0.1:${ports[port]}/${SECRET}`
      return optionsFor({ A: url, B: url }, { proxy: { connectTimeoutMs: 300, headersTimeoutMs: 300, ...proxy } })
    }

    function check(text: string, code: string) {
      expect(text).not.toMatch(INNER)
      for (const port of Object.values(ports)) expect(text).not.toContain(`:${port}`)
      if (mode === 'production' || !framework.startsWith('express')) expect(text).not.toMatch(TRACE)
      if (framework === 'fastify' || framework === 'node') expect(text).toContain(`"code":"${code}"`)
      if (framework.startsWith('express')) expect(logged).toContain('CanaryError')
      expect(logged).not.toContain(SECRET)
    }

    test.for(FAILING)('$name: $status, and nothing of the inside', async (failing) => {
      answer = failing.answer
      const gateway = await start(sourceFor(failing))
      const seen = await exchange(gateway.port, failing.request ?? GET)
      await gateway.close()
      expect([seen.status, seen.whole], seen.text).toEqual([failing.status, true])
      check(seen.text, failing.code)
    })

    test('all connections are taken: 503, and nothing of the inside', async () => {
      answer = undefined
      const gateway = await start(sourceFor({ proxy: { connections: 1, queue: 0, headersTimeoutMs: 2000 } }))
      const both = await Promise.race([1, 2].map(() => exchange(gateway.port, GET)))
      expect([both.status, both.whole], both.text).toEqual([503, true])
      check(both.text, 'ERR_CANARY_UPSTREAM_BUSY')
      await gateway.close()
    })

    test('the mount is closed: 503, and nothing of the inside', async () => {
      const gateway = await start(sourceFor({}))
      await gateway.closeMount?.()
      if (gateway.closeMount !== null) {
        const seen = await exchange(gateway.port, GET)
        expect([seen.status, seen.whole], seen.text).toEqual([503, true])
        check(seen.text, 'ERR_CANARY_CLOSED')
      }
      await gateway.close()
    })

    test('the service is not known: 503, and nothing of the inside', async () => {
      const registry = await createRegistry({ store: memoryStore(), logger: SILENT })
      const gateway = await start({ registry, service: SECRET })
      const seen = await exchange(gateway.port, GET)
      expect([seen.status, seen.whole], seen.text).toEqual([503, true])
      check(seen.text, 'ERR_CANARY_SERVICE')
      await gateway.close()
      await registry.close()
    })

    test('a function that says who calls throws: no word of it is answered', async () => {
      answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
      const gateway = await start({ ...sourceFor({}), consumer: thrower })
      const seen = await exchange(gateway.port, GET)
      expect([seen.status, seen.body], seen.text).toEqual([200, 'ok'])
      expect(seen.text).not.toMatch(INNER)
      await gateway.close()
    })
  })
}
