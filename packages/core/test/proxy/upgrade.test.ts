import { EventEmitter, once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { ProxyOptions } from '../../src/proxy/options.js'
import { allClosed, gateway, httpUpstream, rawUpstream, testRelease, urlUpstream } from './harness.js'

const SHORT: ProxyOptions = { connectTimeoutMs: 200, headersTimeoutMs: 200, bodyTimeoutMs: 200 }
const REQUEST = [
  'GET /chat?x=1 HTTP/1.1',
  'Host: shop.example',
  'Connection: keep-alive, Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '',
  '',
].join('\r\n')
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Up: 1\r\n\r\n'

function connect(port: number, text = REQUEST): Socket {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  socket.write(text, 'latin1')
  return socket
}

/** All a socket receives until the other side ends; its own side stays open. */
function received(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    socket.on('end', () => resolve(text))
    socket.on('close', () => resolve(text))
  })
}

const onRequest = (act: (socket: Socket, head: string) => void) => (socket: Socket) =>
  void socket.once('data', (data: Buffer) => act(socket, data.toString('latin1')))

describe('an upgrade', () => {
  test('becomes a tunnel that carries messages both ways', async () => {
    await using upstream = await echoServer()
    const release = testRelease({ B: urlUpstream('B', upstream.port) })
    await using front = await gateway(release)
    const client = new WebSocket(`ws://127.0.0.1:${front.port}/chat`, ['v2'], { headers: { 'x-own': '1' } })
    await once(client, 'open')
    expect(client.protocol).toBe('v2')
    for (const text of ['one', 'x'.repeat(1 << 20)]) {
      client.send(text)
      const [data] = (await once(client, 'message')) as [Buffer]
      expect(data.toString() === text).toBe(true)
    }
    client.close()
    await once(client, 'close')
    expect(front.results).toEqual([null])
    expect(release.outcomes).toMatchObject([{ status: 101, error: null, aborted: false }])
  })

  test('takes the headers of the upstream and of the application, and what was sent along with it', async () => {
    const heads: string[] = []
    await using upstream = await rawUpstream(
      onRequest((socket, head) => {
        heads.push(head)
        socket.write(`${SWITCHED}first`)
        socket.on('data', (data: Buffer) => socket.end(`echo ${data.toString('latin1')}`))
      }),
    )
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }), {
      before: (_request, response) => {
        response.setHeader('Set-Cookie', ['a=1', 'b=2'])
        response.setHeader('X-Own', 'kept')
      },
    })
    const socket = connect(front.port, `${REQUEST}early`)
    const text = await received(socket)
    socket.destroy()
    expect(text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n/)
    for (const line of ['set-cookie: a=1', 'set-cookie: b=2', 'x-own: kept', 'x-up: 1'])
      expect(text).toContain(`${line}\r\n`)
    expect(text).toMatch(/\r\n\r\nfirstecho early$/)
    expect(heads[0]).toMatch(/^GET \/chat\?x=1 HTTP\/1\.1\r\n/)
    expect(heads[0]).toMatch(/\r\nconnection: Upgrade\r\nupgrade: websocket\r\n/)
    expect(heads[0]).toContain('x-forwarded-for: 127.0.0.1\r\n')
  })

  test('that is refused is an ordinary response, after which the connection ends', async () => {
    await using upstream = await httpUpstream((_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic', 'transfer-encoding': 'chunked' }).end('no entry')
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port) })
    await using front = await gateway(release)
    const socket = connect(front.port)
    const text = await received(socket)
    socket.end()
    expect(text).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/)
    expect(text).toMatch(/\r\nConnection: close\r\n/i)
    expect(text).toContain('no entry')
    expect(release.outcomes).toMatchObject([{ status: 401, error: null, aborted: false }])
  })

  test.each(['101 Switching Protocols', '401 Unauthorized'])(
    'is answered %s with all of 1 500 headers',
    async (status) => {
      const lines = Array.from({ length: 1500 }, (_, i) => `a${i}: 1`)
      const head = [`HTTP/1.1 ${status}`, ...lines, 'Connection: Upgrade', 'Upgrade: websocket', '', '']
      await using upstream = await rawUpstream(onRequest((socket) => socket.end(head.join('\r\n'))))
      await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
      const socket = connect(front.port)
      const text = await received(socket)
      socket.destroy()
      expect(text).toMatch(`HTTP/1.1 ${status}\r\n`)
      expect(text.split('\r\n')).toEqual(expect.arrayContaining(lines))
    },
  )

  test.each<[string, (socket: Socket) => void, RegExp]>([
    ['never answered', onRequest(() => {}), /^HTTP\/1\.1 504 [^]*did not answer in 200 ms$/],
    ['reset', onRequest((socket) => socket.resetAndDestroy()), /^HTTP\/1\.1 502 [^]*gave no valid response$/],
    ['closed at once', (socket) => void socket.destroy(), /^HTTP\/1\.1 502 [^]*gave no valid response$/],
    ['answered with nonsense', onRequest((socket) => socket.end('what?\r\n\r\n')), /^HTTP\/1\.1 502 /],
    [
      'answered with a bad header',
      onRequest((socket) => socket.write(SWITCHED.replace('X-Up: 1', 'X-Up: \u0001'))),
      /^HTTP\/1\.1 502 /,
    ],
    [
      'refused and cut',
      onRequest((socket) => socket.end('HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nabc')),
      /^$|\r\nabc$/,
    ],
    [
      'refused and stalled',
      onRequest((socket) => socket.write('HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nabc')),
      /^$|\r\nabc$/,
    ],
  ])('that is %s is answered and ends', async (_name, onSocket, expected) => {
    await using upstream = await rawUpstream(onSocket)
    const release = testRelease({ B: urlUpstream('B', upstream.port), proxy: SHORT })
    await using front = await gateway(release)
    const done = front.next()
    const socket = connect(front.port)
    const text = await received(socket)
    await done
    socket.destroy()
    expect(text).toMatch(expected)
    expect(release.outcomes).toMatchObject([{ aborted: false, error: { code: expect.stringMatching('UPSTREAM') } }])
  })

  test('to a dead upstream is answered with 502, or goes to A', async () => {
    const dead = await rawUpstream(() => {})
    await dead[Symbol.asyncDispose]()
    await using a = await rawUpstream(onRequest((socket) => socket.end(SWITCHED)))
    const B = urlUpstream('B', dead.port)
    await using front = await gateway(testRelease({ B }))
    expect(await received(connect(front.port))).toMatch(/^HTTP\/1\.1 502 [^]*could not be connected to$/)
    await using safe = await gateway(testRelease({ A: urlUpstream('A', a.port), B, fallback: true }))
    const socket = connect(safe.port)
    expect(await received(socket)).toMatch(/^HTTP\/1\.1 101 /)
    socket.destroy()
    expect(safe.decisions).toMatchObject([{ upstream: 'A', reason: 'fallback' }])
  })

  test.each(['h2c', 'HTTP/2.0', 'websocket, h2c'])('to %s is refused', async (protocol) => {
    await using upstream = await rawUpstream(onRequest((socket) => socket.end(SWITCHED)))
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const text = await received(connect(front.port, REQUEST.replace('Upgrade: websocket', `Upgrade: ${protocol}`)))
    expect(text).toMatch(/^HTTP\/1\.1 400 /)
    expect(upstream.sockets.size).toBe(0)
  })

  test('whose client resets during the handshake ends the attempt, and the process lives', async () => {
    const events = new EventEmitter()
    await using upstream = await rawUpstream((socket) => {
      socket.resume().on('end', () => socket.end())
      socket.on('close', () => events.emit('closed'))
      events.emit('asked')
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port) })
    await using front = await gateway(release)
    const asked = once(events, 'asked')
    const closed = once(events, 'closed')
    const done = front.next()
    const socket = connect(front.port)
    await asked
    socket.resetAndDestroy()
    expect(await done).toBeNull()
    await closed
    expect(release.outcomes).toMatchObject([{ status: null, error: null, aborted: true }])
  })
})

