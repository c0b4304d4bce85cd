import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { type Server as HttpServer, type RequestListener, createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import type { Outcome, UpstreamLocation } from '@canary-release/core'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { createHandler } from '@canary-release/core/node'
import { afterEach, describe, expect, test } from 'vitest'
import { parse } from '../faults/raw-client.js'
import { pem } from './gateways.js'

// An upstream that answers before it has the whole upload, and then closes, resets, or reads on. Its answer must reach
// the client, and nothing of it is a failure of the upstream.

const UPLOAD = 20_000_000

const uncaught: unknown[] = []
process.on('uncaughtException', (error) => uncaught.push(error))
process.on('unhandledRejection', (error) => uncaught.push(error))
const opened: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
  expect(uncaught).toEqual([])
})

/** The answer, and what must be seen of it. */
interface EarlyAnswer {
  readonly status: number
  readonly text: string
  readonly body: string
}

const BIG = 'x'.repeat(50_000)
const ANSWERS: readonly EarlyAnswer[] = [
  { status: 413, text: 'HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmuch', body: 'much' },
  {
    status: 401,
    text: 'HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nwho\r\n0\r\n\r\n',
    body: '3\r\nwho\r\n0\r\n\r\n',
  },
  { status: 200, text: `HTTP/1.1 200 OK\r\nContent-Length: ${BIG.length}\r\n\r\n${BIG}`, body: BIG },
]

/** How many bytes of the upload the upstream has read when it answers; none: not even the head. */
const POINTS: [string, number][] = [
  ['before it reads a byte', -1],
  ['at the head', 0],
  ['at the first chunk', 1],
  ['in the middle', UPLOAD / 2],
  ['near the end', UPLOAD - 70_000],
]

/** What the upstream does behind its answer; `raw` is the socket below TLS. */
type Ending = (socket: Socket, raw: Socket, answer: string) => void

const resets: Ending = (socket, raw, answer) =>
  // The answer is with the gateway's system then. On Linux it stays there; other systems may drop it at a reset.
  void socket.write(answer, () => (raw.remotePort === undefined ? raw.destroy() : raw.resetAndDestroy()))

const ENDINGS: [string, Ending][] = [
  ['closes', (socket, _raw, answer) => void socket.end(answer, () => socket.destroy())],
  ['resets', resets],
  ['reads on', (socket, _raw, answer) => void socket.write(answer, () => socket.resume())],
]

interface RawUpstream {
  readonly location: UpstreamLocation | string
  /** Sockets that it accepted. */
  readonly accepted: () => number
}

type Behave = (socket: Socket, raw: Socket) => void

async function listening(server: Server, at: { port: 0; host: string } | { path: string }): Promise<() => number> {
  let accepted = 0
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    accepted += 1
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)))
  })
  await once(server.listen(at), 'listening')
  opened.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return () => accepted
}

const LOOPBACK = { port: 0, host: '127.0.0.1' } as const
const portOf = (server: Server | HttpServer): number => (server.address() as AddressInfo).port

async function overTcp(behave: Behave): Promise<RawUpstream> {
  const server = createServer((socket) => behave(socket, socket))
  const accepted = await listening(server, LOOPBACK)
  return { location: `http://127.0.0.1:${portOf(server)}`, accepted }
}

const TRANSPORTS: Record<string, (behave: Behave) => Promise<RawUpstream>> = {
  TCP: overTcp,
  async TLS(behave) {
    const raw = new Map<number, Socket>()
    const server = createTlsServer({ cert: pem('server'), key: pem('server-key') }, (socket) => {
      socket.on('error', () => {})
      behave(socket, raw.get(socket.remotePort ?? 0) ?? socket)
    })
    server.on('connection', (socket: Socket) => raw.set(socket.remotePort ?? 0, socket))
    const accepted = await listening(server, LOOPBACK)
    const tls = { ca: pem('ca').toString(), servername: 'upstream.test' }
    return { location: { url: `https://127.0.0.1:${portOf(server)}`, tls }, accepted }
  },
  async Unix(behave) {
    const folder = await mkdtemp(join(tmpdir(), 'canary-'))
    opened.push(() => rm(folder, { recursive: true, force: true }))
    const socketPath = join(folder, 'upstream.sock')
    const accepted = await listening(
      createServer((socket) => behave(socket, socket)),
      { path: socketPath },
    )
    return { location: { url: 'http://upstream.test', socketPath }, accepted }
  },
}

