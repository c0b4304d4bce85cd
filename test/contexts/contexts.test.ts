import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type Decision, type Release, createRelease } from '@canary-release/core'
import { createHandler } from '@canary-release/core/node'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import httpProxy from 'http-proxy'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { APPLICATIONS, type Application, type Start } from './applications.js'
import { Client } from './client.js'
import { Ledger, idOf, users } from './ledger.js'
import { type TestUpstream, startUpstream } from './upstream.js'

const GONE = 'http://127.0.0.1:9'
let upstream: TestUpstream
let current = new Ledger()
const open: (() => unknown)[] = []

/** What tracing hooks on: a span belongs to the context that undici makes its request in. */
function onUndiciRequest(message: unknown): void {
  const { headers } = (message as { request: { headers: readonly string[] } }).request
  const id = headers[headers.indexOf('x-id') + 1]
  if (id !== undefined) current.note('undici:request:create', id)
}

beforeAll(async () => {
  subscribe('undici:request:create', onUndiciRequest)
  upstream = await startUpstream()
})
afterAll(() => {
  unsubscribe('undici:request:create', onUndiciRequest)
  return upstream.close()
})
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close()
})

/** An http-proxy server whose events are noted. */
function notingForwarder(ledger: Ledger) {
  const server = httpProxy.createProxyServer({})
  server.on('proxyReq', (_proxied, request) => ledger.note('proxyReq', idOf(request)))
  server.on('proxyRes', (_proxied, request) => ledger.noteForLong('proxyRes', idOf(request)))
  server.on('end', (request: IncomingMessage) => ledger.note('end', idOf(request)))
  server.on('proxyReqWs', (_proxied, request) => ledger.note('proxyReqWs', idOf(request)))
  server.on('error', (_error, request) => ledger.note('error', idOf(request)))
  server.on('open', () => ledger.note('open', users.getStore()?.id ?? 'nobody'))
  server.on('close', () => ledger.note('close of a tunnel', users.getStore()?.id ?? 'nobody'))
  return httpProxyForwarder(server)
}

interface Settings {
  readonly forwarder: string
  readonly options?: object
  readonly proxy?: object
  readonly rewrites?: boolean
}

interface Scene {
  readonly app: Application
  readonly client: Client
  readonly ledger: Ledger
  readonly release: Release
}

/** An application with a canary whose hooks, events and reports are all noted. */
async function stage(start: Start, { forwarder, options, proxy, rewrites = false }: Settings): Promise<Scene> {
  const ledger = new Ledger()
  current = ledger
  let asked = 'nobody'
  const release = createRelease({
    name: 'orders-v2',
    upstreams: { A: upstream.url, B: `${upstream.url}/` },
    percentage: 50,
    hash: 'consumer',
    consumer: (request: Pick<IncomingMessage, 'headers'>) => {
      asked = idOf(request)
      ledger.note('consumer', asked)
      return asked
    },
    onError: (error: unknown) => {
      if (error instanceof Error && error.message.startsWith('of '))
        ledger.note('onError of a release', error.message.slice(3))
    },
    ...(rewrites ? { mode: 'rewrite' } : {}),
    ...options,
    proxy: {
      forwarder: forwarder === 'undici' ? null : notingForwarder(ledger),
      onRequestHeaders: (_headers: unknown, request: IncomingMessage, decision: Decision) => {
        ledger.decided(idOf(request), decision)
        ledger.noteForLong('onRequestHeaders', idOf(request))
      },
      onResponseHeaders: (_headers: unknown, request: IncomingMessage) =>
        ledger.noteForLong('onResponseHeaders', idOf(request)),
      ...proxy,
    },
  } as never)
  release.on('decision', (decision) => {
    ledger.decided(asked, decision)
    ledger.noteForLong('decision', asked)
  })
  release.on('outcome', ({ decision }) => {
    const id = ledger.requestOf(decision)
    ledger.noteForLong('outcome', id)
    throw new Error(`of ${id}`)
  })
  const app = await start({ release, ledger, rewrites })
  const client = new Client(app.port)
  open.push(
    () => release.close(),
    () => app.close(),
    () => client.close(),
  )
  return { app, client, ledger, release }
}

/** Resolves when an event of a request has been noted. */
async function noted(ledger: Ledger, event: string, id: string): Promise<void> {
  while (!ledger.requestsOf(event).has(id)) await new Promise((resolve) => setImmediate(resolve))
}

