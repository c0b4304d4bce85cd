import { EventEmitter, once } from 'node:events'
import http from 'node:http'
import net, { type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { ProxyOptions } from '../../src/proxy/options.js'
import { allClosed, ask, gateway, httpUpstream, rawUpstream, testRelease, urlUpstream } from './harness.js'

const SHORT: ProxyOptions = { connectTimeoutMs: 200, headersTimeoutMs: 200, bodyTimeoutMs: 200 }

/** Asks a gateway before an upstream that treats its sockets so. */
async function against(onSocket: (socket: Socket) => void, proxy: ProxyOptions = SHORT, options = {}) {
  await using upstream = await rawUpstream(onSocket)
  const release = testRelease({ B: urlUpstream('B', upstream.port), proxy })
  await using front = await gateway(release)
  const result = front.next()
  const answer = await ask(front.port, '/', options).catch((error: Error) => error.message)
  await result
  return { answer, outcomes: release.outcomes, error: front.results[0] }
}

const onRequest = (act: (socket: Socket) => void) => (socket: Socket) => void socket.once('data', () => act(socket))

describe('an upstream that fails before its head', () => {
  const GONE = 'ERR_CANARY_UPSTREAM_RESPONSE: upstream B gave no valid response'
  const LATE = 'ERR_CANARY_UPSTREAM_TIMEOUT: upstream B did not answer in 200 ms'
  const faults: [string, (socket: Socket) => void, number, string][] = [
    ['closes at once', (socket) => void socket.destroy(), 502, GONE],
    ['resets at the request', onRequest((socket) => socket.resetAndDestroy()), 502, GONE],
    ['ends without a word', onRequest((socket) => socket.end()), 502, GONE],
    [
      'resets in its head',
      onRequest((socket) => socket.write('HTTP/1.1 200 OK\r\nX:', () => socket.resetAndDestroy())),
      502,
      GONE,
    ],
    ['ends in its head', onRequest((socket) => socket.end('HTTP/1.1 200 OK\r\nX: 1\r\n')), 502, GONE],
    ['stalls', onRequest(() => {}), 504, LATE],
    ['stalls in its head', onRequest((socket) => socket.write('HTTP/1.1 200 OK\r\nX: 1\r\n')), 504, LATE],
    ['stalls after a 100', onRequest((socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\n')), 504, LATE],
    [
      'stalls after a 103',
      onRequest((socket) => socket.write('HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n')),
      504,
      LATE,
    ],
    [
      'sends a head of 1 MB',
      onRequest((socket) => socket.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1_000_000)}\r\n\r\n`)),
      502,
      GONE,
    ],
    ['sends no HTTP', onRequest((socket) => socket.write('SSH-2.0-OpenSSH\r\n')), 502, GONE],
    ['sends a bad status line', onRequest((socket) => socket.write('HTTP/1.1 abc OK\r\n\r\n')), 502, GONE],
    [
      'switches protocols unasked',
      onRequest((socket) =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
      ),
      502,
      GONE,
    ],
    [
      'says length and chunks',
      onRequest((socket) =>
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
      ),
      502,
      GONE,
    ],
    [
      'says two lengths',
      onRequest((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc')),
      502,
      GONE,
    ],
    [
      'puts a control character in a header',
      onRequest((socket) => socket.write('HTTP/1.1 200 OK\r\nX: a\u0001b\r\nContent-Length: 0\r\n\r\n')),
      502,
      GONE,
    ],
  ]
  test.each(faults)('that %s is answered for', async (_name, onSocket, status, text) => {
    const { answer, outcomes } = await against(onSocket)
    expect(answer).toMatchObject({ status, body: text })
    expect(outcomes).toMatchObject([{ aborted: false, error: { status } }])
    expect(outcomes).toHaveLength(1)
  })

  test('leaves no address in the answer, and the reason in the cause', async () => {
    const { answer, error } = await against(onRequest((socket) => socket.resetAndDestroy()))
    expect(JSON.stringify(answer)).not.toMatch(/127\.0\.0\.1:|ECONNRESET|UND_ERR/)
    expect(error?.cause).toBeInstanceOf(Error)
  })

  test('by not finishing a handshake is a connect timeout', async () => {
    await using upstream = await rawUpstream(() => {})
    const release = testRelease({ B: urlUpstream('B', upstream.port, { scheme: 'https' }), proxy: SHORT })
    await using front = await gateway(release)
    const body = 'ERR_CANARY_UPSTREAM_TIMEOUT: upstream B could not be connected to in 200 ms'
    expect(await ask(front.port)).toMatchObject({ status: 504, body })
  })

  test('by refusing TLS is a 502', async () => {
    await using upstream = await rawUpstream((socket) => void socket.end('HTTP/1.1 400 No TLS here\r\n\r\n'))
    const release = testRelease({ B: urlUpstream('B', upstream.port, { scheme: 'https' }) })
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ status: 502, body: expect.stringMatching('UPSTREAM_CONNECT') })
  })

  test('by a name that does not exist is a 502', async () => {
    const release = testRelease({ B: urlUpstream('B', 80, { hostname: 'nowhere.invalid', host: 'nowhere.invalid' }) })
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ status: 502, body: expect.stringMatching('UPSTREAM_CONNECT') })
  })
})

describe('an upstream that fails after its head', () => {
  const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'
  const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'
  const faults: [string, (socket: Socket) => void][] = [
    ['resets', onRequest((socket) => socket.write(HEAD, () => socket.resetAndDestroy()))],
    ['ends short of its length', onRequest((socket) => socket.end(HEAD))],
    ['ends between chunks', onRequest((socket) => socket.end(CHUNKED))],
    ['sends a bad chunk', onRequest((socket) => socket.write(`${CHUNKED}zz\r\n`))],
    ['stalls', onRequest((socket) => socket.write(HEAD))],
    ['stalls between chunks', onRequest((socket) => socket.write(CHUNKED))],
  ]
  test.each(faults)('and %s cuts the client off', async (_name, onSocket) => {
    const { answer, outcomes, error } = await against(onSocket)
    expect(answer).toMatch(/aborted|socket hang up|ECONNRESET/)
    expect(error).toBeNull()
    expect(outcomes).toMatchObject([
      { status: 200, aborted: false, error: { code: expect.stringMatching('UPSTREAM') } },
    ])
  })

  test('by sending more than its length sends only that, and its connection is not used again', async () => {
    let connections = 0
    await using upstream = await rawUpstream((socket) => {
      connections += 1
      socket.on('data', () => socket.write(`${HEAD}defghijHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`))
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    for (let i = 0; i < 3; i += 1) expect(await ask(front.port)).toMatchObject({ status: 200, body: 'abcdefghij' })
    expect(connections).toBe(3)
  })
})

describe('an upstream that answers early', () => {
  test('is heard, and the connection closed after it', async () => {
    await using upstream = await rawUpstream(
      onRequest((socket) => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno')),
    )
    const release = testRelease({ B: urlUpstream('B', upstream.port) })
    await using front = await gateway(release)
    const request = http.request({ port: front.port, method: 'POST', headers: { 'content-length': '1000000' } })
    request.write('x'.repeat(1000))
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect(response.statusCode).toBe(413)
    expect(response.headers.connection).toBe('close')
    expect(await response.setEncoding('utf8').toArray()).toEqual(['no'])
    request.on('error', () => {}).destroy()
    expect(release.outcomes).toMatchObject([{ status: 413, error: null }])
  })

  test('may send a 100 nobody asked for, alone or before its answer', async () => {
    for (const text of ['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 100 C\r\nX: 1\r\n\r\nHTTP/1.1 100 C\r\n\r\n']) {
      const { answer } = await against(
        onRequest((socket) => {
          socket.write(text)
          setImmediate(() => socket.write(`${text}HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\nHTTP/1.1 100 ok\r\n`))
        }),
        SHORT,
        { method: 'POST', body: 'x' },
      )
      expect(answer).toMatchObject({ status: 200, body: 'HTTP/1.1 100 ok\r\n' })
    }
  })

  test('sends 103 on and drops other 1xx', async () => {
    await using upstream = await rawUpstream(
      onRequest((socket) =>
        socket.write(
          'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n' +
            'HTTP/1.1 103 Early Hints\r\nLink: odd\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
        ),
      ),
    )
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const request = http.request({ port: front.port }).end()
    const informed: (number | string | string[] | undefined)[] = []
    request.on('information', (info) => informed.push(info.statusCode, info.headers.link))
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect(response.statusCode).toBe(200)
    expect(informed).toEqual([103, '</a.css>; rel=preload'])
    response.resume()
  })

  test('sends a few early hints on, not all of an upstream that never stops', async () => {
    const hint = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
    await using upstream = await rawUpstream(
      onRequest((socket) => socket.write(`${hint.repeat(1000)}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`)),
    )
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const request = http.request({ port: front.port }).end()
    let hints = 0
    request.on('information', () => (hints += 1))
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect([response.statusCode, hints]).toEqual([200, 16])
    response.resume()
  })
})

describe('a client that fails', () => {
  test('while the upstream thinks aborts the request there', async () => {
    const events = new EventEmitter()
    await using upstream = await httpUpstream((request) => {
      request.on('close', () => events.emit('closed'))
      events.emit('asked')
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port) })
    await using front = await gateway(release)
    const done = front.next()
    const asked = once(events, 'asked')
    const closed = once(events, 'closed')
    const request = http.request({ port: front.port }).on('error', () => {})
    request.end()
    await asked
    request.destroy()
    await closed
    expect(await done).toBeNull()
    expect(release.outcomes).toMatchObject([{ status: null, error: null, aborted: true }])
  })

  test('in the middle of its upload takes the upstream request with it, and nothing else', async () => {
    const events = new EventEmitter()
    let begun = 0
    await using upstream = await httpUpstream((request) => {
      request.once('data', () => {
        begun += 1
        if (begun === 30) events.emit('all')
      })
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port) })
    await using front = await gateway(release)
    const all = once(events, 'all')
    const sockets = Array.from({ length: 30 }, () => {
      const socket = net.connect(front.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc`)
      return socket
    })
    await all
    for (const socket of sockets) socket.resetAndDestroy()
    while (front.results.length < 30) await front.next()
    await allClosed(upstream.sockets)
    expect(release.outcomes.every(({ aborted, error }) => aborted && error === null)).toBe(true)
  })

  test('by stalling its upload is cut off', async () => {
    await using upstream = await httpUpstream((request) => void request.resume())
    const release = testRelease({ B: urlUpstream('B', upstream.port), proxy: SHORT })
    await using front = await gateway(release)
    const done = front.next()
    const request = http.request({ port: front.port, method: 'POST', headers: { 'content-length': '100' } })
    request.write('x')
    await once(request, 'error')
    expect(await done).toBeNull()
    expect(release.outcomes).toMatchObject([{ status: null, error: null, aborted: true }])
  })

  test('by not reading is cut off', async () => {
    await using upstream = await httpUpstream((_request, response) => {
      const more = (): void =>
        void (response.write(Buffer.alloc(1 << 20)) ? setImmediate(more) : response.once('drain', more))
      more()
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port), proxy: SHORT })
    await using front = await gateway(release)
    const done = front.next()
    const socket = askWithoutReading(front.port)
    expect(await done).toBeNull()
    expect(release.outcomes).toMatchObject([{ status: 200, error: null, aborted: true }])
    socket.destroy()
  })

  test('by not reading the end of its answer is cut off', async () => {
    await using upstream = await httpUpstream((_request, response) => void response.end(Buffer.alloc(12 << 20)))
    const release = testRelease({ B: urlUpstream('B', upstream.port), proxy: SHORT })
    // Everything is handed to Node, which takes it all; only the client does not.
    await using front = await gateway(release, {
      before: (_request, response) => void Object.assign(response, { write: keepAll(response) }),
    })
    const done = front.next()
    const socket = askWithoutReading(front.port)
    expect(await done).toBeNull()
    expect(release.outcomes).toMatchObject([{ status: 200, error: null, aborted: true }])
    socket.destroy()
  })

  test('that left before forwarding is not forwarded', async () => {
    let asked = 0
    await using upstream = await httpUpstream((_request, response) => {
      asked += 1
      response.end()
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port) })
    await using front = await gateway(release, { before: (_request, response) => void response.destroy() })
    await ask(front.port).catch(() => {})
    expect(front.results).toEqual([null])
    expect(release.outcomes).toMatchObject([{ status: null, error: null, aborted: true }])
    expect(asked).toBe(0)
  })
})

/** A `write` that says it takes more, whatever happens. */
function keepAll(response: http.ServerResponse): (chunk: Buffer) => boolean {
  const write = response.write.bind(response)
  return (chunk) => {
    write(chunk)
    return true
  }
}

describe('an upstream that takes no more of an upload', () => {
  test('is answered for with 504', async () => {
    await using upstream = await rawUpstream((socket) => void socket.pause())
    const release = testRelease({ B: urlUpstream('B', upstream.port), proxy: SHORT })
    await using front = await gateway(release)
    const done = front.next()
    const request = http.request({ port: front.port, method: 'POST', headers: { 'content-length': String(1 << 26) } })
    request.on('error', () => {})
    request.write(Buffer.alloc(1 << 26))
    expect((await done)?.message).toBe('upstream B took no more of the request for 200 ms')
    request.destroy()
  })
})

/** A client that asks, and never reads its answer. */
function askWithoutReading(port: number): net.Socket {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {}).pause()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  return socket
}
