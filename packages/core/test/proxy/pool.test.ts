import { EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import net, { type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { createProxy } from '../../src/proxy/proxy.js'
import { createUndiciForwarder } from '../../src/proxy/undici/forwarder.js'
import { allClosed, ask, gateway, httpUpstream, rawUpstream, testRelease, urlUpstream } from './harness.js'

const file = (name: string) => readFileSync(new URL(`../tls/${name}.pem`, import.meta.url))

describe('connections to an upstream', () => {
  test('are used again, the last one first', async () => {
    let connections = 0
    await using upstream = await rawUpstream((socket) => {
      connections += 1
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    await Promise.all([ask(front.port), ask(front.port), ask(front.port)])
    const before = connections
    expect(before).toBeLessThanOrEqual(3)
    for (let i = 0; i < 20; i += 1) expect(await ask(front.port)).toMatchObject({ status: 200 })
    expect(connections).toBe(before)
  })

  /** An upstream that answers so often on each connection and closes it when it is used again. */
  const oftenEach = (requests: string[], often: number) =>
    rawUpstream((socket) => {
      let answered = 0
      socket.on('data', (data: Buffer) => {
        requests.push(data.toString('latin1').split(' ', 1)[0] ?? '')
        if (answered === often) socket.resetAndDestroy()
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        answered += 1
      })
    })

  test.each(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'PUT'])(
    'a %s on one that was just closed is sent once more',
    async (method) => {
      const requests: string[] = []
      await using upstream = await oftenEach(requests, 1)
      await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
      expect(await ask(front.port)).toMatchObject({ status: 200 })
      expect(await ask(front.port, '/', { method })).toMatchObject({ status: 200 })
      expect(requests).toEqual(['GET', method, method])
    },
  )

  test.each([
    ['POST', ''],
    ['PATCH', ''],
    ['PUT', 'body'],
  ])('a %s with %j is not', async (method, body) => {
    const requests: string[] = []
    await using upstream = await oftenEach(requests, 2)
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port), proxy: { connections: 1 } }))
    expect(await ask(front.port)).toMatchObject({ status: 200 })
    expect(await ask(front.port)).toMatchObject({ status: 200 })
    expect(await ask(front.port, '/', { method, body })).toMatchObject({ status: 502 })
    expect(requests).toEqual(['GET', 'GET', method])
  })

  test('a request is sent twice at most, and not again once a byte of the answer came', async () => {
    const requests: string[] = []
    let answers = 0
    await using upstream = await rawUpstream((socket) => {
      socket.on('data', (data: Buffer) => {
        const [, path = ''] = data.toString('latin1').split(' ', 2)
        requests.push(path)
        answers += 1
        if (answers === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        else if (path === '/started') socket.end('HTTP/1.1 2')
        else socket.resetAndDestroy()
      })
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    expect(await ask(front.port, '/first')).toMatchObject({ status: 200 })
    expect(await ask(front.port, '/second')).toMatchObject({ status: 502 })
    answers = 0
    expect(await ask(front.port, '/first')).toMatchObject({ status: 200 })
    expect(await ask(front.port, '/started')).toMatchObject({ status: 502 })
    expect(requests).toEqual(['/first', '/second', '/second', '/first', '/started'])
  })

  test('are as many as allowed; more requests wait in line, and too many are told', async () => {
    const events = new EventEmitter()
    const held: http.ServerResponse[] = []
    await using upstream = await httpUpstream((request, response) => {
      held.push(response)
      events.emit('asked', request.url)
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port), proxy: { connections: 1, queue: 2 } })
    await using front = await gateway(release)
    const asked = once(events, 'asked')
    const answers = [ask(front.port, '/0')]
    await asked
    const busy = front.next()
    answers.push(ask(front.port, '/1'), ask(front.port, '/2'), ask(front.port, '/3'))
    expect(await busy).toMatchObject({ code: 'ERR_CANARY_UPSTREAM_BUSY', message: 'upstream B has no free connection' })
    expect(upstream.sockets.size).toBe(1)
    while (held.length > 0) {
      const next = once(events, 'asked')
      held.shift()?.end()
      if (release.outcomes.filter(({ status }) => status === 200).length < 2) await next
    }
    expect((await Promise.all(answers)).map(({ status }) => status).sort()).toEqual([200, 200, 200, 503])
    expect(upstream.sockets.size).toBe(1)
  })

  test('are waited for no longer than for one to come about', async () => {
    const events = new EventEmitter()
    await using upstream = await httpUpstream(() => void events.emit('asked'))
    const proxy = { connections: 1, queue: 5, connectTimeoutMs: 100 }
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port), proxy }))
    const asked = once(events, 'asked')
    const first = ask(front.port).catch((error: Error) => error.message)
    await asked
    expect(await ask(front.port)).toMatchObject({ status: 503, body: expect.stringMatching('UPSTREAM_BUSY') })
    await front.proxy.close(0)
    expect(await first).toMatchObject({ status: 503 })
  })

  test('a client that leaves the line gives its place up', async () => {
    const events = new EventEmitter()
    const held: http.ServerResponse[] = []
    await using upstream = await httpUpstream((_request, response) => {
      held.push(response)
      events.emit('asked')
    })
    await using front = await gateway(
      testRelease({ B: urlUpstream('B', upstream.port), proxy: { connections: 1, queue: 1 } }),
    )
    const asked = once(events, 'asked')
    const first = ask(front.port)
    await asked
    const busy = front.next()
    const leaving = [http.request({ port: front.port }), http.request({ port: front.port })]
    for (const request of leaving) request.on('error', () => {}).end()
    expect((await busy)?.code).toBe('ERR_CANARY_UPSTREAM_BUSY')
    const left = front.next()
    for (const request of leaving) request.destroy()
    expect(await left).toBeNull()
    const again = once(events, 'asked')
    const second = ask(front.port)
    held[0]?.end('1')
    expect(await first).toMatchObject({ body: '1' })
    await again
    held[1]?.end('2')
    expect(await second).toMatchObject({ body: '2' })
  })

  test('to an upstream that nobody asks any more are closed, and opened again when somebody does', async () => {
    let connections = 0
    // Undici itself would keep them for ten minutes.
    await using upstream = await rawUpstream((socket) => {
      connections += 1
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=600\r\nContent-Length: 2\r\n\r\nok'))
      socket.on('end', () => socket.end())
    })
    const forwarder = createUndiciForwarder(20)
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port), proxy: { forwarder } }))
    for (let i = 0; i < 2; i += 1) {
      expect(await ask(front.port)).toMatchObject({ body: 'ok' })
      await allClosed(upstream.sockets)
    }
    expect(connections).toBe(2)
  })

  test('of 300 clients that leave at once are none left', async () => {
    const events = new EventEmitter()
    let waiting = 300
    await using upstream = await httpUpstream(() => {
      waiting -= 1
      if (waiting === 0) events.emit('all')
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port), proxy: { connections: 300 } })
    await using front = await gateway(release)
    const all = once(events, 'all')
    const requests = Array.from({ length: 300 }, () =>
      http.get({ port: front.port, agent: false }).on('error', () => {}),
    )
    await all
    for (const request of requests) request.destroy()
    await allClosed(upstream.sockets)
    while (front.results.length < 300) await front.next()
    expect(release.outcomes.every(({ aborted, error }) => aborted && error === null)).toBe(true)
    expect(upstream.sockets.size).toBe(0)
  })
})

