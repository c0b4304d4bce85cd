import { EventEmitter, once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import ProxyServer from 'http-proxy'
import { afterEach, describe, expect, test } from 'vitest'
import { httpProxyForwarder } from '../../src/proxy/http-proxy/forwarder.js'
import type { ProxyOptions } from '../../src/proxy/options.js'
import {
  allClosed,
  ask,
  gateway,
  httpUpstream,
  rawUpstream,
  testRelease,
  urlUpstream,
  type ReleaseSettings,
} from './harness.js'

const SHORT: ProxyOptions = { connectTimeoutMs: 200, headersTimeoutMs: 200, bodyTimeoutMs: 200 }
const uncaught: unknown[] = []
process.on('uncaughtException', (error) => uncaught.push(error))
afterEach(() => expect(uncaught).toEqual([]))

function through(settings: ReleaseSettings, server?: ProxyServer) {
  return testRelease({ ...settings, proxy: { ...settings.proxy, forwarder: httpProxyForwarder(server) } })
}

describe('http-proxy as the forwarder', () => {
  test('brings requests there and responses back, paths and headers as they are', async () => {
    await using upstream = await httpUpstream((request, response) => {
      const parts: Buffer[] = []
      request.on('data', (chunk: Buffer) => parts.push(chunk))
      request.on('end', () => {
        response.writeHead(201, 'Made', { 'Set-Cookie': ['b=2', 'c=3'], Vary: 'Accept' })
        const { method, url, headers } = request
        response.end(JSON.stringify({ method, url, headers, body: Buffer.concat(parts).length }))
      })
    })
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port, { basePath: '/base' }) }), {
      before: (_request, response) => {
        response.setHeader('Set-Cookie', 'a=1')
        response.setHeader('Vary', 'Origin')
      },
    })
    const answer = await ask(front.port, '/x//y\\z?a=//b', {
      method: 'POST',
      body: Buffer.alloc(1_000_000),
      headers: { 'X-Two': ['1', '2'], 'X-Forwarded-For': '203.0.113.9' },
    })
    expect(answer).toMatchObject({
      status: 201,
      headers: { 'set-cookie': ['a=1', 'b=2', 'c=3'], vary: 'Origin, Accept' },
    })
    expect(JSON.parse(answer.body)).toMatchObject({
      method: 'POST',
      url: '/base/x//y\\z?a=//b',
      body: 1_000_000,
      headers: { 'x-two': '1, 2', 'x-forwarded-for': '127.0.0.1', host: `127.0.0.1:${upstream.port}` },
    })
  })

  test.each(['POST', 'DELETE', 'OPTIONS'])('sends a %s with a body in chunks whole', async (method) => {
    await using upstream = await httpUpstream((request, response) => void request.pipe(response))
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }))
    const headers = { 'transfer-encoding': 'chunked' }
    expect(await ask(front.port, '/', { method, headers, body: 'GET /smuggled' })).toMatchObject({
      body: 'GET /smuggled',
    })
  })

  test("keeps the server's events and options", async () => {
    await using upstream = await httpUpstream((request, response) => {
      response.writeHead(302, {
        location: `http://127.0.0.1:${upstream.port}/next`,
        'set-cookie': 'a=1; Domain=upstream.example; Path=/',
        'x-seen': `${request.headers['x-option']} ${request.headers['x-event']}`,
      })
      response.end()
    })
    const server = ProxyServer.createProxyServer({
      headers: { 'x-option': 'option' },
      cookieDomainRewrite: 'shop.example',
      hostRewrite: 'shop.example',
    })
    const seen: string[] = []
    server.on('start', () => seen.push('start'))
    server.on('proxyReq', (proxyReq) => proxyReq.setHeader('x-event', 'event'))
    server.on('proxyRes', (proxyRes) => {
      proxyRes.headers['x-changed'] = 'yes'
    })
    server.on('end', () => seen.push('end'))
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }, server))
    expect((await ask(front.port)).headers).toMatchObject({
      'x-seen': 'option event',
      'x-changed': 'yes',
      location: 'http://shop.example/next',
      'set-cookie': ['a=1; Domain=shop.example; Path=/'],
    })
    expect(seen).toEqual(['start', 'end'])
  })

  test('lets a listener answer itself', async () => {
    await using upstream = await httpUpstream((_request, response) => void response.end('upstream'))
    const server = ProxyServer.createProxyServer({ selfHandleResponse: true })
    server.on('proxyRes', (proxyRes, _request, response) => {
      void proxyRes.toArray().then((parts) => response.end(`changed ${Buffer.concat(parts)}`))
    })
    const release = through({ B: urlUpstream('B', upstream.port) }, server)
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ status: 200, body: 'changed upstream' })
    expect(release.outcomes).toMatchObject([{ status: 200, error: null }])
  })

  test('tells errors to the listeners it has, who may answer, and else to the framework', async () => {
    await using upstream = await rawUpstream((socket) => void socket.once('data', () => socket.resetAndDestroy()))
    const server = ProxyServer.createProxyServer()
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }, server))
    expect(await ask(front.port)).toMatchObject({ status: 502, body: expect.stringMatching('gave no valid response') })
    server.on('error', (_error, _request, response) => {
      if (response instanceof http.ServerResponse) response.writeHead(500).end('mine')
    })
    expect(await ask(front.port)).toMatchObject({ status: 500, body: 'mine' })
  })

  test('falls back to A with the body, as the own forwarder does', async () => {
    const dead = await rawUpstream(() => {})
    await dead[Symbol.asyncDispose]()
    await using a = await httpUpstream((request, response) => void request.pipe(response))
    const release = through({ A: urlUpstream('A', a.port), B: urlUpstream('B', dead.port), fallback: true })
    await using front = await gateway(release)
    const body = 'x'.repeat(500_000)
    const answer = await ask(front.port, '/', { method: 'POST', body })
    expect(answer.body === body).toBe(true)
    expect(release.outcomes).toMatchObject([
      { decision: { upstream: 'B' }, error: { code: 'ERR_CANARY_UPSTREAM_CONNECT' } },
      { decision: { upstream: 'A', reason: 'fallback' }, status: 200 },
    ])
  })

  test.each<[string, (socket: net.Socket) => void, string | RegExp]>([
    ['resets', (socket) => void socket.once('data', () => socket.resetAndDestroy()), 'gave no valid response'],
    ['is silent', () => {}, 'did not answer in 200 ms'],
    ['speaks no HTTP', (socket) => void socket.once('data', () => socket.end('what?\r\n')), 'gave no valid response'],
    [
      'cuts its body',
      (socket) => void socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc')),
      /aborted|hang up|ECONNRESET/,
    ],
    [
      'stalls in its body',
      (socket) => void socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc')),
      /aborted|hang up|ECONNRESET/,
    ],
  ])('holds against an upstream that %s', async (_name, onSocket, expected) => {
    await using upstream = await rawUpstream(onSocket)
    const release = through({ B: urlUpstream('B', upstream.port), proxy: SHORT })
    await using front = await gateway(release)
    const answer = await ask(front.port).then(
      ({ body }) => body,
      (error: Error) => error.message,
    )
    expect(answer).toMatch(expected)
    expect(release.outcomes).toMatchObject([{ aborted: false, error: { code: expect.stringMatching('UPSTREAM') } }])
  })

  test('sends a GET again whose idle connection was just closed', async () => {
    await using upstream = await rawUpstream((socket) => {
      let used = false
      socket.on('data', () => {
        if (used) socket.resetAndDestroy()
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        used = true
      })
    })
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }))
    for (let i = 0; i < 3; i += 1) expect(await ask(front.port)).toMatchObject({ status: 200, body: 'ok' })
  })

  test('sends it on a new connection, for the other idle ones may be closed as well', async () => {
    const first: net.Socket[] = []
    const answer = (socket: net.Socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    await using upstream = await rawUpstream((socket) => {
      let used = false
      socket.on('data', () => {
        if (used) return void socket.resetAndDestroy()
        used = true
        first.push(socket)
        // Three at once, so that three connections are idle after it.
        if (first.length === 3) for (const waiting of first) answer(waiting)
      })
    })
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }))
    const opening = await Promise.all([ask(front.port), ask(front.port), ask(front.port)])
    expect(opening.map(({ status }) => status)).toEqual([200, 200, 200])
    const answering = ask(front.port)
    await expect.poll(() => first.length).toBe(4)
    first.slice(3).forEach(answer)
    expect(await answering).toMatchObject({ status: 200, body: 'ok' })
  })

  test('sends the head at once and trailers at the end', async () => {
    const events = new EventEmitter()
    await using upstream = await httpUpstream((_request, response) => {
      response.writeHead(200, { trailer: 'x-sum' }).flushHeaders()
      events.once('go', () => {
        response.addTrailers({ 'x-sum': '1' })
        response.end('body')
      })
    })
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }))
    const request = http.request({ port: front.port }).end()
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    events.emit('go')
    expect((await response.setEncoding('utf8').toArray()).join('')).toBe('body')
    expect(response.trailers).toEqual({ 'x-sum': '1' })
  })

  test('sends a few early hints on, not all of an upstream that never stops', async () => {
    const hint = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
    await using upstream = await rawUpstream(
      (socket) =>
        void socket.once('data', () =>
          socket.write(`${hint.repeat(1000)}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`),
        ),
    )
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }))
    const request = http.request({ port: front.port }).end()
    let hints = 0
    request.on('information', () => (hints += 1))
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect([response.statusCode, hints]).toEqual([200, 16])
    response.resume()
  })

  test('brings all of 1 500 headers of a response', async () => {
    const names = Array.from({ length: 1500 }, (_, i) => `a${i}`)
    await using upstream = await httpUpstream((_request, response) => {
      for (const name of names) response.setHeader(name, '1')
      response.end('body')
    })
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }))
    const request = http.request({ port: front.port }).end()
    request.maxHeadersCount = 0
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect(Object.keys(response.headers)).toEqual(expect.arrayContaining(names))
    response.resume()
  })

  test('is not killed by a client that resets during an upgrade, nor leaks its socket', async () => {
    const events = new EventEmitter()
    await using upstream = await rawUpstream((socket) => {
      socket.resume().on('end', () => socket.end())
      socket.on('close', () => events.emit('closed'))
      events.emit('asked')
    })
    const server = ProxyServer.createProxyServer()
    const sent: unknown[] = []
    server.on('proxyReqWs', (proxyReq) => sent.push(proxyReq.method))
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }, server))
    const asked = once(events, 'asked')
    const closed = once(events, 'closed')
    const client = net.connect(front.port, '127.0.0.1')
    client.on('error', () => {})
    client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    await asked
    client.resetAndDestroy()
    await closed
    expect(sent).toEqual(['GET'])
  })

  test("tells the server's listeners when a tunnel opens and when its upstream ends it", async () => {
    await using upstream = await rawUpstream((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
        socket.once('data', () => socket.end())
      })
    })
    const server = ProxyServer.createProxyServer()
    const opened = once(server, 'open')
    const closed = once(server, 'close')
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }, server))
    const client = net.connect(front.port, '127.0.0.1')
    client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    await opened
    client.write('bye')
    await closed
    client.destroy()
  })

  test('aborts upstream what clients abort, and leaves no socket', async () => {
    const events = new EventEmitter()
    let waiting = 50
    await using upstream = await httpUpstream(() => {
      waiting -= 1
      if (waiting === 0) events.emit('all')
    })
    const release = through({ B: urlUpstream('B', upstream.port) })
    await using front = await gateway(release)
    const all = once(events, 'all')
    const requests = Array.from({ length: 50 }, () =>
      http.get({ port: front.port, agent: false }).on('error', () => {}),
    )
    await all
    for (const request of requests) request.destroy()
    await allClosed(upstream.sockets)
    expect(upstream.sockets.size).toBe(0)
  })

  test('closes for one mount, and leaves the requests of another that has the same forwarder alone', async () => {
    const events = new EventEmitter()
    await using upstream = await httpUpstream((request, response) => void events.emit(request.url ?? '', response))
    const forwarder = httpProxyForwarder()
    const shared = () => testRelease({ B: urlUpstream('B', upstream.port), proxy: { forwarder } })
    await using closing = await gateway(shared())
    await using staying = await gateway(shared())
    const asked = Promise.all([once(events, '/closing'), once(events, '/staying')])
    const given = ask(closing.port, '/closing')
    const kept = ask(staying.port, '/staying')
    const [, [response]] = (await asked) as [unknown, [http.ServerResponse]]
    await closing.proxy.close(1)
    expect(await given).toMatchObject({ status: 503 })
    response.end('whole')
    expect(await kept).toMatchObject({ status: 200, body: 'whole' })
  })

  test('is closed by two at once, and both are told', async () => {
    const events = new EventEmitter()
    await using upstream = await httpUpstream((_request, response) => void events.emit('asked', response))
    const forwarder = httpProxyForwarder()
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port), proxy: { forwarder } }))
    const asked = once(events, 'asked')
    const running = ask(front.port)
    const [response] = (await asked) as [http.ServerResponse]
    const closed = Promise.all([front.proxy.close(), forwarder.close()])
    response.end('late')
    expect(await running).toMatchObject({ status: 200, body: 'late' })
    await closed
  })
})