/** Answers once it has read so much of an upload; the next one on its connection likewise. */
function answering(point: number, answer: string, ending: Ending): Behave {
  return (socket, raw) => {
    if (point === -1) return ending(socket, raw, answer)
    let text = ''
    let head = -1
    let read = 0
    let answered = false
    socket.on('data', (chunk: Buffer) => {
      read += chunk.length
      if (head === -1) {
        text += chunk.toString('latin1')
        const end = text.indexOf('\r\n\r\n')
        if (end === -1) return
        head = end + 4
        text = ''
      }
      if (!answered && read - head >= point) {
        answered = true
        socket.pause()
        ending(socket, raw, answer)
      }
      if (read - head < UPLOAD) return
      answered = false
      head = -1
      read = 0
    })
  }
}

interface GatewaySettings {
  readonly secure?: boolean
  /** Reads the body before the canary. */
  readonly parses?: boolean
}

async function gatewayTo(location: UpstreamLocation | string, proxy: object, settings: GatewaySettings = {}) {
  const outcomes: Outcome[] = []
  const judged: Outcome[] = []
  const isFailure = (outcome: Outcome): boolean => {
    judged.push(outcome)
    return (outcome.status ?? 0) >= 500 || (outcome.error !== null && !outcome.aborted)
  }
  const handler = createHandler({
    name: 'early',
    upstreams: { A: location, B: location },
    percentage: 50,
    hash: 'none',
    logger: { info() {}, warn() {}, error() {} },
    guard: { errors: { isFailure } },
    proxy,
  })
  handler.release?.on('outcome', (outcome) => void outcomes.push(outcome))
  const listener: RequestListener = async (request, response) => {
    if (settings.parses === true) Object.assign(request, { rawBody: Buffer.concat(await request.toArray()) })
    void handler(request, response)
  }
  const server =
    settings.secure === true
      ? createHttpsServer({ cert: pem('server'), key: pem('server-key') }, listener)
      : createHttpServer(listener)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  opened.push(async () => {
    await handler.close(0)
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    port: portOf(server),
    outcomes,
    /** What was counted as a failure, by the release and by its guard. */
    failures: () => {
      const { A, B } = handler.release?.status().counts ?? { A: null, B: null }
      const failed = judged.filter(({ status, error, aborted }) => (status ?? 0) >= 500 || (error !== null && !aborted))
      return { A: A?.failures, B: B?.failures, judged: failed.length }
    },
  }
}

const CHUNK = Buffer.alloc(65_536, 'u')
const HEAD = `POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: ${UPLOAD}\r\n\r\n`

/** A client that uploads as fast as it can until it has the whole answer, and says what it saw. */
async function upload(port: number, { readsLate = false, secure = false } = {}) {
  const socket = secure
    ? connectTls({ port, host: '127.0.0.1', ca: pem('ca'), servername: 'upstream.test' })
    : connect(port, '127.0.0.1')
  let text = ''
  let error: unknown = null
  const closed = new Promise<void>((resolve) => void socket.on('close', () => resolve()))
  const whole = new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (parse(text).whole) resolve()
    })
  })
  socket.on('error', (cause) => (error = cause))
  const over = new AbortController()
  const ended = Promise.race([closed, whole]).then(() => over.abort())
  await once(socket, secure ? 'secureConnect' : 'connect')
  if (readsLate) socket.pause()
  socket.write(HEAD)
  let sent = 0
  while (sent < UPLOAD && !over.signal.aborted && !socket.destroyed) {
    const chunk = CHUNK.subarray(0, UPLOAD - sent)
    sent += chunk.length
    if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), ended]).catch(() => {})
  }
  if (readsLate) socket.resume()
  await ended
  socket.destroy()
  await closed
  return { ...parse(text), error, sent }
}

const FORWARDERS: [string, () => object][] = [
  ['undici', () => ({})],
  ['http-proxy', () => ({ forwarder: httpProxyForwarder() })],
]