describe('an upstream', () => {
  async function secure(options: https.ServerOptions, respond: http.RequestListener) {
    const server = https.createServer({ cert: file('server'), key: file('server-key'), ...options }, respond)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {
      port: (server.address() as AddressInfo).port,
      async [Symbol.asyncDispose]() {
        server.closeAllConnections()
        server.close()
        await once(server, 'close')
      },
    }
  }

  test('over TLS is checked against its own CA and name, and told that name', async () => {
    const names: unknown[] = []
    await using upstream = await secure({}, (request, response) => {
      names.push((request.socket as TLSSocket & { servername?: unknown }).servername)
      response.end('secret')
    })
    const tls = { ca: file('ca'), servername: 'upstream.test' }
    const B = urlUpstream('B', upstream.port, { scheme: 'https', tls })
    await using front = await gateway(testRelease({ B, proxy: { preserveHost: true } }))
    expect(await ask(front.port)).toMatchObject({ status: 200, body: 'secret' })
    expect(await ask(front.port, '/', { headers: { host: 'other.example' } })).toMatchObject({ status: 200 })
    expect(names).toEqual(['upstream.test', 'upstream.test'])
  })

  test.each([
    ['of an unknown CA', { servername: 'upstream.test' }],
    ['of another name', { ca: file('ca') }],
  ])('over TLS with a certificate %s is not connected to', async (_name, tls) => {
    await using upstream = await secure({}, (_request, response) => void response.end())
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port, { scheme: 'https', tls }) }))
    expect(await ask(front.port)).toMatchObject({ status: 502, body: expect.stringMatching('UPSTREAM_CONNECT') })
  })

  test('that wants a client certificate gets it', async () => {
    await using upstream = await secure({ ca: file('ca'), requestCert: true }, (request, response) => {
      response.end((request.socket as TLSSocket).getPeerCertificate().subject.CN)
    })
    const tls = { ca: file('ca'), cert: file('client'), key: file('client-key'), servername: 'upstream.test' }
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port, { scheme: 'https', tls }) }))
    expect(await ask(front.port)).toMatchObject({ status: 200, body: 'client' })
  })

  test('on a Unix socket is reached, by upgrades too', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'canary-'))
    const socketPath = join(folder, 'upstream.sock')
    const server = http.createServer((request, response) => void response.end(request.headers.host))
    server.on('upgrade', (_request, socket: Socket) => {
      socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    })
    server.listen(socketPath)
    await once(server, 'listening')
    try {
      const B = urlUpstream('B', 80, { hostname: 'localhost', host: 'localhost', socketPath })
      await using front = await gateway(testRelease({ B }))
      expect(await ask(front.port)).toMatchObject({ status: 200, body: 'localhost' })
      const client = net.connect(front.port, '127.0.0.1')
      client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
      const [head] = (await once(client, 'data')) as [Buffer]
      expect(String(head)).toMatch(/^HTTP\/1\.1 101 /)
      client.destroy()
    } finally {
      server.closeAllConnections()
      server.close()
      await rm(folder, { recursive: true })
    }
  })
})

