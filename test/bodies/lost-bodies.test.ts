import { once } from 'node:events'
import { Agent, type ClientRequest, type IncomingMessage, type ServerResponse, request as httpRequest } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { type AddressInfo, type Server, type Socket, createServer as createNetServer } from 'node:net'
import { Duplex, type Readable } from 'node:stream'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { canary as expressCanary } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import express from 'express'
import Fastify, { type FastifyRequest } from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import { APPLICATIONS, type Before, type Request, type Start, http2Application, turns } from './applications.js'
import { binary, hashingUpstream, sha1, upload, uploadHttp2 } from './uploads.js'

// What can't be sent whole is never sent short, and nobody waits for it for ever.

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

const BODY = binary(8 * 1_048_576)
const SMALL = binary(1000)

async function hashing() {
  const upstream = await hashingUpstream()
  opened.push(() => upstream.close())
  return upstream
}

async function started(start: Start, options: object, before: Before): Promise<number> {
  const app = await start({ name: 'x', percentage: 50, ...options }, before)
  opened.push(() => app.close())
  return app.port
}

/** The URL of a port where nobody listens. */
async function closedUrl(): Promise<string> {
  const server = createNetServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return `http://127.0.0.1:${port}`
}

const count: Before = (request) => void request.on('data', () => {})

describe.each(Object.entries(APPLICATIONS))('on %s', (_name, start) => {
  test('somebody who pauses a body and never resumes it gets the client an error', async () => {
    const upstream = await hashing()
    const options = { upstreams: { A: upstream.url, B: upstream.url }, proxy: { bodyTimeoutMs: 300 } }
    const port = await started(start, options, (request) => void request.on('data', () => request.pause()))
    for (const framing of ['with its length', 'in chunks'] as const) {
      const answer = await upload(port, BODY, framing)
      expect(answer).toEqual({
        status: 500,
        text: expect.stringMatching(/ERR_CANARY_BODY.*keeps it back.*mount canary before/),
      })
    }
    expect(upstream.whole).toEqual([])
  })

  test('bytes that somebody made text of are refused', async () => {
    const upstream = await hashing()
    const options = { upstreams: { A: upstream.url, B: upstream.url } }
    const port = await started(start, options, (request) => void request.setEncoding('utf8').on('data', () => {}))
    for (const body of [SMALL, BODY]) {
      const answer = await upload(port, body, 'in chunks')
      expect(answer).toEqual({
        status: 500,
        text: expect.stringMatching(/ERR_CANARY_BODY.*as text.*mount canary before/),
      })
    }
    expect(upstream.whole).toEqual([])
  })

  test('somebody who reads after the canary was reached takes nothing unseen', async () => {
    const upstream = await hashing()
    const options = { upstreams: { A: upstream.url, B: upstream.url } }
    const port = await started(start, options, (request) => {
      setImmediate(() => request.on('data', () => {}))
    })
    for (const body of [SMALL, BODY, SMALL]) {
      const { status, text } = await upload(port, body, 'with its length')
      if (status === 200) expect(JSON.parse(text).sha1).toBe(sha1(body))
      else expect([status, text]).toEqual([500, expect.stringMatching(/ERR_CANARY_BODY.*mount canary before/)])
    }
    expect(upstream.whole.filter((digest) => digest !== sha1(SMALL) && digest !== sha1(BODY))).toEqual([])
  })

  test.each([
    ['undici', () => ({})],
    ['http-proxy', () => ({ forwarder: httpProxyForwarder() })],
  ])('an observed body goes to A where B cannot be connected to, through %s', async (_forwarder, proxy) => {
    const upstream = await hashing()
    const options = { upstreams: { A: upstream.url, B: await closedUrl() }, upstreamFallback: true, proxy: proxy() }
    const port = await started(start, { ...options, percentage: 100 }, count)
    // The sixth finds B out of service.
    for (let i = 0; i < 6; i += 1) {
      const { status, text } = await upload(port, BODY, 'in chunks')
      expect([status, JSON.parse(text).sha1]).toEqual([200, sha1(BODY)])
    }
  })

  test('an observed body that is not sent leaves the connection usable', async () => {
    const port = await started(start, { upstreams: { A: await closedUrl(), B: await closedUrl() } }, count)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    opened.push(() => agent.destroy())
    for (const body of [SMALL, BODY, SMALL]) {
      const sent = httpRequest({ port, host: '127.0.0.1', method: 'POST', agent })
      sent.on('error', () => {})
      sent.end(body)
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      expect(response.statusCode).toBe(502)
      response.resume()
      await once(response, 'end')
    }
  })
})

