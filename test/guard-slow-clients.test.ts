import { once } from 'node:events'
import { type IncomingMessage, type Server, type ServerResponse, createServer, get } from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import { type Release, createRelease } from '@canary-release/core'
import { afterEach, describe, expect, test } from 'vitest'
import { GATEWAYS, type GatewayOptions, optionsFor } from './faults/gateways.js'

// Clients that keep all of B's connections busy, with real sockets. Each request is judged for itself here (`unit:
// 'request'`), so that nothing but the guard's fairness stands between one client and a rollback.

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

interface Upstream {
  readonly url: string
  readonly sockets: Set<Socket>
  /** Requests that have come. */
  seen: number
}

async function upstream(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Upstream> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((request, response) => {
    own.seen += 1
    answer(request, response)
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket.on('error', () => {}))
    socket.on('close', () => sockets.delete(socket))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  opened.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const own: Upstream = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, seen: 0 }
  return own
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  if (request.url === '/large') return sendForever(response)
  if (request.url !== '/hang') request.resume().on('end', () => response.end('ok'))
}

function sendForever(response: ServerResponse): void {
  const chunk = Buffer.alloc(262_144)
  const more = () => {
    while (!response.destroyed && response.write(chunk));
  }
  response.on('drain', more).on('error', () => {})
  more()
}

const milliseconds = (count: number) => new Promise((resolve) => setTimeout(resolve, count))

interface Scene {
  readonly release: Release
  readonly B: Upstream
  /** Names whose requests go to B, or to A. */
  names(upstream: 'A' | 'B', count: number): string[]
  /** A request of somebody's; resolves with its status. */
  one(name: string, path?: string): Promise<number>
  /** A second of traffic of honest clients on both sides; the guard looks after it. */
  second(): Promise<Set<number>>
  /** Opens connections that send these bytes, and do not read. */
  slow(count: number, bytes: (name: string) => string): Promise<void>
}

async function scene(framework: string, proxy: GatewayOptions['proxy']): Promise<Scene> {
  const [A, B] = [await upstream(answer), await upstream(answer)]
  let now = Date.UTC(2026, 0, 1)
  const release = createRelease(
    optionsFor(
      { A: A.url, B: B.url },
      {
        hash: { header: 'x-id' },
        guard: { unit: 'request' },
        clock: () => now,
        proxy: { connectTimeoutMs: 150, queue: 4, headersTimeoutMs: 60_000, bodyTimeoutMs: 60_000, ...proxy },
      },
    ),
  )
  const gateway = await GATEWAYS[framework]?.(release)
  if (gateway === undefined) throw new Error(framework)
  opened.push(async () => {
    release.close()
    await gateway.close()
  })
  const { port } = gateway
  const names = (side: 'A' | 'B', count: number) => {
    const found: string[] = []
    for (let i = 0; found.length < count; i += 1) {
      if (release.explain({ headers: { 'x-id': `id-${i}` } }).decision.upstream === side) found.push(`id-${i}`)
    }
    return found
  }
  const one = (name: string, path = '/') =>
    new Promise<number>((resolve, reject) => {
      const request = get({ port, host: '127.0.0.1', path, headers: { 'x-id': name }, agent: false }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0))
      })
      request.on('error', reject)
      opened.push(() => request.destroy())
    })
  const honest = [...names('A', 10), ...names('B', 11).slice(1)]
  return {
    release,
    B,
    names,
    one,
    second: async () => {
      const statuses = new Set(await Promise.all([...honest, ...honest].map((name) => one(name))))
      now += 1000
      await one(honest[0] ?? '')
      return statuses
    },
    slow: async (count, bytes) => {
      const [name = ''] = names('B', 1)
      for (let i = 0; i < count; i += 1) {
        const socket = net.connect(port, '127.0.0.1').on('error', () => {})
        opened.push(() => socket.destroy())
        await once(socket, 'connect')
        socket.pause().write(bytes(name))
      }
    },
  }
}

/** Resolves when nothing moves any more between the gateway and B. */
async function still({ B }: Scene, requests: number): Promise<void> {
  await expect.poll(() => B.seen, { timeout: 20_000 }).toBeGreaterThanOrEqual(requests)
  const moved = () => [...B.sockets].reduce((sum, socket) => sum + socket.bytesWritten + socket.bytesRead, 0)
  for (let before = -1; before !== moved();) {
    before = moved()
    await milliseconds(400)
  }
}

describe.each(Object.keys(GATEWAYS))('behind %s, a B that is as good as A', (framework) => {
  test('is not rolled back for 260 uploads that do not end', async () => {
    const stage = await scene(framework, { connections: 256 })
    for (let i = 0; i < 3; i += 1) await stage.second()
    await stage.slow(260, (id) => `POST / HTTP/1.1\r\nHost: x\r\nx-id: ${id}\r\nContent-Length: 9\r\n\r\nabc`)
    await still(stage, 256)
    const statuses = new Set<number>()
    for (let i = 0; i < 20; i += 1) for (const status of await stage.second()) statuses.add(status)
    // All that B's clients get is 503, and still it is not B's doing.
    expect([...statuses].toSorted()).toEqual([200, 503])
    expect(stage.release.status()).toMatchObject({ state: 'running', counts: { B: { failures: 0 } } })
  }, 60_000)

  test('is not rolled back for clients that do not read', async () => {
    // The system keeps megabytes for each.
    const stage = await scene(framework, { connections: 24 })
    for (let i = 0; i < 3; i += 1) await stage.second()
    await stage.slow(26, (id) => `GET /large HTTP/1.1\r\nHost: x\r\nx-id: ${id}\r\n\r\n`)
    await still(stage, 24)
    const statuses = new Set<number>()
    for (let i = 0; i < 20; i += 1) for (const status of await stage.second()) statuses.add(status)
    expect([...statuses].toSorted()).toEqual([200, 503])
    const { state, counts } = stage.release.status()
    expect(state).toBe('running')
    // The system still moves some bytes, so that for a moment most may wait for B.
    expect(counts.B.failures).toBeLessThan(10)
  }, 60_000)

  test('is rolled back where it hangs, and fills its own pool', async () => {
    const stage = await scene(framework, { connections: 32 })
    for (let i = 0; i < 3; i += 1) await stage.second()
    const [name = ''] = stage.names('B', 1)
    for (let i = 0; i < 32; i += 1) stage.one(name, '/hang').catch(() => {})
    await still(stage, 32)
    for (let i = 0; i < 40 && stage.release.status().state === 'running'; i += 1) await stage.second()
    expect(stage.release.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
  }, 60_000)
})