describe('closing', () => {
  test('lets running requests end, refuses new ones, and leaves no socket', async () => {
    const events = new EventEmitter()
    await using upstream = await httpUpstream((_request, response) => void events.emit('asked', response))
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const asked = once(events, 'asked')
    const running = ask(front.port)
    const [response] = (await asked) as [http.ServerResponse]
    const closing = front.proxy.close()
    expect(await ask(front.port)).toMatchObject({ status: 503, body: 'ERR_CANARY_CLOSED: the canary is closed' })
    response.end('late')
    expect(await running).toMatchObject({ status: 200, body: 'late' })
    await closing
    await allClosed(upstream.sockets)
    expect(front.proxy.close()).toBe(front.proxy.close(5))
  })

  test('destroys what does not end in time', async () => {
    const events = new EventEmitter()
    await using upstream = await httpUpstream((request, response) => {
      if (request.url === '/body') response.write('half')
      events.emit('asked')
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port) })
    await using front = await gateway(release)
    let asked = once(events, 'asked')
    const silent = ask(front.port)
    await asked
    asked = once(events, 'asked')
    const half = ask(front.port, '/body').catch((error: Error) => error.message)
    await asked
    await front.proxy.close(10)
    expect(await silent).toMatchObject({ status: 503 })
    expect(await half).toMatch(/aborted|hang up/)
    expect(release.outcomes.filter(({ error }) => error !== null)).toEqual([])
  })

  test('waits for a request that B has just failed, until A has answered it', async () => {
    const events = new EventEmitter()
    await using A = await httpUpstream((_request, response) => void events.emit('fallen back', response))
    await using B = await rawUpstream((socket) => void socket.once('data', () => events.emit('asked', socket)))
    const upstreams = { A: urlUpstream('A', A.port), B: urlUpstream('B', B.port) }
    await using front = await gateway(testRelease({ ...upstreams, fallback: true }))
    const asked = once(events, 'asked')
    const running = ask(front.port)
    const [socket] = (await asked) as [net.Socket]
    const closing = front.proxy.close()
    const fallenBack = once(events, 'fallen back')
    socket.resetAndDestroy()
    const [response] = (await fallenBack) as [http.ServerResponse]
    response.end('from A')
    expect(await running).toMatchObject({ status: 200, body: 'from A' })
    await closing
  })

  test('an idle proxy is done at once', async () => {
    await createProxy().close()
  })
})
