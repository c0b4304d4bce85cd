import { EventEmitter, once } from 'node:events'
import net, { type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { Forwarder } from '../../src/proxy/forwarder.js'
import { httpProxyForwarder } from '../../src/proxy/http-proxy/forwarder.js'
import type { ProxyOptions } from '../../src/proxy/options.js'
import { ask, clientFacts, gateway, httpUpstream, rawUpstream, testRelease, urlUpstream } from './harness.js'

// What is refused here, or took too long here, and whom that is said of.

const FORWARDERS: [string, () => ProxyOptions][] = [
  ['undici', () => ({})],
  ['http-proxy', () => ({ forwarder: httpProxyForwarder() })],
]
const UPGRADE = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'
const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'

/** Answers upgrades with 101 and its name. */
const tunnelling = (name: string) =>
  rawUpstream((socket) => {
    socket.once('data', () => socket.write(SWITCHING + name)).on('end', () => socket.end())
  })

async function upgrade(port: number): Promise<{ text: string; socket: Socket }> {
  const socket = net.connect(port, '127.0.0.1')
  socket.write(UPGRADE)
  let text = ''
  while (!/\r\n\r\n./.test(text)) text += String((await once(socket, 'data'))[0])
  return { text, socket }
}

describe.each(FORWARDERS)('by %s', (_name, forwarder) => {
  test('a tunnel too many at B is no outcome of B', async () => {
    await using B = await tunnelling('B')
    const release = testRelease({ B: urlUpstream('B', B.port), proxy: { ...forwarder(), tunnels: 1 } })
    await using front = await gateway(release)
    const first = await upgrade(front.port)
    for (let i = 0; i < 8; i += 1) {
      const refused = await upgrade(front.port)
      expect(refused.text).toMatch(/^HTTP\/1\.1 503 .*ERR_CANARY_UPSTREAM_BUSY: upstream B has too many tunnels/s)
      refused.socket.destroy()
    }
    expect(release.outcomes.map(({ status, error }) => [status, error])).toEqual([[101, null]])
    // Its health is as good as before: else it would be out of service by now.
    first.socket.destroy()
    await expect
      .poll(async () => {
        const { text, socket } = await upgrade(front.port)
        socket.destroy()
        return text
      })
      .toMatch(/^HTTP\/1\.1 101 /)
  })

  test('with the fallback, A takes a tunnel too many at B, and B has not failed', async () => {
    await using A = await tunnelling('A')
    await using B = await tunnelling('B')
    const upstreams = { A: urlUpstream('A', A.port), B: urlUpstream('B', B.port) }
    const release = testRelease({ ...upstreams, fallback: true, proxy: { ...forwarder(), tunnels: 1 } })
    await using front = await gateway(release)
    const tunnels = [await upgrade(front.port), await upgrade(front.port)]
    expect(tunnels.map(({ text }) => text.at(-1))).toEqual(['B', 'A'])
    const refused = await upgrade(front.port)
    expect(refused.text).toContain('upstream A has too many tunnels at a time')
    expect(release.outcomes.map(({ decision, error }) => [decision.upstream, error])).toEqual([
      ['B', null],
      ['A', null],
    ])
    for (const { socket } of [...tunnels, refused]) socket.destroy()
  })

  test('a request too many of a network is no outcome of anybody, and no fallback', async () => {
    const events = new EventEmitter()
    await using B = await httpUpstream((_request, response) => void events.emit('asked', response))
    const proxy = { ...forwarder(), perNetwork: 1 }
    const release = testRelease({ B: urlUpstream('B', B.port), fallback: true, proxy })
    await using front = await gateway(release, { call: () => ({ client: clientFacts({ ip: '203.0.113.9' }) }) })
    const asked = once(events, 'asked')
    const held = ask(front.port)
    const [response] = await asked
    expect(await ask(front.port)).toMatchObject({
      status: 503,
      body: 'ERR_CANARY_UPSTREAM_BUSY: the client has too many requests at a time',
    })
    expect(release.outcomes).toEqual([])
    expect(front.decisions).toEqual([])
    response.end()
    expect(await held).toMatchObject({ status: 200 })
    expect(release.outcomes).toHaveLength(1)
  })

  test('every end of a request makes room for the next of its network', async () => {
    const events = new EventEmitter()
    await using B = await httpUpstream((request, response) => {
      events.emit('asked', response)
      if (request.url === '/break') response.socket?.resetAndDestroy()
      else if (request.url === '/now') response.end('now')
    })
    const proxy = { ...forwarder(), perNetwork: 1, headersTimeoutMs: 100 }
    const release = testRelease({ B: urlUpstream('B', B.port), proxy })
    await using front = await gateway(release, { call: () => ({ client: clientFacts({ ip: '203.0.113.9' }) }) })
    const now = () => ask(front.port, '/now').then(({ status }) => status)
    for (const [path, status] of [
      ['/break', 502],
      ['/silent', 504],
      ['/%2e%2e/..', 400],
    ] as const) {
      expect(await ask(front.port, path)).toMatchObject({ status })
      expect(await now()).toBe(200)
    }
    const asked = once(events, 'asked')
    const left = front.next()
    const client = net.connect(front.port, '127.0.0.1')
    client.write('GET /leave HTTP/1.1\r\nHost: x\r\n\r\n')
    await asked
    client.destroy()
    await left
    expect(await now()).toBe(200)
  })

  test('the upstream has failed where it is waited for, and A is not asked when the time is up', async () => {
    await using B = await httpUpstream(() => {})
    await using A = await httpUpstream((_request, response) => void response.end('A'))
    const upstreams = { A: urlUpstream('A', A.port), B: urlUpstream('B', B.port) }
    const release = testRelease({ ...upstreams, fallback: true, proxy: { ...forwarder(), requestTimeoutMs: 100 } })
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ status: 504, body: expect.stringMatching('UPSTREAM_TIMEOUT') })
    expect(release.outcomes).toMatchObject([
      { decision: { upstream: 'B' }, error: { code: 'ERR_CANARY_UPSTREAM_TIMEOUT' } },
    ])
  })

  test('nobody has failed where a client takes its response too slowly for the time of the whole', async () => {
    await using B = await httpUpstream((_request, response) => void response.end(Buffer.alloc(30_000_000)))
    const release = testRelease({ B: urlUpstream('B', B.port), proxy: { ...forwarder(), requestTimeoutMs: 2000 } })
    await using front = await gateway(release)
    const next = front.next()
    const client = net.connect(front.port, '127.0.0.1')
    client.on('error', () => {}).write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(await next).toBeNull()
    expect(release.outcomes).toMatchObject([{ status: 200, error: null, aborted: true }])
    client.destroy()
  })

  test('a hook that waits has no more than the time of the whole', async () => {
    await using B = await httpUpstream((_request, response) => void response.end('B'))
    const onRequestHeaders = () => new Promise<void>(() => {})
    const proxy = { ...forwarder(), requestTimeoutMs: 100, onRequestHeaders }
    const release = testRelease({ B: urlUpstream('B', B.port), proxy })
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({
      status: 504,
      body: 'ERR_CANARY_TIMEOUT: the request took longer than 100 ms',
    })
    expect(release.outcomes).toEqual([])
  })

  test('a request that waits in line when its time is up is told that there was no connection', async () => {
    const events = new EventEmitter()
    await using B = await httpUpstream((_request, response) => void events.emit('asked', response))
    const proxy = { ...forwarder(), connections: 1, connectTimeoutMs: 60_000, requestTimeoutMs: 60_000 }
    const late = 60_000 - 100
    await using front = await gateway(testRelease({ B: urlUpstream('B', B.port), proxy }), {
      call: (call) => ({ ...call, startedAt: call.startedAt - (call.request.url === '/late' ? late : 0) }),
    })
    const asked = once(events, 'asked')
    const first = ask(front.port)
    const [response] = await asked
    expect(await ask(front.port, '/late')).toMatchObject({
      status: 503,
      body: 'ERR_CANARY_UPSTREAM_BUSY: upstream B has no free connection',
    })
    response.end()
    expect(await first).toMatchObject({ status: 200 })
  })
})

describe('a forwarder of the application', () => {
  test('has no more than the time of the whole, before its head and after it', async () => {
    const forwarder: Forwarder = {
      forward({ request, response }, head) {
        if (request.url !== '/begin') return
        response.writeHead(200)
        Reflect.apply(response.write, response, ['half'])
        head(200)
      },
      close: async () => {},
    }
    await using B = await httpUpstream(() => {})
    const release = testRelease({ B: urlUpstream('B', B.port), proxy: { forwarder, requestTimeoutMs: 100 } })
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ status: 504, body: expect.stringMatching('UPSTREAM_TIMEOUT') })
    await expect(ask(front.port, '/begin')).rejects.toThrow('aborted')
    const timedOut = { error: { code: 'ERR_CANARY_UPSTREAM_TIMEOUT' } }
    expect(release.outcomes).toMatchObject([timedOut, timedOut])
  })
})
