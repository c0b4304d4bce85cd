import { EventEmitter, once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { type Socket, connect } from 'node:net'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import ProxyServer from 'http-proxy'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { ask } from '../conformance/client.js'
import { GATEWAYS } from './gateways.js'
import { echoing, plainUpstream } from './servers.js'

// What http-proxy is known to die and to leak of, through its Forwarder in each adapter.

const CLIENTS = 200
const uncaught: unknown[] = []
const note = (error: unknown): void => void uncaught.push(error)
beforeAll(() => void process.on('uncaughtException', note))
afterEach(() => expect(uncaught.splice(0)).toEqual([]))
afterAll(() => void process.off('uncaughtException', note))

const upgrade = 'GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

for (const [name, start] of Object.entries(GATEWAYS)) {
  describe(`http-proxy behind ${name}`, () => {
    async function stage() {
      const asked = new EventEmitter()
      const upstream = await plainUpstream((request, response) => {
        if (request.url === '/alive') return void response.end('alive')
        if (request.url === '/body') response.write('x'.repeat(1000))
        return void request.resume().on('end', () => asked.emit('asked'))
      })
      const server = ProxyServer.createProxyServer()
      const events: EventEmitter = server
      const url = `http://127.0.0.1:${upstream.port}`
      const proxy = { forwarder: httpProxyForwarder(server) }
      const gateway = await start({ upstreams: { A: url, B: url }, proxy })
      return {
        upstream,
        asked,
        listeners: () => events.eventNames().map((event) => events.listenerCount(event)),
        port: gateway.port,
        alive: async () => (await ask(`http://127.0.0.1:${gateway.port}/alive`)).text,
        async [Symbol.asyncDispose]() {
          await gateway.close()
          await upstream[Symbol.asyncDispose]()
        },
      }
    }
    type Stage = Awaited<ReturnType<typeof stage>>

    /** Resolves with `count` sockets of clients that asked for an upgrade, once the upstream has seen them all. */
    async function upgrading({ upstream, port }: Stage, count: number): Promise<Socket[]> {
      let left = count
      const all = new Promise<void>((resolve) => {
        upstream.server.on('upgrade', (_request, socket) => {
          // It reads, so that it sees the end of its connection; and never answers.
          socket.on('error', () => {}).on('end', () => socket.end())
          socket.resume()
          left -= 1
          if (left === 0) resolve()
        })
      })
      const clients = Array.from({ length: count }, () => connect(port, '127.0.0.1').on('error', () => {}))
      for (const client of clients) client.write(upgrade)
      await all
      return clients
    }

    // http-party/node-http-proxy 1468: the client's socket had no error handler before the upstream answered.
    test('clients that reset during the handshake of a WebSocket end nothing but themselves', async () => {
      await using at = await stage()
      const clients = await upgrading(at, 20)
      for (const client of clients) client.resetAndDestroy()
      await expect.poll(() => at.upstream.sockets.size).toBe(0)
      expect(await at.alive()).toBe('alive')
    })

    test('an upstream that resets during the handshake is answered for: 502', async () => {
      await using at = await stage()
      at.upstream.server.on('upgrade', (_request, socket: Socket) => socket.resetAndDestroy())
      const client = connect(at.port, '127.0.0.1')
      client.write(upgrade)
      expect(String((await once(client, 'data'))[0])).toMatch(/^HTTP\/1\.1 502 /)
      client.destroy()
      expect(await at.alive()).toBe('alive')
    })

    test.each([
      ['client', (client: WebSocket) => Reflect.get(client, '_socket') as Socket],
      ['upstream', (_client: WebSocket, ofUpstream: WebSocket) => Reflect.get(ofUpstream, '_socket') as Socket],
    ])('an open WebSocket whose %s resets is ended on both sides', async (_name, socketOf) => {
      await using at = await stage()
      const echo = echoing(at.upstream)
      const connected = once(echo, 'connection')
      const client = new WebSocket(`ws://127.0.0.1:${at.port}/`)
      client.on('error', () => {})
      await once(client, 'open')
      const [ofUpstream] = (await connected) as [WebSocket]
      const ended = [client, ofUpstream].map((one) => new Promise((resolve) => one.once('close', resolve)))
      socketOf(client, ofUpstream).resetAndDestroy()
      await Promise.all(ended)
      await expect.poll(() => at.upstream.sockets.size).toBe(0)
      expect(await at.alive()).toBe('alive')
    })

    // chimurai/http-proxy-middleware 782: what clients leave behind was never closed at the upstream. http-proxy itself
    // notices only clients that leave before their request was read to its end.
    test.each([
      ['GET', '/silent'],
      ['POST', '/silent'],
      ['POST', '/body'],
    ])(`of ${CLIENTS} clients that leave %s %s are none left`, async (method, path) => {
      await using at = await stage()
      let left = CLIENTS
      const all = new Promise<void>((resolve) => {
        at.asked.on('asked', () => {
          left -= 1
          if (left === 0) resolve()
        })
      })
      const requests = Array.from({ length: CLIENTS }, () =>
        httpRequest({ host: '127.0.0.1', port: at.port, method, path, agent: false })
          .on('error', () => {})
          .on('response', (response) => response.on('error', () => {}))
          .end(method === 'POST' ? 'all of it' : undefined),
      )
      await all
      const before = at.listeners()
      for (const request of requests) request.destroy()
      await expect.poll(() => at.upstream.sockets.size).toBe(0)
      expect(at.listeners()).toEqual(before)
      expect(await at.alive()).toBe('alive')
    })

    test('of 50 open WebSockets whose clients leave are none left', async () => {
      await using at = await stage()
      const echo = echoing(at.upstream)
      const clients = Array.from({ length: 50 }, () => new WebSocket(`ws://127.0.0.1:${at.port}/`))
      await Promise.all(clients.map((client) => once(client, 'open')))
      expect(echo.clients.size).toBe(50)
      for (const client of clients) client.terminate()
      await expect.poll(() => [echo.clients.size, at.upstream.sockets.size]).toEqual([0, 0])
    })
  })
}