describe('a tunnel', () => {
  /** A client and an upstream joined by a tunnel. */
  async function tunnel(port: number, events: EventEmitter): Promise<[Socket, Socket]> {
    const opened = once(events, 'open')
    const client = connect(port)
    const [upstream] = (await opened) as [Socket]
    await once(client, 'data')
    return [client, upstream]
  }

  const opening = (events: EventEmitter) =>
    rawUpstream(
      onRequest((socket) => {
        socket.write(SWITCHED)
        events.emit('open', socket)
      }),
    )

  test('ends on both sides when one side resets', async () => {
    const events = new EventEmitter()
    await using upstream = await opening(events)
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const [client, far] = await tunnel(front.port, events)
    far.resume()
    client.resetAndDestroy()
    await once(far, 'end')
    const [client2, far2] = await tunnel(front.port, events)
    client2.resume()
    far2.resetAndDestroy()
    await once(client2, 'end')
    await allClosed(front.sockets)
  })

  test.each(['client', 'upstream'] as const)('waits for a slow %s, and loses nothing of what waited', async (slow) => {
    const events = new EventEmitter()
    await using upstream = await opening(events)
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const [client, far] = await tunnel(front.port, events)
    const [reader, writer] = slow === 'client' ? [client, far] : [far, client]
    reader.pause()
    const piece = Buffer.from(Array.from({ length: 1 << 16 }, (_, i) => i % 251))
    const ALL = 100 << 20
    let written = 0
    const more = (): void => {
      while (written < ALL) {
        written += piece.length
        if (!writer.write(piece)) return void writer.once('drain', more)
      }
      writer.end()
    }
    more()
    // The writer stops once all buffers on the way are full: when it writes nothing more in many turns of the loop.
    for (let before = -1, still = 0; still < 2000; still = written === before ? still + 1 : 0) {
      before = written
      await new Promise(setImmediate)
    }
    expect(written).toBeLessThan(60 << 20)
    let received = 0
    reader.on('data', (chunk: Buffer) => {
      const at = received % piece.length
      received += chunk.length
      if (chunk[0] !== piece[at]) reader.destroy(new Error(`another byte than was sent, before ${received}`))
    })
    await once(reader.resume(), 'end')
    expect(received).toBe(ALL)
    reader.end()
  })

  test('may be half open', async () => {
    const events = new EventEmitter()
    await using upstream = await opening(events)
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const [client, far] = await tunnel(front.port, events)
    client.end('last words')
    expect(await received(far)).toBe('last words')
    far.end('an answer')
    expect(await received(client)).toBe('an answer')
  })

  test('does not stay half open for ever', async () => {
    const events = new EventEmitter()
    await using upstream = await opening(events)
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port), proxy: SHORT }))
    const [client, far] = await tunnel(front.port, events)
    far.resume()
    client.resume().end()
    await once(client, 'close')
    await allClosed(front.sockets)
  })

  test('is closed with the proxy', async () => {
    const events = new EventEmitter()
    await using upstream = await opening(events)
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const [client] = await tunnel(front.port, events)
    client.resume()
    const closed = once(client, 'close')
    await front.proxy.close(1)
    client.end()
    await closed
    expect(await received(connect(front.port))).toMatch(/^HTTP\/1\.1 503 [^]*ERR_CANARY_CLOSED/)
  })
})

