import { EventEmitter, once } from 'node:events'
import { type IncomingMessage, type ServerResponse, request as httpRequest } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { ask } from '../conformance/client.js'
import { GATEWAYS, type GatewayOptions, type ServerOptions } from './gateways.js'
import { echoing, plainUpstream } from './servers.js'

// Closing gracefully, through each adapter and by either forwarder: what runs may end, what does not is ended, and
// nothing is left.

const FORWARDERS: [string, () => GatewayOptions['proxy']][] = [
  ['undici', () => ({})],
  ['http-proxy', () => ({ forwarder: httpProxyForwarder() })],
]
const LONG = 60_000

/** What keeps this process alive. */
const open = (what: RegExp) => process.getActiveResourcesInfo().filter((name) => what.test(name)).length
const SOCKETS = /^(TCP|TLS|Pipe)/
const TIMERS = /^Timeout$/

/** Vitest reports every 100 ms or so by a timer of its own: one of ours would be there for longer. */
async function noTimers(): Promise<void> {
  const until = Date.now() + 1000
  while (open(TIMERS) > 0 && Date.now() < until) await setImmediate()
  expect(open(TIMERS)).toBe(0)
}

const closed = (emitter: NodeJS.EventEmitter) => new Promise((resolve) => emitter.once('close', resolve))

for (const [name, start] of Object.entries(GATEWAYS)) {
  describe.each(FORWARDERS)(`closing ${name} by %s`, (_forwarder, forwarder) => {
    async function stage(server: ServerOptions = {}) {
      const before = open(SOCKETS)
      const events = new EventEmitter()
      const seen: string[] = []
      const upstream = await plainUpstream((request, response) => {
        seen.push(request.url ?? '')
        if (request.url === '/quick') return void response.end('quick')
        if (request.url === '/events')
          response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
        if (request.url === '/half') response.writeHead(200, { 'content-length': 100 }).write('half')
        return void events.emit('asked', response)
      })
      const echo = echoing(upstream)
      const url = `http://127.0.0.1:${upstream.port}`
      const gateway = await start({ upstreams: { A: url, B: url }, proxy: forwarder() }, server)
      return {
        gateway,
        upstream,
        seen,
        echo,
        url: `http://127.0.0.1:${gateway.port}`,
        /** Asks for a path whose answer the upstream holds back. */
        async hold(path: string) {
          const asked = once(events, 'asked')
          const answer = ask(`http://127.0.0.1:${gateway.port}${path}`)
          answer.catch(() => {})
          const [response] = (await asked) as [ServerResponse]
          return { answer, response }
        },
        async [Symbol.asyncDispose]() {
          await gateway.close()
          await upstream[Symbol.asyncDispose]()
          await expect.poll(() => open(SOCKETS)).toBe(before)
          await noTimers()
        },
      }
    }

    test('lets running requests end, takes no new ones, and leaves no connection to the upstream', async () => {
      await using at = await stage({ graceMs: LONG })
      const running = [await at.hold('/slow'), await at.hold('/half')]
      let isClosed = false
      const closing = at.gateway.closeCanary(LONG).then(() => (isClosed = true))
      const refused = await ask(`${at.url}/new`).then(
        ({ status, text }) => `${status} ${text}`,
        (error: { code?: string }) => String(error.code),
      )
      // Fastify itself stops listening, or answers what still comes.
      expect(refused).toMatch(name === 'fastify' ? /^503 |^ECONN/ : /^503 ERR_CANARY_CLOSED: the canary is closed$/)
      expect(at.seen).not.toContain('/new')
      expect(isClosed).toBe(false)
      running[0]?.response.end('late')
      running[1]?.response.end('!'.repeat(96))
      expect((await running[0]?.answer)?.text).toBe('late')
      expect(await running[1]?.answer).toMatchObject({ status: 200, whole: true })
      await closing
      await expect.poll(() => at.upstream.sockets.size).toBe(0)
    })

    test('ends what runs longer: requests, bodies, event streams and tunnels', async () => {
      await using at = await stage({ graceMs: 30 })
      const silent = await at.hold('/silent')
      const half = await at.hold('/half')
      const stream = await openStream(at.url)
      const socket = new WebSocket(at.url.replace('http', 'ws'))
      await once(socket, 'open')
      const ended = [socket, stream, ...at.echo.clients].map(closed)
      await at.gateway.closeCanary(30)
      const { status, text } = await silent.answer
      expect([status, text]).toEqual([503, 'ERR_CANARY_CLOSED: the canary is closed'])
      expect(await half.answer).toMatchObject({ status: 200, text: 'half', whole: false })
      await Promise.all(ended)
      expect(stream.complete).toBe(false)
      await expect.poll(() => at.upstream.sockets.size).toBe(0)
      if (name === 'fastify') expect(at.gateway.server.listenerCount('upgrade')).toBe(0)
    })

    test('is done at once where nothing runs, and may be repeated', async () => {
      await using at = await stage()
      expect((await ask(`${at.url}/quick`)).text).toBe('quick')
      await at.gateway.closeCanary(LONG)
      await at.gateway.closeCanary(LONG)
      await expect.poll(() => at.upstream.sockets.size).toBe(0)
    })
  })
}

/** An event stream whose first event has come. */
async function openStream(url: string): Promise<IncomingMessage> {
  const request = httpRequest(`${url}/events`, { agent: false }).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.on('error', () => {})
  await once(response, 'data')
  return response
}
