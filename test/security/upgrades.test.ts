import { once } from 'node:events'
import { type Socket, connect } from 'node:net'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { GATEWAYS, type Gateway, type GatewayOptions, optionsFor, sendRaw, statusesOf } from './gateways.js'
import { PASSED, startRecordingUpstream } from './recording-upstream.js'
import { BAD_ANSWERS, FORWARDED, IGNORED, REFUSED } from './upgrade-table.js'
import { SWITCHED, type UpgradeUpstream, answering, startUpgradeUpstream } from './upgrade-upstream.js'

const UPGRADE = 'GET /a HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const SECOND = 'GET /second HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood'
const OWN = [
  'x-forwarded-for: 127.0.0.1',
  'x-forwarded-host: gateway',
  'x-forwarded-port: 80',
  'x-forwarded-proto: http',
  PASSED,
]
/** What Node and the frameworks say of themselves. */
const OF_FRAMEWORK = /^(?:date|x-powered-by|keep-alive): /i

const throughHttpProxy = (options: GatewayOptions) => {
  const forwarded = { ...options, proxy: { ...options.proxy, forwarder: httpProxyForwarder() } }
  return GATEWAYS['node']?.(forwarded) ?? Promise.reject(new Error('no gateway'))
}

for (const [framework, start] of Object.entries({ ...GATEWAYS, 'node with http-proxy': throughHttpProxy })) {
  describe(`upgrades through ${framework}`, () => {
    let upstream: UpgradeUpstream
    let gateway: Gateway

    beforeAll(async () => {
      upstream = await startUpgradeUpstream()
      const url = `http://127.0.0.1:${upstream.port}`
      const proxy = { connectTimeoutMs: 2000, headersTimeoutMs: 2000, bodyTimeoutMs: 2000, decisionHeader: 'X-Side' }
      gateway = await start(optionsFor({ A: url, B: url }, { percentage: 100, exposeHeader: 'X-Side', proxy }))
    })

    afterEach(() => {
      upstream.take()
      upstream.behave = answering(SWITCHED)
    })

    afterAll(async () => {
      await gateway.close()
      await upstream[Symbol.asyncDispose]()
    })

    const head = (line: string, ...lines: readonly string[]) =>
      [`${line} HTTP/1.1`, `host: 127.0.0.1:${upstream.port}`, ...lines, '', ''].join('\r\n')

    /** Every connection to the upstream has been closed. */
    const allGone = async () => {
      for (const socket of upstream.sockets) await once(socket, 'close')
    }

    test.for(REFUSED)('%s are refused, and what follows is no second request', async ([, bytes]) => {
      const text = await sendRaw(gateway.port, bytes + SECOND)
      expect(statusesOf(text), text).toEqual([400])
      expect(text).not.toMatch(/evil|smuggled/)
      expect(upstream.take()).toBe('')
    })

    test.for(FORWARDED)(
      '$name arrive clean',
      async ({ bytes, line = 'GET /a', lines = [], protocol = 'websocket' }) => {
        const text = await sendRaw(gateway.port, `${bytes}END`)
        expect(text).toMatch(/^HTTP\/1\.1 101 /)
        const ours = lines.filter((one) => one.startsWith('content-length'))
        const theirs = lines.filter((one) => !ours.includes(one))
        const sent = [...theirs, ...OWN, 'x-side: B', ...ours, 'connection: Upgrade', `upgrade: ${protocol}`]
        expect(upstream.take()).toBe(`${head(line, ...sent)}END`)
      },
    )

    test.for(BAD_ANSWERS)('an answer with %s is a 502, and nothing of it reaches the client', async ([, bytes]) => {
      upstream.behave = answering(bytes)
      const text = await sendRaw(gateway.port, `${UPGRADE}END`)
      expect(statusesOf(text), text).toEqual([502])
      expect(text).not.toMatch(/evil|101|127\.0\.0\.1/i)
      expect(upstream.take()).not.toContain('END')
      await allGone()
    })

    test('what comes with the head is sent on after the upstream has switched, and not before', async () => {
      const asked = new Promise<Socket>((resolve) => {
        upstream.behave = (socket) => resolve(socket)
      })
      const answer = sendRaw(gateway.port, `${UPGRADE}${SECOND}END`)
      const socket = await asked
      const before = upstream.take()
      socket.write(SWITCHED)
      expect(await answer).toMatch(/^HTTP\/1\.1 101 [^]*\r\n\r\n$/)
      expect(before).toMatch(/^GET \/a HTTP\/1\.1\r\n[^]*\r\nupgrade: websocket\r\n\r\n$/)
      expect(upstream.take()).toBe(`${SECOND}END`)
    })

    test.each([
      ['200', OK],
      [
        '426',
        'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 4\r\n\r\ngood',
      ],
      ['401', 'HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n'],
      ['200', `${OK}HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nevil`],
    ])('an upstream that answers %s gets nothing more, and the client no second answer', async (status, bytes) => {
      upstream.behave = answering(bytes)
      const more = 'GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n'.repeat(50_000)
      const text = await sendRaw(gateway.port, UPGRADE + SECOND + more)
      expect(statusesOf(text), text).toEqual([Number(status)])
      expect(text).toMatch(/\r\nconnection: close\r\n/i)
      expect(text).toContain('good')
      expect(text).not.toContain('evil')
      expect(upstream.take()).toBe(head('GET /a', ...OWN, 'x-side: B', 'connection: Upgrade', 'upgrade: websocket'))
      await allGone()
    })

    test('of the head that switches, only what may pass reaches the client', async () => {
      upstream.behave = answering(
        'HTTP/1.1 101 Evil\r\nUpgrade: WebSocket\r\nConnection: Upgrade, x-named\r\nX-Named: 1\r\nKeep-Alive: timeout=9\r\n' +
          'Transfer-Encoding: chunked\r\nTrailer: x\r\nX-Side: A\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n' +
          '__proto__: p\r\nconstructor: c\r\nSec-WebSocket-Accept: x\r\n\r\nhello',
      )
      const text = await sendRaw(gateway.port, `${UPGRADE}END`)
      const end = text.indexOf('\r\n\r\n')
      expect(text.slice(end + 4)).toBe('hello')
      const [line, ...lines] = text.slice(0, end).split('\r\n')
      expect(line).toBe('HTTP/1.1 101 Switching Protocols')
      expect(lines.filter((one) => !OF_FRAMEWORK.test(one)).sort()).toEqual([
        'Connection: Upgrade',
        'Upgrade: WebSocket',
        '__proto__: p',
        'constructor: c',
        'sec-websocket-accept: x',
        'set-cookie: a=1',
        'set-cookie: b=2',
        'vary: *',
        'x-side: B',
      ])
    })

    test('a switch that nobody asked for is a 502', async () => {
      upstream.behave = answering(`${SWITCHED}evil`)
      const text = await sendRaw(gateway.port, SECOND)
      expect(statusesOf(text), text).toEqual([502])
      expect(text).not.toContain('evil')
      await allGone()
    })

    test('a reset after the switch ends both sides, and what came before it arrives', async () => {
      upstream.behave = (socket) =>
        void socket.write(`${SWITCHED}junk\0\r\n\r\n`, () => setImmediate(() => socket.resetAndDestroy()))
      const text = await sendRaw(gateway.port, UPGRADE)
      expect(['', 'junk\0\r\n\r\n']).toContain(text.slice(text.indexOf('\r\n\r\n') + 4))
      expect(statusesOf(text)).toEqual([])
      await allGone()
    })

    test.each([
      ['before the switch', () => {}],
      ['after it', (socket: Socket) => void socket.write(SWITCHED)],
    ])('a client that resets %s takes the upstream along', async (_when, act) => {
      const client = connect(gateway.port, '127.0.0.1', () => client.write(UPGRADE))
      client.on('error', () => {})
      const asked = new Promise<Socket>((resolve) => {
        upstream.behave = (socket) => {
          act(socket)
          resolve(socket)
        }
      })
      const socket = await asked
      const closed = once(socket, 'close')
      client.resetAndDestroy()
      await closed
      await allGone()
    })
  })
}