describe('an upgrade that the proxy is closed before', () => {
  test('is answered 503 while it waits for its upstream', async () => {
    const events = new EventEmitter()
    await using upstream = await rawUpstream(onRequest((socket) => events.emit('asked', socket)))
    const release = testRelease({ B: urlUpstream('B', upstream.port) })
    await using front = await gateway(release)
    const asked = once(events, 'asked')
    const client = connect(front.port)
    const answer = received(client)
    const [far] = (await asked) as [Socket]
    const gone = once(far, 'end')
    await front.proxy.close(1)
    client.end()
    expect(await answer).toMatch(/^HTTP\/1\.1 503 [^]*ERR_CANARY_CLOSED/)
    await gone
    expect(front.results).toMatchObject([{ code: 'ERR_CANARY_CLOSED' }])
  })

  test('is cut off while its refusal is on its way', async () => {
    const head = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nno'
    await using upstream = await rawUpstream(onRequest((socket) => void socket.write(head)))
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const client = connect(front.port)
    await once(client, 'data')
    const closed = once(client, 'close')
    await front.proxy.close(1)
    client.end()
    await closed
    await allClosed(front.sockets)
  })
})

async function echoServer() {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  server.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })))
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const client of server.clients) client.terminate()
      server.close()
      await once(server, 'close')
    },
  }
}