for (const [transport, start] of Object.entries(TRANSPORTS)) {
  describe.each(FORWARDERS)(`an upstream over ${transport} by %s`, (_name, forwarder) => {
    describe.each(ENDINGS)('that answers early and %s', (_ending, ending) => {
      // What is reset before anything was read of it is no connection that could carry a request.
      const points = ending === resets ? POINTS.slice(1) : POINTS
      test.each(points)('%s is heard', { timeout: 60_000 }, async (_point, point) => {
        const seen: unknown[] = []
        for (const answer of ANSWERS) {
          const { location } = await start(answering(point, answer.text, ending))
          const gateway = await gatewayTo(location, forwarder())
          const { status, whole, body, error } = await upload(gateway.port)
          await expect.poll(() => gateway.outcomes.length).toBe(1)
          const [outcome] = gateway.outcomes
          seen.push([status, whole, body === answer.body, error, outcome?.status, outcome?.error, gateway.failures()])
        }
        const none = { A: 0, B: 0, judged: 0 }
        expect(seen).toEqual(ANSWERS.map(({ status }) => [status, true, true, null, status, null, none]))
      })
    })

    test.each(ENDINGS.slice(0, 2))('that %s without an answer is nobody’s failure: 502', async (_ending, ending) => {
      const { location } = await start(answering(UPLOAD / 2, '', ending))
      const gateway = await gatewayTo(location, forwarder())
      for (let run = 0; run < 4; run += 1) {
        const seen = await upload(gateway.port)
        expect([seen.status, seen.whole, seen.error]).toEqual([502, true, null])
        expect(seen.body).toMatch(
          /^\{"code":"ERR_CANARY_UPLOAD","message":"upstream [AB] took no more of the request, and no answer came"\}/,
        )
        expect(seen.headers).toMatch('\r\nconnection: close')
      }
      expect([gateway.outcomes, gateway.failures()]).toEqual([[], { A: 0, B: 0, judged: 0 }])
    })

    test('that breaks off in its answer cuts the client, and is nobody’s failure', async () => {
      const part = 'HTTP/1.1 413 Too Large\r\nContent-Length: 10\r\n\r\nmuch'
      const { location } = await start(
        answering(UPLOAD / 2, '', (socket) => void socket.write(part, () => socket.end(() => socket.destroy()))),
      )
      const gateway = await gatewayTo(location, forwarder())
      expect((await upload(gateway.port)).whole).toBe(false)
      await expect.poll(() => gateway.outcomes).toMatchObject([{ status: 413, error: null, aborted: false }])
      expect(gateway.failures()).toEqual({ A: 0, B: 0, judged: 0 })
    })

    test('that answers nonsense early has failed', async () => {
      const { location } = await start(
        answering(UPLOAD / 2, '', (socket) => void socket.end('SSH-2.0-OpenSSH\r\n\r\n', () => socket.destroy())),
      )
      const gateway = await gatewayTo(location, forwarder())
      const seen = await upload(gateway.port)
      expect([seen.status, seen.body]).toEqual([502, expect.stringMatching('"ERR_CANARY_UPSTREAM_RESPONSE"')])
      const { A, B, judged } = gateway.failures()
      expect([Number(A) + Number(B), judged]).toEqual([1, 1])
    })

    test.each(ENDINGS)(
      'that answers early and %s is heard by a client that reads when all is sent',
      async (_, ending) => {
        const answer = 'HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch'
        const { location } = await start(answering(1, answer, ending))
        const gateway = await gatewayTo(location, forwarder())
        const seen = await upload(gateway.port, { readsLate: true })
        expect([seen.status, seen.body, seen.sent, seen.error]).toEqual([413, 'much', UPLOAD, null])
        expect(seen.headers).toMatch('\r\nconnection: close')
      },
    )

    test('that answers early and closes is heard by clients over TLS', async () => {
      const answer = 'HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch'
      const { location } = await start(
        answering(1, answer, (socket) => void socket.end(answer, () => socket.destroy())),
      )
      const gateway = await gatewayTo(location, forwarder(), { secure: true })
      for (const readsLate of [false, true]) {
        const seen = await upload(gateway.port, { readsLate, secure: true })
        expect([seen.status, seen.body, seen.error]).toEqual([413, 'much', null])
      }
    })

    test.each(ENDINGS)('that answers a body early that was parsed, and %s, is heard', async (_ending, ending) => {
      const answer = 'HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch'
      const { location } = await start(answering(1, answer, ending))
      const gateway = await gatewayTo(location, forwarder(), { parses: true })
      for (let run = 0; run < 3; run += 1) {
        const seen = await upload(gateway.port)
        expect([seen.status, seen.body, seen.error]).toEqual([413, 'much', null])
      }
      expect(gateway.failures()).toEqual({ A: 0, B: 0, judged: 0 })
    })

    test('that answers early and closes gets no other request on that connection', async () => {
      const answer = 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nwho'
      const { location, accepted } = await start(
        answering(1, answer, (socket) => void socket.write(answer, () => socket.resume())),
      )
      const gateway = await gatewayTo(location, forwarder())
      for (let run = 1; run <= 3; run += 1) {
        expect((await upload(gateway.port)).status).toBe(401)
        expect(accepted()).toBe(run)
      }
    })
  })
}