describe('listeners of an http-proxy server that fail', () => {
  type Fail = () => unknown
  const ways: readonly (readonly [string, Fail])[] = [
    [
      'throws',
      () => {
        throw new Error('a bug')
      },
    ],
    ['rejects', () => Promise.reject(new Error('a bug'))],
    ['rejects later', () => new Promise((_, reject) => setImmediate(reject, new Error('a bug')))],
  ]
  const HOOK = (name: string) => `ERR_CANARY_HOOK: a listener of http-proxy's ${name} failed`

  test.each(
    ['start', 'proxyReq', 'proxyRes'].flatMap((name) =>
      ways.slice(0, name === 'proxyRes' ? 1 : 2).map(([way, fail]) => [way, name, fail] as const),
    ),
  )('one that %s in %s ends its own request', async (_way, name, fail) => {
    const seen: string[] = []
    await using upstream = await httpUpstream((request, response) => {
      seen.push(request.url ?? '')
      response.end('upstream')
    })
    const server = ProxyServer.createProxyServer()
    const others: unknown[] = []
    server.once(name as 'start', fail as never)
    server.on(name as 'start', () => void others.push(name))
    const release = through({ B: urlUpstream('B', upstream.port) }, server)
    await using front = await gateway(release)
    expect(await ask(front.port, '/first')).toMatchObject({ status: 500, body: HOOK(name) })
    expect(await ask(front.port, '/second')).toMatchObject({ status: 200, body: 'upstream' })
    if (name === 'start') expect(seen).toEqual(['/second'])
    expect(others).toEqual([name, name])
    // It says nothing about the upstream.
    expect(release.outcomes).toMatchObject([{ status: 200, error: null }])
  })

  test('one that rejects in proxyRes is reported: the response has gone on', async () => {
    await using upstream = await httpUpstream((_request, response) => void response.end('upstream'))
    const server = ProxyServer.createProxyServer()
    server.on('proxyRes', () => Promise.reject(new Error('a bug')) as never)
    const release = through({ B: urlUpstream('B', upstream.port) }, server)
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ status: 200, body: 'upstream' })
    expect(release.reports).toMatchObject([{ code: 'ERR_CANARY_HOOK', cause: { message: 'a bug' } }])
  })

  test('a proxyReq that throws is not sent, whatever the body', async () => {
    const seen: string[] = []
    await using upstream = await httpUpstream((request, response) => {
      seen.push(request.method ?? '')
      response.end('upstream')
    })
    const server = ProxyServer.createProxyServer()
    server.on('proxyReq', () => {
      throw new Error('a bug')
    })
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }, server))
    for (const body of ['', 'x', 'x'.repeat(300_000)]) {
      expect(await ask(front.port, '/', { method: 'POST', body })).toMatchObject({
        status: 500,
        body: HOOK('proxyReq'),
      })
    }
    expect(seen).toEqual([])
  })

  test.each(ways)('one that %s in the middle of its own answer cuts the client off', async (_way, fail) => {
    await using upstream = await httpUpstream((_request, response) => void response.end('upstream'))
    const server = ProxyServer.createProxyServer({ selfHandleResponse: true })
    server.on('proxyRes', (_proxyRes, _request, response) => {
      response.writeHead(200, { 'content-length': 10 })
      response.write('half')
      return fail() as void
    })
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }, server))
    await expect(ask(front.port)).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  test.each(ways.slice(1))('one that %s before it has answered, as it should, is answered for', async (_way, fail) => {
    await using upstream = await httpUpstream((_request, response) => void response.end('upstream'))
    const server = ProxyServer.createProxyServer({ selfHandleResponse: true })
    server.on('proxyRes', async (proxyRes) => {
      for await (const _ of proxyRes);
      await fail()
    })
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }, server))
    expect(await ask(front.port)).toMatchObject({ status: 500, body: HOOK('proxyRes') })
  })

  test.each(ways)('one that %s in end, error or econnreset is reported, and changes nothing', async (_way, fail) => {
    const asked = new EventEmitter()
    await using upstream = await httpUpstream((request, response) => {
      if (request.url === '/reset') return void request.socket.resetAndDestroy()
      if (request.url === '/hang') return void asked.emit('hang')
      response.end('upstream')
    })
    const server = ProxyServer.createProxyServer()
    for (const name of ['end', 'error', 'econnreset'] as const) server.on(name, fail as never)
    const release = through({ B: urlUpstream('B', upstream.port) }, server)
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ status: 200, body: 'upstream' })
    expect(await ask(front.port, '/reset')).toMatchObject({ status: 502 })
    const hanging = once(asked, 'hang')
    const left = front.next()
    const client = http.get({ port: front.port, host: '127.0.0.1', path: '/hang', agent: false }).on('error', () => {})
    await hanging
    client.destroy()
    expect(await left).toBe(null)
    await expect.poll(() => release.reports.map(String)).toContain(`CanaryError: ${HOOK('end').slice(17)}`)
    expect(release.reports.map(String)).toContain(`CanaryError: ${HOOK('error').slice(17)}`)
  })

  test('an error listener that throws in the middle of its answer cuts the client off', async () => {
    await using upstream = await rawUpstream((socket) => void socket.once('data', () => socket.resetAndDestroy()))
    const server = ProxyServer.createProxyServer()
    server.on('error', (_error, _request, response) => {
      if (response instanceof http.ServerResponse) response.writeHead(500, { 'content-length': 10 }).write('half')
      throw new Error('a bug')
    })
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }, server))
    await expect(ask(front.port)).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  test.each([
    ['a number', 7, 200],
    ['a list', ['a', 'b'], 200],
    ['a symbol', Symbol('x'), 502],
    ['null', null, 200],
    ['two lines', 'a\r\nX-Evil: 1', 502],
  ])('one that makes %s a header of the response', async (_what, value, status) => {
    await using upstream = await httpUpstream((_request, response) => void response.end('upstream'))
    const server = ProxyServer.createProxyServer()
    server.on('proxyRes', (proxyRes) => void (proxyRes.headers['x-set'] = value as string))
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }, server))
    const answer = await ask(front.port)
    expect([answer.status, answer.headers['x-evil']]).toEqual([status, undefined])
  })

  test.each(['proxyReqWs', 'open', 'close'].flatMap((name) => ways.map(([way, fail]) => [way, name, fail] as const)))(
    'one that %s in %s ends nothing else',
    async (way, name, fail) => {
      const server = ProxyServer.createProxyServer()
      server.on(name as 'open', fail as never)
      let asked = 0
      await using upstream = await rawUpstream((socket) => {
        socket.once('data', () => {
          asked += 1
          socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
          socket.pipe(socket)
        })
      })
      const release = through({ B: urlUpstream('B', upstream.port) }, server)
      await using front = await gateway(release)
      const client = net.connect(front.port, '127.0.0.1')
      let received = ''
      client.on('data', (chunk: Buffer) => {
        received += String(chunk)
        if (received.endsWith('\r\n\r\n')) client.write('ping')
        if (received.endsWith('ping')) client.end()
      })
      client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      await once(client, 'close')
      if (name === 'proxyReqWs' && way === 'throws') {
        expect(received).toMatch(new RegExp(`^HTTP/1.1 500 [^]*${HOOK(name)}$`))
        expect(asked).toBe(0)
        return
      }
      expect(received).toMatch(/^HTTP\/1.1 101 [^]*ping$/)
      await expect.poll(() => release.reports.map(String)).toEqual([`CanaryError: ${HOOK(name).slice(17)}`])
    },
  )

  test('keep their context and their once', async () => {
    await using upstream = await httpUpstream((_request, response) => void response.end('upstream'))
    const server = ProxyServer.createProxyServer()
    const context = { calls: 0 }
    const own: unknown[] = []
    Reflect.apply(server.on, server, ['start', count, context])
    server.on('start', function (this: unknown) {
      own.push(this)
    })
    server.once('start', () => void own.push('once'))
    function count(this: typeof context): void {
      this.calls += 1
    }
    await using front = await gateway(through({ B: urlUpstream('B', upstream.port) }, server))
    for (let i = 0; i < 2; i += 1) await ask(front.port)
    expect([context.calls, own[0] === server, own.slice(1)]).toEqual([2, true, ['once', server]])
  })

  test('of proxyReq may change the head of a request that waited for a connection', async () => {
    const held: http.ServerResponse[] = []
    await using upstream = await httpUpstream((request, response) => {
      response.setHeader('x-seen', String(request.headers['x-event']))
      if (request.url === '/held') held.push(response)
      else request.pipe(response)
    })
    const server = ProxyServer.createProxyServer()
    server.on('proxyReq', (proxyReq) => proxyReq.setHeader('x-event', 'event'))
    const release = through({ B: urlUpstream('B', upstream.port), proxy: { connections: 1 } }, server)
    await using front = await gateway(release)
    const first = ask(front.port, '/held')
    await expect.poll(() => held.length).toBe(1)
    const waiting = [
      ask(front.port, '/get'),
      ask(front.port, '/post', { method: 'POST', body: 'body' }),
      ask(front.port, '/empty', { method: 'POST' }),
    ]
    await expect.poll(() => front.sockets.size).toBe(4)
    held[0]?.end('held')
    for (const answer of [first, ...waiting]) {
      expect((await answer).headers).toMatchObject({ 'x-seen': 'event' })
    }
    expect((await waiting[1])?.body).toBe('body')
  })
})

