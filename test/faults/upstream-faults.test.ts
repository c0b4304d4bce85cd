import { beforeAll, describe, expect, test } from 'vitest'
import { FAULTS } from './fault-table.js'
import { type FaultUpstream, startFaultUpstream } from './fault-upstream.js'
import { GATEWAYS, type Gateway, optionsFor } from './gateways.js'
import { exchange } from './raw-client.js'

const unhandled: unknown[] = []
const note = (error: unknown) => void unhandled.push(error)

for (const [framework, start] of Object.entries(GATEWAYS)) {
  describe(`faults of an upstream behind ${framework}`, () => {
    let upstreams: readonly [FaultUpstream, FaultUpstream]
    let gateway: Gateway

    beforeAll(async () => {
      process.on('uncaughtExceptionMonitor', note).on('unhandledRejection', note)
      const behaviours = new Map(FAULTS.map(({ name, upstream }) => [name, upstream]))
      upstreams = [await startFaultUpstream(behaviours), await startFaultUpstream(behaviours)]
      const [A, B] = upstreams.map(({ port }) => `http://127.0.0.1:${port}`)
      gateway = await start(optionsFor({ A: A ?? '', B: B ?? '' }))
    })

    for (const side of ['never', 'always'] as const) {
      describe.concurrent(`upstream ${side === 'never' ? 'A' : 'B'}`, () => {
        test.for(FAULTS)('$name', async ({ name, method = 'GET', body = '', headers = '', expected }, { expect }) => {
          const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`
          const request = `${method} /${name}/x HTTP/1.1\r\nHost: gateway\r\nX-Canary: ${side}\r\n${headers}${length}\r\n${body}`
          const seen = await exchange(gateway.port, request)
          if ('cut' in expected) {
            expect(seen.whole, seen.text).toBe(false)
            if (expected.status !== undefined) expect(seen.status).toBe(expected.status)
            return
          }
          expect([seen.status, seen.whole], seen.text.slice(0, 2000)).toEqual([expected.status, true])
          if (expected.body !== undefined) expect(seen.body).toBe(expected.body)
          expect(seen.text).not.toMatch(/evil|127\.0\.0\.1|ECONN|at .*\.[jt]s:/)
        })
      })
    }

    test('nothing is left behind: no socket, nothing unhandled', async () => {
      await gateway.close()
      for (const { sockets } of upstreams) await expect.poll(() => openAfterFin(sockets)).toBe(0)
      for (const upstream of upstreams) await upstream.close()
      await expect.poll(() => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap')).toEqual([])
      process.off('uncaughtExceptionMonitor', note).off('unhandledRejection', note)
      expect(unhandled).toEqual([])
    })
  })
}

/** Connections that the gateway has not let go of: an upstream that does not read sees their end late. */
function openAfterFin(sockets: FaultUpstream['sockets']): number {
  for (const socket of sockets) socket.resume()
  return [...sockets].filter(({ readableEnded, destroyed }) => !readableEnded && !destroyed).length
}
