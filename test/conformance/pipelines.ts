import { once } from 'node:events'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { type AddressInfo, type Socket, connect } from 'node:net'
import { createRelease } from '@canary-release/core'
import type { Outcome } from '@canary-release/core'
import { expect, test } from 'vitest'
import { parse } from '../faults/raw-client.js'
import type { Stage } from './stage.js'

const SILENT = { info() {}, warn() {}, error() {} }
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: gateway\r\nX-Canary: always\r\n\r\n`
const post = `POST / HTTP/1.1\r\nHost: gateway\r\nX-Canary: always\r\nContent-Length: 4\r\n\r\nbody`

/** Clients that send requests without waiting for answers: all but the first are queued by Node, and have no socket. */
export function pipelines(stage: Stage): void {
  const { app, options } = stage

  async function upstream(listener: (request: IncomingMessage, response: ServerResponse) => void) {
    const server = createServer(listener)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      async [Symbol.asyncDispose]() {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }

  async function client(url: string): Promise<Socket> {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    return socket
  }

  test.each([
    ['closes', (socket: Socket) => void socket.destroy()],
    ['resets', (socket: Socket) => void socket.resetAndDestroy()],
  ])('a client that pipelines requests and %s its connection ends all of them', async (_how, leave) => {
    let open = 0
    await using held = await upstream((_request, response) => {
      open += 1
      response.on('close', () => (open -= 1))
    })
    const release = createRelease(options({ upstreams: { A: stage.A(), B: held.url }, logger: SILENT }) as never)
    const outcomes: Outcome[] = []
    release.on('outcome', (outcome) => void outcomes.push(outcome))
    const { url } = await app(release)
    const socket = await client(url)
    socket.write(get('/1') + post + get('/3'))
    await expect.poll(() => open).toBe(3)
    leave(socket)
    await expect.poll(() => open).toBe(0)
    await expect.poll(() => outcomes.length).toBe(3)
    expect(outcomes.map(({ status, error, aborted }) => [status, error, aborted])).toEqual(
      Array.from({ length: 3 }, () => [null, null, true]),
    )
    expect(release.status().counts.B).toEqual({ requests: 3, failures: 0 })
  })

  test('a client that leaves while its second answer waits for its first ends both', async () => {
    let answered = 0
    let open = 0
    await using upstreamB = await upstream((request, response) => {
      open += 1
      response.on('close', () => (open -= 1))
      if (request.url !== '/2') return
      response.write('a part')
      answered += 1
    })
    const release = createRelease(options({ upstreams: { A: stage.A(), B: upstreamB.url }, logger: SILENT }) as never)
    const outcomes: (number | null)[] = []
    release.on('outcome', ({ status, aborted }) => void outcomes.push(aborted ? status : -1))
    const { url } = await app(release)
    const socket = await client(url)
    socket.write(get('/1') + get('/2'))
    await expect.poll(() => [open, answered]).toEqual([2, 1])
    socket.destroy()
    await expect.poll(() => open).toBe(0)
    await expect.poll(() => outcomes.toSorted()).toEqual([200, null])
  })

  test('a client that pipelines requests to a handler and leaves is counted for each', async () => {
    let asked = 0
    const handler = stage.harness.handler(() => {
      asked += 1
      return new Promise<string>(() => {})
    })
    const release = createRelease(options({ upstreams: { A: stage.A(), B: handler }, logger: SILENT }) as never)
    const outcomes: boolean[] = []
    release.on('outcome', ({ aborted }) => void outcomes.push(aborted))
    const { url } = await app(release)
    const socket = await client(url)
    socket.write(get('/1') + get('/2') + get('/3'))
    await expect.poll(() => asked).toBe(3)
    socket.destroy()
    await expect.poll(() => outcomes).toEqual([true, true, true])
  })

  test('a connection that carries thousands of requests gets no more listeners', async () => {
    const ROUNDS = 20
    const AT_ONCE = 100
    await using echo = await upstream((request, response) => void response.end(request.url))
    const { url } = await app({ upstreams: { A: stage.A(), B: echo.url } })
    const warnings: string[] = []
    const onWarning = (warning: Error) => void warnings.push(warning.name)
    process.on('warning', onWarning)
    const socket = await client(url)
    const bodies: string[] = []
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      for (let seen = parse(text); seen.whole; seen = parse(text)) {
        const length = Number(/content-length: (\d+)/.exec(seen.headers)?.[1])
        bodies.push(seen.body.slice(0, length))
        text = seen.body.slice(length)
      }
    })
    for (let round = 1; round <= ROUNDS; round += 1) {
      socket.write(Array.from({ length: AT_ONCE }, (_, i) => get(`/${bodies.length + i}`)).join(''))
      await expect.poll(() => bodies.length, { interval: 1, timeout: 10_000 }).toBe(round * AT_ONCE)
    }
    socket.destroy()
    process.off('warning', onWarning)
    expect(bodies).toEqual(Array.from({ length: ROUNDS * AT_ONCE }, (_, i) => `/${i}`))
    expect(warnings).toEqual([])
  })
}