for (const [framework, start] of Object.entries(GATEWAYS)) {
  describe(`requests through ${framework} whose upgrade`, () => {
    test.for(IGNORED)(
      'leads around the application ($name) is answered as if nobody had asked, and what follows is read',
      async ({ bytes, sent: [line, framing, body] = ['GET /a', [], ''] }) => {
        await using plain = await startRecordingUpstream()
        const url = `http://127.0.0.1:${plain.port}`
        const ordinary = await start(optionsFor({ A: url, B: url }))
        const text = await sendRaw(ordinary.port, bytes + SECOND)
        await ordinary.close()
        expect(statusesOf(text), text).toEqual([200, 200])
        const sent = (of: string, ...lines: readonly string[]) =>
          [`${of} HTTP/1.1`, `host: 127.0.0.1:${plain.port}`, 'connection: keep-alive', ...lines, '', ''].join('\r\n')
        const [first, second] = [sent(line, ...OWN, ...framing), sent('GET /second', ...OWN)]
        expect(plain.take()).toBeOneOf([body].flat().map((bytes) => first + bytes + second))
      },
    )

    test('hides the length of its body behind more headers than Node keeps: no body is taken for a request', async () => {
      await using plain = await startRecordingUpstream()
      const url = `http://127.0.0.1:${plain.port}`
      const ordinary = await start(optionsFor({ A: url, B: url }))
      const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n'
      const many = Array.from({ length: 1100 }, (_, i) => `a${i}:\r\n`).join('')
      const text = await sendRaw(
        ordinary.port,
        `GET /a HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n${many}Content-Length: ${smuggled.length}\r\n\r\n${smuggled}${SECOND}`,
      )
      await ordinary.close()
      // Newer versions of Node do not take as many.
      expect([[400], [431]], text).toContainEqual(statusesOf(text))
      expect(plain.take()).toBe('')
    })
  })
}
