import { once } from 'node:events'
import { type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRelease } from '@canary-release/core'
import { expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { ask, echoOf } from './client.js'
import { type Stage, always, never } from './stage.js'

const SILENT = { info() {}, warn() {}, error() {} }

/** Full pools, closing, two mounts of one release, and WebSockets as their library speaks them. */
export function limits(stage: Stage): void {
  const { app, mounted, options } = stage

  test('one request too many is told so: 503, while the one that waits is served', async () => {
    const held: ServerResponse[] = []
    const upstream = createServer((_request, response) => void held.push(response))
    await once(upstream.listen(0, '127.0.0.1'), 'listening')
    const B = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
    const { url } = await app({ upstreams: { A: stage.A(), B }, proxy: { connections: 1, queue: 1 } })
    const first = ask(url, { headers: always })
    await expect.poll(() => held.length).toBe(1)
    const two = [ask(url, { headers: always }), ask(url, { headers: always })]
    const refused = await Promise.race(two)
    expect([refused.status, refused.text]).toEqual([
      503,
      expect.stringMatching(/^ERR_CANARY_UPSTREAM_BUSY: upstream B has no free connection/),
    ])
    // A has connections of its own.
    expect((await echoOf(url, { headers: never })).name).toBe('A')
    held[0]?.end('served')
    await expect.poll(() => held.length).toBe(2)
    held[1]?.end('served')
    expect((await first).text).toBe('served')
    expect((await Promise.all(two)).map(({ status }) => status).toSorted()).toEqual([200, 503])
    upstream.closeAllConnections()
    upstream.close()
  })

  test('a mount that is closed takes no more requests', async () => {
    const started = await app({})
    expect((await ask(started.url)).status).toBe(200)
    await started.closeMounts()
    // Fastify's mounts close with the application, which then listens no more.
    const answer = await ask(started.url).then(
      ({ status, text }) => `${status} ${text}`,
      (error: { code?: string }) => error.code,
    )
    expect(answer).toMatch(
      stage.harness.closesWhole ? /^ECONNREFUSED$/ : /^503 ERR_CANARY_CLOSED: the canary is closed/,
    )
  })

  test('one release at two prefixes is one release, with one count', async () => {
    const release = createRelease(options({ logger: SILENT }) as never)
    const { url } = await mounted({
      mounts: [
        { prefix: '/orders', source: release },
        { prefix: '/returns', source: release },
      ],
    })
    expect((await echoOf(`${url}/orders/7`, { headers: always })).url).toBe('/7')
    expect((await echoOf(`${url}/returns/8`, { headers: always })).url).toBe('/8')
    expect((await echoOf(`${url}/returns/9`, { headers: never })).url).toBe('/9')
    const { A, B } = release.status().counts
    expect([A.requests, B.requests]).toEqual([1, 2])
    release.rollback('bad')
    expect((await echoOf(`${url}/orders`, { headers: always })).name).toBe('A')
    expect((await echoOf(`${url}/returns`, { headers: always })).name).toBe('A')
  })

  test('a WebSocket carries texts and bytes both ways, and its close code', async () => {
    const echo = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: true })
    echo.on('connection', (client) => {
      client.on('message', (data, isBinary) => client.send(data, { binary: isBinary }))
      client.on('close', (code, reason) => closed.push([code, String(reason)]))
    })
    const closed: [number, string][] = []
    await once(echo, 'listening')
    const B = `http://127.0.0.1:${(echo.address() as AddressInfo).port}`
    const { url } = await app({ upstreams: { A: stage.A(), B } })
    const client = new WebSocket(url.replace('http', 'ws'), { headers: always })
    await once(client, 'open')
    for (const message of ['one', 'ü'.repeat(70_000), Buffer.from([0, 255, 1])]) {
      client.send(message)
      const [data, isBinary] = (await once(client, 'message')) as [Buffer, boolean]
      expect(isBinary).toBe(typeof message !== 'string')
      expect(Buffer.compare(data, Buffer.from(message))).toBe(0)
    }
    client.close(4001, 'seen enough')
    await once(client, 'close')
    await expect.poll(() => closed).toEqual([[4001, 'seen enough']])
    echo.close()
  })
}