test.each(FORWARDERS)(
  'a request behind an upload that was answered early is not sent on by %s',
  async (_name, forwarder) => {
    const lines: (string | undefined)[] = []
    const warm: Socket[] = []
    const { location } = await overTcp((socket) => {
      socket.on('data', (chunk) => {
        lines.push(/^\w+ \/\w*/.exec(chunk.toString('latin1'))?.[0])
        if (chunk.includes('first')) socket.write('HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nwho')
        // Only two at once make two connections, of which one is left for the request behind the upload.
        else if (warm.push(socket) === 2)
          for (const one of warm) one.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      })
    })
    const gateway = await gatewayTo(location, forwarder())
    const get = async (): Promise<unknown> => (await fetch(`http://127.0.0.1:${gateway.port}/warm`)).arrayBuffer()
    await Promise.all([get(), get()])
    const socket = connect({ port: gateway.port, host: '127.0.0.1', allowHalfOpen: true })
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString('latin1')))
    socket.write('POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10\r\n\r\nfirst')
    // The gateway has ended its side, and reads on.
    await once(socket, 'end')
    expect(text).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n[^]*\r\n\r\nwho$/)
    socket.write('-lastGET /next HTTP/1.1\r\nHost: gateway\r\n\r\n')
    await expect
      .poll(() => gateway.outcomes)
      .toMatchObject([
        { status: 200 },
        { status: 200 },
        { status: 401, aborted: false },
        { status: null, aborted: true },
      ])
    socket.destroy()
    expect(lines).toEqual(['GET /warm', 'GET /warm', 'POST /'])
  },
)

/** Lets every write fail on sockets to a port, which stay open to be read. */
function breakWrites(port: number): void {
  const onSocket = (message: unknown): void => {
    const { socket } = message as { socket: Socket }
    const write = socket._write.bind(socket)
    const writev = socket._writev?.bind(socket)
    const unlessBroken = (act: () => void, callback: (error: Error) => void): void => {
      if (socket.connecting) return void socket.once('connect', () => unlessBroken(act, callback))
      if (socket.remotePort !== port) return act()
      process.nextTick(callback, Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' }))
    }
    socket._write = (chunk, encoding, callback) => unlessBroken(() => write(chunk, encoding, callback), callback)
    socket._writev = (chunks, callback) => unlessBroken(() => writev?.(chunks, callback), callback)
  }
  subscribe('net.client.socket', onSocket)
  opened.push(() => void unsubscribe('net.client.socket', onSocket))
}

describe.each(FORWARDERS)('an upload by %s that cannot be written', (_name, forwarder) => {
  async function gatewayThatCannotWrite(behave: Behave) {
    const server = createServer((socket) => behave(socket, socket))
    await listening(server, LOOPBACK)
    breakWrites(portOf(server))
    return gatewayTo(`http://127.0.0.1:${portOf(server)}`, forwarder())
  }

  test('waits for its answer, until it is whole', async () => {
    const gateway = await gatewayThatCannotWrite((socket) => {
      // In pieces, each in a turn of its own.
      const pieces = [...'HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nwho']
      const next = (): void => void (pieces.length > 0 && socket.write(pieces.shift() ?? '', () => setImmediate(next)))
      next()
    })
    const seen = await upload(gateway.port)
    expect([seen.status, seen.body, seen.error]).toEqual([401, 'who', null])
    expect(gateway.failures()).toEqual({ A: 0, B: 0, judged: 0 })
  })

  // The limits of the gateway are half a minute and more, and a test's is 5 seconds.
  test.each([
    ['no answer', ''],
    ['no end of its head', 'HTTP/1.1 401 Unauthorized\r\n'],
  ])('is given up where there is %s', async (_what, text) => {
    const gateway = await gatewayThatCannotWrite((socket) => void socket.write(text))
    const seen = await upload(gateway.port)
    expect([seen.status, seen.error]).toEqual([502, null])
    expect(seen.body).toMatch('"ERR_CANARY_UPLOAD"')
    expect(gateway.failures()).toEqual({ A: 0, B: 0, judged: 0 })
  })

  test('is no such thing where there is no body: its upstream has failed at once', async () => {
    const gateway = await gatewayThatCannotWrite((socket) => void socket.resume())
    const response = await fetch(`http://127.0.0.1:${gateway.port}/`)
    expect(await response.text()).toMatch('"ERR_CANARY_UPSTREAM_RESPONSE"')
    const { A, B, judged } = gateway.failures()
    expect([Number(A) + Number(B), judged]).toEqual([1, 1])
  })
})
