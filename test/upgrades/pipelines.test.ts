import { type Outcome, type Release, createRelease } from '@canary-release/core'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ADAPTERS, type Gateway, SERVER_KINDS, type ServerKind } from './gateways.js'
import { type HeldUpstream, answerTo, startHeldUpstream } from './held-upstream.js'
import { answersIn, rawConnection } from './raw-connection.js'

const request = (line: string, ...lines: readonly string[]) =>
  [`${line} HTTP/1.1`, 'Host: gateway', ...lines, '', ''].join('\r\n')
const asks = (protocol: string) => ['Connection: Upgrade', `Upgrade: ${protocol}`]
const WEBSOCKET = request('GET /then', ...asks('websocket'), 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: eDp5')

interface Kind {
  readonly kind: string
  readonly bytes: string
  /** What it is answered in its turn; where nothing is said, the connection is cut. */
  readonly answered?: string
}

/** Everything that can come behind a request whose answer is open. */
const KINDS: readonly Kind[] = [
  { kind: 'a GET', bytes: request('GET /then'), answered: 'GET /then' },
  {
    kind: 'a POST of known length',
    bytes: `${request('POST /then', 'Content-Length: 5')}hello`,
    answered: 'POST /then hello',
  },
  {
    kind: 'a POST in chunks',
    bytes: `${request('POST /then', 'Transfer-Encoding: chunked')}5\r\nhello\r\n0\r\n\r\n`,
    answered: 'POST /then hello',
  },
  { kind: 'a request to upgrade to h2c', bytes: request('GET /then', ...asks('h2c')), answered: 'GET /then' },
  {
    kind: 'a request to upgrade to h2c with a body of known length',
    bytes: `${request('POST /then', ...asks('h2c'), 'Content-Length: 5')}hello`,
    answered: 'POST /then hello',
  },
  {
    kind: 'a request to upgrade to h2c with a body in chunks',
    bytes: `${request('POST /then', ...asks('h2c'), 'Transfer-Encoding: chunked')}5\r\nhello\r\n0\r\n\r\n`,
    answered: 'POST /then hello',
  },
  {
    kind: 'a request to upgrade to h2c with an empty body in chunks',
    bytes: `${request('POST /then', ...asks('h2c'), 'Transfer-Encoding: chunked')}0\r\n\r\n`,
    answered: 'POST /then',
  },
  { kind: 'a request to upgrade to TLS', bytes: request('GET /then', ...asks('TLS/1.2')), answered: 'GET /then' },
  {
    kind: 'an upgrade of HTTP/1.0',
    bytes: request('GET /then', 'Connection: Upgrade, keep-alive', 'Upgrade: websocket').replace('/1.1', '/1.0'),
    answered: 'GET /then',
  },
  { kind: 'a WebSocket', bytes: WEBSOCKET },
  { kind: 'a WebSocket that speaks ahead', bytes: `${WEBSOCKET}\x81\x00` },
  { kind: 'an upgrade to something unknown', bytes: request('GET /then', ...asks('foo/2')) },
  { kind: 'an upgrade with a body', bytes: `${request('POST /then', ...asks('foo/2'), 'Content-Length: 5')}hello` },
  { kind: 'a CONNECT', bytes: request('CONNECT gateway:443') },
]

const HELD = ['GET /hold/1', 'GET /hold/2'] as const
const SOON = { interval: 2 }
const NEXT = request('GET /next')

interface Way {
  readonly adapter: string
  readonly kind: ServerKind
  readonly forwarder: 'undici' | 'http-proxy'
}
const PAIRS = [...SERVER_KINDS.map((kind) => [kind, 'undici'] as const), ['plain', 'http-proxy'] as const]
const WAYS = Object.keys(ADAPTERS).flatMap((adapter) =>
  PAIRS.map(([kind, forwarder]): Way => ({ adapter, kind, forwarder })),
)

/** Errors that nobody caught: each would have ended the process. */
const uncaught: unknown[] = []
const catchAll = (error: unknown) => void uncaught.push(error)
beforeAll(() => void process.on('uncaughtExceptionMonitor', catchAll).on('unhandledRejection', catchAll))
afterAll(() => void process.off('uncaughtExceptionMonitor', catchAll).off('unhandledRejection', catchAll))
afterEach(() => expect(uncaught.splice(0)).toEqual([]))

describe.each(WAYS)('through $adapter, a $kind server and $forwarder', ({ adapter, kind: server, forwarder }) => {
  let upstream: HeldUpstream
  let gateway: Gateway
  let release: Release
  const outcomes: Outcome[] = []
  /** What a request waits for before the canary. */
  let before: () => Promise<void> = async () => {}

  beforeAll(async () => {
    upstream = await startHeldUpstream()
    release = createRelease({
      name: 'pipelines',
      upstreams: { A: upstream.url, B: upstream.url },
      percentage: 50,
      logger: { info() {}, warn() {}, error() {} },
      ...(forwarder === 'undici' ? {} : { proxy: { forwarder: httpProxyForwarder() } }),
    })
    release.on('outcome', (outcome) => void outcomes.push(outcome))
    const start = ADAPTERS[adapter]
    if (start === undefined) throw new Error(`no ${adapter}`)
    gateway = await start(release, server, () => before(), {})
  })

  afterAll(async () => {
    await gateway.close()
    await upstream[Symbol.asyncDispose]()
  })

  beforeEach(() => {
    outcomes.splice(0)
    upstream.seen.splice(0)
    before = async () => {}
  })

  /** All that was decided has ended, here and at the upstream. */
  async function allEnded(): Promise<void> {
    await upstream.idle()
    await expect.poll(() => outcomes.length, SOON).toBe(upstream.seen.length)
    expect(outcomes.filter(({ error }) => error !== null)).toEqual([])
    expect(upstream.seen.length).toBe(new Set(upstream.seen).size)
    await expect.poll(() => connectionsOf(gateway), SOON).toBe(0)
  }

  describe.each([1, 2])('behind %i unfinished', (count) => {
    const earlier = HELD.slice(0, count)
    const first = earlier.map((line) => request(line)).join('')

    test.for(KINDS.filter(({ answered }) => answered !== undefined))(
      '$kind is answered in its turn, and so is what follows',
      async ({ bytes, answered = '' }) => {
        const client = rawConnection(gateway.connect())
        client.socket.write(first + bytes + NEXT, 'latin1')
        // The later is ready first.
        for (const line of earlier.toReversed()) (await upstream.arrived(line)).end(answerTo(line))
        const following = bytes.includes('HTTP/1.0') ? [] : ['GET /next', 'GET /last']
        await client.until(/answer to \w+ \/then/)
        if (following.length > 0) {
          await client.until(/answer to GET \/next/)
          client.socket.write(request('GET /last'))
          await client.until(/answer to GET \/last/)
        }
        const answers = answersIn(client.text())
        expect(answers.slice(0, count + 1 + following.length)).toEqual([...earlier, answered, ...following])
        client.socket.destroy()
        await allEnded()
        expect(outcomes.filter(({ aborted }) => aborted)).toEqual([])
      },
    )

    test.for(KINDS.filter(({ answered }) => answered === undefined))(
      '$kind ends the connection and everything that is open on it, unanswered',
      async ({ bytes }) => {
        const client = rawConnection(gateway.connect())
        client.socket.write(first, 'latin1')
        for (const line of earlier) await upstream.arrived(line)
        client.socket.write(bytes + NEXT, 'latin1')
        expect(await client.ended()).toBe('')
        await allEnded()
        expect(upstream.seen.toSorted()).toEqual(earlier)
        expect(outcomes).toMatchObject(earlier.map(() => ({ aborted: true, status: null })))
      },
    )

    test.for(KINDS)(
      '$kind in the same packet, while the application still asks who it is, ends or waits like any other',
      async ({ bytes, answered }) => {
        let asked = 0
        let open = () => {}
        const opened = new Promise<void>((resolve) => (open = resolve))
        before = () => {
          asked += 1
          // By then all of the packet has been read.
          if (asked === count) setImmediate(open)
          return opened
        }
        const client = rawConnection(gateway.connect())
        client.socket.write(first + bytes, 'latin1')
        if (answered === undefined) {
          expect(await client.ended()).toBe('')
          // Fastify itself goes no further with a request whose client has left.
          await expect.poll(() => outcomes.length, SOON).toBe(adapter === 'Fastify 5' ? 0 : count)
          expect(outcomes.filter(({ aborted, status }) => !aborted || status !== null)).toEqual([])
          expect(upstream.seen).toEqual([])
        } else {
          for (const line of earlier) (await upstream.arrived(line)).end(answerTo(line))
          await client.until(/answer to \w+ \/then/)
          expect(answersIn(client.text()).slice(0, count)).toEqual(earlier)
          client.socket.destroy()
          await allEnded()
        }
      },
    )

    test('of a client that leaves, everything ends', async () => {
      const client = rawConnection(gateway.connect())
      client.socket.write(first + request('GET /hold/3'), 'latin1')
      for (const line of [...earlier, 'GET /hold/3']) await upstream.arrived(line)
      client.socket.destroy()
      await allEnded()
      expect(outcomes).toMatchObject([...earlier, 3].map(() => ({ aborted: true })))
    })

    test('of a client that leaves while its request to upgrade to h2c waits, everything ends', async () => {
      const client = rawConnection(gateway.connect())
      client.socket.write(first + request('GET /then', ...asks('h2c')), 'latin1')
      for (const line of earlier) await upstream.arrived(line)
      client.socket.destroy()
      await allEnded()
      expect(outcomes).toMatchObject(earlier.map(() => ({ aborted: true })))
      expect(upstream.seen.toSorted()).toEqual(earlier)
    })
  })

  test.for(KINDS)('$kind behind a complete answer is as on a new connection', async ({ bytes, kind, answered }) => {
    const client = rawConnection(gateway.connect())
    client.socket.write(request('GET /before'))
    await client.until(/answer to GET \/before/)
    client.socket.write(bytes)
    if (answered !== undefined) await client.until(/answer to \w+ \/then/)
    else if (kind.includes('CONNECT')) await client.ended()
    else if (kind.includes('body')) expect(await client.ended()).toContain('HTTP/1.1 400 ')
    else {
      await client.until(/101 Switching/)
      client.socket.write('hello')
      await client.until(/echo .*hello/s)
    }
    client.socket.destroy()
    await upstream.idle()
    await expect.poll(() => connectionsOf(gateway), SOON).toBe(0)
  })
})

function connectionsOf({ server }: Gateway): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)))
  })
}