const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}-${index}`)

describe.each(Object.entries(APPLICATIONS))('%s: every callback sees its own request', (_name, start) => {
  describe.each(['undici', 'http-proxy'])('through %s', (forwarder) => {
    test.each([1, 256])('with %i connections shared by many users', async (connections) => {
      const { client, ledger } = await stage(start, { forwarder, proxy: { connections } })
      const expected: [path: string, status: number, body?: Buffer][] = [
        ['/', 200],
        ['/later', 200],
        ['/large', 200],
        ['/echo', 200, Buffer.alloc(300_000, 'y')],
        ['/die', 502],
        ['/half', 0],
        ['/stale', 200],
      ]
      const asked = ids('user', 28).map(async (id, index) => {
        const [path, status, body] = expected[index % expected.length] ?? ['/', 200]
        return [id, path, (await client.ask(path, id, body)).status, status]
      })
      for (const [id, path, status, right] of await Promise.all(asked))
        expect([id, path, status]).toEqual([id, path, right])
      const all = ids('user', 28)
      const whole = all.filter((_, index) => !['/die', '/half'].includes(expected[index % expected.length]?.[0] ?? ''))
      const failed = all.filter((_, index) => expected[index % expected.length]?.[0] === '/die')
      for (const id of all) await noted(ledger, 'outcome', id)
      for (const id of whole) await noted(ledger, 'close', id)
      const events = ['decision', 'onRequestHeaders', 'outcome', 'onRequestHeaders, a timer later']
      events.push(forwarder === 'http-proxy' ? 'proxyReq' : 'undici:request:create')
      for (const event of events) expect(ledger.requestsOf(event)).toEqual(new Set(all))
      for (const event of ['finish', 'onResponseHeaders'])
        expect([...ledger.requestsOf(event)]).toEqual(expect.arrayContaining(whole))
      expect(ledger.requestsOf('error handler')).toEqual(new Set(failed))
      expect(ledger.requestsOf('write').size).toBeGreaterThan(0)
      expect(ledger.requestsOf('onError of a release').size).toBe(1)
      ledger.expectOwn()
    })

    test('when time limits end requests', async () => {
      // The stalling upstream must be able to answer in time, also on a machine that is busy.
      const limits = { headersTimeoutMs: 1000, bodyTimeoutMs: 150, connections: 8 }
      const { client, ledger } = await stage(start, { forwarder, proxy: limits })
      const silent = ids('silent', 3)
      const stalled = ids('stalled', 3)
      const asked = await Promise.all([
        ...silent.map((id) => client.ask('/silent', id)),
        ...stalled.map((id) => client.ask('/stalls', id)),
      ])
      expect(asked.map(({ status }) => status)).toEqual([504, 504, 504, 0, 0, 0])
      for (const id of [...silent, ...stalled]) await noted(ledger, 'outcome, a timer later', id)
      expect(ledger.requestsOf('error handler')).toEqual(new Set(silent))
      expect(ledger.requestsOf('destroy')).toEqual(new Set(stalled))
      ledger.expectOwn()
    })

    test('when they wait in the queue, find it full, or wait too long', async () => {
      const proxy = { connections: 1, queue: 2, connectTimeoutMs: 200, headersTimeoutMs: 400 }
      const { client, ledger } = await stage(start, { forwarder, proxy })
      // Two of them go to one upstream at least, for there are five and two upstreams of one connection each.
      const blocking = ids('blocking', 5)
      const waiting = ids('waiting', 12)
      const agents = [client, new Client(client.port), new Client(client.port)]
      open.push(() => agents.forEach((agent) => agent.close()))
      const asked = await Promise.all(
        [...blocking.map((id) => ['/silent', id] as const), ...waiting.map((id) => ['/', id] as const)].map(
          ([path, id], index) => agents[index % 3]?.ask(path, id),
        ),
      )
      const statuses = new Set(asked.map((one) => one?.status))
      expect(statuses).toContain(503)
      expect(statuses).toContain(504)
      for (const id of [...blocking, ...waiting]) await noted(ledger, 'close', id)
      expect(ledger.requestsOf('error handler').size).toBeGreaterThan(5)
      ledger.expectOwn()
    })

    test('when A serves what B could not', async () => {
      const options = { upstreams: { A: upstream.url, B: GONE }, upstreamFallback: true, percentage: 100 }
      const { client, ledger, release } = await stage(start, { forwarder, options })
      const all = ids('fallen', 12)
      const served = await Promise.all(all.map((id, index) => client.ask(index % 3 === 0 ? '/die' : '/', id)))
      expect(served.filter(({ status }) => status === 200)).toHaveLength(8)
      const tunnel = await client.upgrade('/tunnel', 'tunnel-0')
      expect(tunnel.status).toBe(101)
      tunnel.socket?.destroy()
      for (const id of [...all, 'tunnel-0']) await noted(ledger, 'outcome, a timer later', id)
      expect(release.status().counts.fallback).toBe(13)
      ledger.expectOwn()
    })

    test('when clients leave, or the canary closes', async () => {
      const { app, client, ledger } = await stage(start, { forwarder, proxy: { connections: 2 } })
      const gone = ids('gone', 8)
      await Promise.all(gone.map((id) => client.leave('/silent', id, () => noted(ledger, 'onRequestHeaders', id))))
      for (const id of gone) await noted(ledger, 'outcome, a timer later', id)
      const cut = ids('cut', 4)
      const asked = cut.map((id, index) => client.ask(index % 2 === 0 ? '/silent' : '/stalls', id))
      for (const id of cut) await noted(ledger, 'onRequestHeaders', id)
      await app.closeCanary()
      await Promise.all(asked)
      expect((await client.ask('/', 'late-0')).status).not.toBe(200)
      ledger.expectOwn()
    })

    test('when they become tunnels', async () => {
      const { client, ledger } = await stage(start, { forwarder, proxy: { headersTimeoutMs: 150 } })
      const tunnels = ids('tunnel', 4)
      const sockets = await Promise.all(
        tunnels.map(async (id) => {
          const { status, socket } = await client.upgrade('/tunnel', id)
          expect([id, status]).toEqual([id, 101])
          socket?.write('hello')
          if (socket !== null) expect(String((await once(socket, 'data'))[0])).toBe('hello')
          return socket
        }),
      )
      for (const socket of sockets) socket?.end()
      const failing = ['/refused', '/die', '/silent'].map(async (path, index) => {
        return (await client.upgrade(path, `failing-${index}`)).status
      })
      expect(await Promise.all(failing)).toEqual([403, 502, 504])
      for (const id of tunnels) {
        await noted(ledger, 'outcome, a timer later', id)
        if (forwarder === 'http-proxy') await noted(ledger, 'close of a tunnel', id)
      }
      expect(ledger.requestsOf('onResponseHeaders')).toEqual(new Set([...tunnels, 'failing-0']))
      expect(ledger.requestsOf('error handler')).toEqual(new Set(['failing-1', 'failing-2']))
      ledger.expectOwn()
    })

    test('when they come in one packet', async () => {
      const { client, ledger } = await stage(start, { forwarder })
      const paths = ['/later', '/', '/die', '/later', '/', '/large']
      const all = ids('piped', paths.length)
      const text = await client.pipeline(paths.map((path, index) => [path, all[index] ?? ''] as const))
      expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(
        [200, 200, 502, 200, 200, 200].map((status) => `HTTP/1.1 ${status}`),
      )
      for (const event of ['outcome', 'finish', 'close']) for (const id of all) await noted(ledger, event, id)
      ledger.expectOwn()
    })
  })

  test('when the canary only decides, and the application answers', async () => {
    const { client, ledger } = await stage(start, { forwarder: 'undici', rewrites: true })
    const all = ids('rewritten', 8)
    for (const { status } of await Promise.all(all.map((id) => client.ask('/', id)))) expect(status).toBe(200)
    await client.leave('/', 'left-0', () => noted(ledger, 'answer', 'left-0'))
    for (const id of [...all, 'left-0']) await noted(ledger, 'outcome, a timer later', id)
    expect(ledger.requestsOf('answer')).toEqual(new Set([...all, 'left-0']))
    ledger.expectOwn()
  })
})

test('every callback sees its own request on one HTTP/2 connection', async () => {
  const startHttp2: Start = async ({ release, ledger }) => {
    const handler = createHandler(release)
    const server = createHttp2Server((request, response) => {
      users.run({ id: idOf(request) }, () => {
        const id = idOf(request)
        response.on('finish', () => ledger.note('finish', id))
        response.on('close', () => ledger.note('close', id))
        handler(request, response, () => {
          ledger.noteForLong('error handler', id)
          response.writeHead(502).end()
        })
      })
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const close = () => new Promise<void>((resolve) => server.close(() => resolve()))
    return { port: (server.address() as AddressInfo).port, closeCanary: () => handler.close(0), close }
  }
  const { app, ledger } = await stage(startHttp2, { forwarder: 'undici', proxy: { connections: 2 } })
  const session = connectHttp2(`http://127.0.0.1:${app.port}`)
  open.push(() => session.destroy())
  const paths = ['/', '/later', '/large', '/die']
  const all = ids('stream', 12)
  const statuses = all.map(async (id, index) => {
    const stream = session.request({ ':path': paths[index % paths.length] ?? '/', 'x-id': id })
    const [headers] = (await once(stream, 'response')) as [{ ':status'?: number }]
    for await (const _ of stream);
    return headers[':status']
  })
  expect(await Promise.all(statuses)).toEqual(all.map((_, index) => (index % paths.length === 3 ? 502 : 200)))
  for (const id of all) for (const event of ['outcome', 'finish', 'close']) await noted(ledger, event, id)
  ledger.expectOwn()
})