describe.each([
  ['undici', () => null],
  ['http-proxy', () => httpProxyForwarder()],
])('a request that promises trailers, through %s', (_name, forwarder) => {
  test.each([
    ['no body', 'GET / HTTP/1.1\r\nHost: a\r\nTrailer: x-sum\r\n\r\n'],
    ['a length', 'POST / HTTP/1.1\r\nHost: a\r\nTrailer: x-sum\r\nContent-Length: 2\r\n\r\nhi'],
    [
      'chunks and trailers',
      'POST / HTTP/1.1\r\nHost: a\r\ntrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n',
    ],
    ['a length of nothing', 'PUT / HTTP/1.1\r\nHost: a\r\nTrailer: x-sum\r\nContent-Length: 0\r\n\r\n'],
    ['a DELETE', 'DELETE / HTTP/1.1\r\nHost: a\r\nTrailer: x-sum\r\nContent-Length: 2\r\n\r\nhi'],
  ])('with %s is sent without them', async (_what, text) => {
    await using upstream = await httpUpstream((request, response) => {
      void request.toArray().then((parts) => {
        const { headers, trailers } = request
        response.end(JSON.stringify({ trailer: headers.trailer ?? null, trailers, body: String(Buffer.concat(parts)) }))
      })
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port), proxy: { forwarder: forwarder() } })
    await using front = await gateway(release)
    const client = net.connect(front.port, '127.0.0.1', () => client.write(text))
    const [answer] = (await once(client, 'data')) as [Buffer]
    client.destroy()
    const body = text.includes('hi') ? 'hi' : ''
    expect(String(answer)).toMatch(/^HTTP\/1.1 200 /)
    expect(JSON.parse(/\{.*\}/.exec(String(answer))?.[0] ?? '')).toEqual({ trailer: null, trailers: {}, body })
  })
})