test('a body that somebody destroys ends the connection, and over HTTP/2 the answer says why', async () => {
  const upstream = await hashing()
  const options = { upstreams: { A: upstream.url, B: upstream.url } }
  const destroy: Before = (request) => void request.on('data', () => request.destroy())
  const { 'node:http': http1 } = APPLICATIONS
  if (http1 === undefined) throw new Error('no application')
  await expect(upload(await started(http1, options, destroy), BODY, 'in chunks')).rejects.toThrow(
    /ECONNRESET|EPIPE|hang up/,
  )
  const answer = await uploadHttp2(await started(http2Application, options, destroy), BODY, 'in chunks')
  expect(answer).toEqual({ status: 500, text: expect.stringMatching(/ERR_CANARY_BODY.*destroyed/) })
  expect(upstream.whole).toEqual([])
})

test('Express’s own error page, which waits for the end of the request, comes for an observed upload', async () => {
  const app = express()
  app.set('env', 'test')
  app.use((request, _response, next) => {
    request.on('data', () => {})
    next()
  })
  const B = await closedUrl()
  const middleware = expressCanary({ name: 'x', upstreams: { A: B, B }, percentage: 50 })
  app.use(middleware)
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(
    () => middleware.close(0),
    () => server.close(),
  )
  const answer = await upload((server.address() as AddressInfo).port, BODY, 'in chunks')
  expect([answer.status, answer.text]).toEqual([502, expect.stringContaining('could not be connected to')])
})

test.each([
  ['HTTP/1.1', APPLICATIONS['node:http']],
  ['HTTP/2', http2Application],
] as const)('somebody who pauses a body that is under way over %s gets the client an error', async (version, start) => {
  const upstream = await hashing()
  const requests: Request[] = []
  if (start === undefined) throw new Error('no application')
  const options = { upstreams: { A: upstream.url, B: upstream.url }, proxy: { bodyTimeoutMs: 300 } }
  const port = await started(start, options, (request) => void requests.push(request))
  const session = version === 'HTTP/2' ? connectHttp2(`http://127.0.0.1:${port}`) : null
  opened.push(() => session?.destroy())
  const sent: Duplex | ClientRequest =
    session?.request({ ':method': 'POST', ':path': '/' }) ??
    httpRequest({ port, host: '127.0.0.1', method: 'POST', agent: false })
  sent.on('error', () => {})
  const arrived = new Promise((resolve) => {
    upstream.server.once('request', (incoming: IncomingMessage) => incoming.once('data', resolve))
  })
  sent.write('first')
  await arrived
  // The forwarder has asked for more by then.
  await turns(10)
  requests[0]?.pause()
  sent.write('second')
  const [head] = await once(sent, 'response')
  expect(head.statusCode ?? head[':status']).toBe(500)
  const answered: Readable = sent instanceof Duplex ? sent : head
  expect((await answered.setEncoding('utf8').toArray()).join('')).toMatch(/ERR_CANARY_BODY.*keeps it back/)
  expect(upstream.whole).toEqual([])
})

test('an observed body waits in the queue for a connection, and loses nothing', async () => {
  const held: (() => void)[] = []
  const upstream = await hashing()
  // Its first request is answered when the test says so.
  const [answer] = upstream.server.listeners('request')
  upstream.server.removeAllListeners('request')
  upstream.server.once('request', (_request, response) => void held.push(() => response.end('first')))
  const start = APPLICATIONS['node:http']
  if (start === undefined || answer === undefined) throw new Error('nothing to test with')
  const options = { upstreams: { A: upstream.url, B: upstream.url }, proxy: { connections: 1 } }
  let seen = 0
  const port = await started(start, options, (request) => {
    request.on('data', (chunk: Buffer) => (seen += chunk.length))
    // It lets the body flow, whoever holds it.
    setImmediate(() => request.resume())
  })
  const first = upload(port, Buffer.from('first'), 'with its length')
  await expect.poll(() => held.length).toBe(1)
  upstream.server.on('request', answer as never)
  const second = upload(port, BODY, 'in chunks')
  await expect.poll(() => seen).toBeGreaterThan(1_000_000)
  expect(seen).toBeLessThan(2 * 1_048_576)
  held[0]?.()
  expect((await first).text).toBe('first')
  const { status, text } = await second
  expect([status, JSON.parse(text).sha1]).toEqual([200, sha1(BODY)])
})

