import { EventEmitter, once } from 'node:events'
import { type ServerResponse, request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { describe, expect, test } from 'vitest'
import { ask } from '../conformance/client.js'
import { GATEWAYS, type GatewayOptions } from './gateways.js'
import { plainUpstream } from './servers.js'

// How many connections there are to an upstream, who waits for one, and who is told that there is none: through each
// adapter, by either forwarder.

const FORWARDERS: [string, () => GatewayOptions['proxy']][] = [
  ['undici', () => ({})],
  ['http-proxy', () => ({ forwarder: httpProxyForwarder() })],
]
const never = { 'x-canary': 'never' }
const BUSY = { status: 503, text: 'ERR_CANARY_UPSTREAM_BUSY: upstream A has no free connection' }

for (const [name, start] of Object.entries(GATEWAYS)) {
  describe.each(FORWARDERS)(`${name}: connections to an upstream by %s`, (_forwarder, forwarder) => {
    /** A gateway whose upstream holds every answer until it is told to give it. */
    async function held(proxy: object) {
      const asked = new EventEmitter()
      const responses: ServerResponse[] = []
      const upstream = await plainUpstream((request, response) => {
        responses.push(response)
        asked.emit('asked', request.url)
      })
      const url = `http://127.0.0.1:${upstream.port}`
      const gateway = await start({ upstreams: { A: url, B: url }, proxy: { ...forwarder(), ...proxy } })
      const sockets = new Set<Socket>()
      gateway.server.on('connection', (socket) => {
        sockets.add(socket)
        socket.on('close', () => sockets.delete(socket))
      })
      return {
        gateway,
        upstream,
        responses,
        /** Of clients to the gateway. */
        connections: () => sockets.size,
        url: `http://127.0.0.1:${gateway.port}`,
        next: () => once(asked, 'asked'),
        async [Symbol.asyncDispose]() {
          await gateway.close()
          await upstream[Symbol.asyncDispose]()
        },
      }
    }

    test.each([0, 1, 3])('with a queue of %d, so many wait and are served; one more is told', async (queue) => {
      await using stage = await held({ connections: 2, queue })
      const answers = []
      for (let i = 0; i < 2; i += 1) {
        const next = stage.next()
        answers.push(ask(stage.url, { headers: never }))
        await next
      }
      // Those that wait are not seen by the upstream: they are sure to be there once one more was refused.
      const refused: string[] = []
      const more = Array.from({ length: queue + 1 }, () =>
        ask(stage.url, { headers: never }).then((answer) => {
          if (answer.status === 503) refused.push(answer.text)
          return answer
        }),
      )
      await expect.poll(() => refused).toEqual([BUSY.text])
      expect(stage.upstream.sockets.size).toBe(2)
      let served = 0
      while (served < queue + 2) {
        const next = served < queue ? stage.next() : null
        stage.responses[served]?.end('served')
        served += 1
        await next
      }
      const statuses = (await Promise.all([...answers, ...more])).map(({ status }) => status)
      expect(statuses.filter((status) => status === 200)).toHaveLength(queue + 2)
      expect(statuses.filter((status) => status === 503)).toHaveLength(1)
      expect(stage.responses).toHaveLength(queue + 2)
      expect(stage.upstream.sockets.size).toBeLessThanOrEqual(2)
    })

    test('clients that leave the line, and requests that waited too long, give their places up', async () => {
      await using stage = await held({ connections: 1, queue: 2, connectTimeoutMs: 300 })
      const next = stage.next()
      const first = ask(stage.url, { headers: never })
      await next
      for (const leaves of [true, false]) {
        const waiting = Array.from({ length: 3 }, () => httpRequest(stage.url, { agent: false, headers: never }))
        const answered = new EventEmitter()
        for (const request of waiting) {
          request.on('error', () => {}).on('response', ({ statusCode }) => answered.emit('status', statusCode))
          request.end()
        }
        // One is too many, so the two others are in the line.
        expect(await once(answered, 'status')).toEqual([503])
        if (leaves) for (const request of waiting) request.destroy()
        await expect.poll(() => stage.connections()).toBe(1)
      }
      const arrived = once(stage.gateway.server, 'request')
      const again = stage.next()
      const last = ask(stage.url, { headers: never })
      await arrived
      await setImmediate()
      stage.responses[0]?.end('served')
      await Promise.race([again, last])
      stage.responses[1]?.end('served too')
      expect([(await first).text, (await last).text]).toEqual(['served', 'served too'])
      expect(stage.responses).toHaveLength(2)
    })

    test('a request that waited longer than for a connection is told', async () => {
      await using stage = await held({ connections: 1, queue: 5, connectTimeoutMs: 150 })
      const next = stage.next()
      const first = ask(stage.url, { headers: never })
      await next
      expect(await ask(stage.url, { headers: never })).toMatchObject(BUSY)
      stage.responses[0]?.end('served')
      expect((await first).text).toBe('served')
      const again = stage.next()
      const after = ask(stage.url, { headers: never })
      await again
      stage.responses[1]?.end('served too')
      expect((await after).text).toBe('served too')
    })
  })
}