test('in rewrite mode a body is left to what comes after the canary', async () => {
  const app = express()
  app.use((request, _response, next) => {
    request.on('data', () => {})
    next()
  })
  const upstreams = { A: 'http://127.0.0.1:1', B: 'http://127.0.0.1:1' }
  const middleware = expressCanary({ name: 'x', upstreams, percentage: 50, mode: 'rewrite' })
  app.use(middleware)
  app.use((request, response) => {
    void request.toArray().then((chunks) => response.send(sha1(Buffer.concat(chunks))))
  })
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(
    () => middleware.close(0),
    () => server.close(),
  )
  const { port } = server.address() as AddressInfo
  expect(await upload(port, BODY, 'in chunks')).toEqual({ status: 200, text: sha1(BODY) })
})

describe('memory', () => {
  /** An upstream that reads nothing before it is told to. */
  async function stalled(): Promise<{ url: string; sockets: Socket[]; server: Server }> {
    const sockets: Socket[] = []
    const server = createNetServer((socket) => void sockets.push(socket.pause().on('error', () => {})))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    opened.push(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, server }
  }

  /** Lets everything come to rest: nothing is seen any more in many turns of the loop. */
  async function rest(seen: () => number): Promise<void> {
    for (let before = -1, still = 0; still < 2000; still = seen() === before ? still + 1 : 0) {
      before = seen()
      await turns(1)
    }
  }

  const LARGE = binary(64 * 1_048_576)

  test.each([
    ['HTTP/1.1', APPLICATIONS['node:http'], upload],
    ['Fastify', APPLICATIONS['Fastify 5'], upload],
    ['HTTP/2', http2Application, uploadHttp2],
  ] as const)('an upload over %s waits for its upstream, though somebody else reads it', async (_name, start, send) => {
    if (start === undefined) throw new Error('no application')
    const upstream = await stalled()
    let seen = 0
    const options = { upstreams: { A: upstream.url, B: upstream.url } }
    const port = await started(start, options, (request) => {
      // It resumes whenever it can.
      request.on('data', (chunk: Buffer) => (seen += chunk.length))
      request.on('pause', () => setImmediate(() => request.resume()))
    })
    const answered = send(port, LARGE, 'in chunks')
    await rest(() => seen)
    // Sockets of loopback take some megabytes.
    expect(seen).toBeGreaterThan(0)
    expect(seen).toBeLessThan(24 * 1_048_576)
    const [socket] = upstream.sockets
    let tail = Buffer.alloc(0)
    socket?.resume().on('data', (chunk: Buffer) => {
      tail = Buffer.concat([tail, chunk]).subarray(-5)
      if (tail.equals(Buffer.from('0\r\n\r\n'))) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    })
    expect((await answered).status).toBe(200)
    expect(seen).toBe(LARGE.length)
  })
})

describe('a handler', () => {
  const answerDigest = (request: IncomingMessage, response: ServerResponse) =>
    void request.toArray().then((chunks) => response.end(sha1(Buffer.concat(chunks))))

  test.each([
    ['that is A when B cannot be connected to', async () => ({ B: await closedUrl(), percentage: 100 })],
    ['that was decided for', async () => ({ B: 'http://127.0.0.1:1', percentage: 0 })],
  ])('%s reads an observed body whole', async (_when, place) => {
    const { B, percentage } = await place()
    const app = express()
    app.use((request, _response, next) => {
      request.on('data', () => {})
      next()
    })
    const upstreams = { A: answerDigest, B }
    const middleware = expressCanary({ name: 'x', upstreams, percentage, upstreamFallback: true })
    app.use(middleware)
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    opened.push(
      () => middleware.close(0),
      () => server.close(),
    )
    const { port } = server.address() as AddressInfo
    expect(await upload(port, BODY, 'in chunks')).toEqual({ status: 200, text: sha1(BODY) })
  })

  test.each([
    ['that is A when B cannot be connected to', async () => ({ B: await closedUrl(), percentage: 100 })],
    ['that was decided for', async () => ({ B: 'http://127.0.0.1:1', percentage: 0 })],
  ])('%s reads an observed body whole, on Fastify', async (_when, place) => {
    const { B, percentage } = await place()
    const app = Fastify({ forceCloseConnections: true })
    app.addHook('onRequest', (request, _reply, done) => {
      request.raw.on('data', () => {})
      done()
    })
    app.addHook('preHandler', () => turns(3))
    const handler = async ({ body }: FastifyRequest) => {
      const chunks: Buffer[] = []
      for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
      return sha1(Buffer.concat(chunks))
    }
    const upstreams = { A: handler, B }
    await app.register(fastifyCanary, { name: 'x', upstreams, percentage, upstreamFallback: true, graceMs: 0 })
    await app.listen({ port: 0, host: '127.0.0.1' })
    opened.push(() => app.close())
    const { port } = app.server.address() as AddressInfo
    for (const body of [SMALL, BODY]) {
      expect(await upload(port, body, 'in chunks')).toEqual({ status: 200, text: sha1(body) })
    }
  })
})
