import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import net, { type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { httpProxyForwarder } from '../../src/proxy/http-proxy/forwarder.js'
import { type Listening, type TestRelease, gateway, httpUpstream, testRelease, urlUpstream } from './harness.js'

// What is judged of an upstream is what the upstream itself does. No time is asserted here: a client that waits for an
// event of the test's takes as long as that takes, and what it took must not be in what is judged.

const FORWARDERS = [
  ['undici', () => undefined],
  ['http-proxy', () => httpProxyForwarder()],
] as const

const connectTo = async (port: number): Promise<Socket> => {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {})
  await once(socket, 'connect')
  return socket
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

async function until(is: () => boolean): Promise<void> {
  while (!is()) await turn()
}

const milliseconds = (count: number) => new Promise((resolve) => setTimeout(resolve, count))

const lastOf = ({ outcomes }: TestRelease) => outcomes.at(-1)

describe.each(FORWARDERS)('the latency of an upstream through %s', (_, forwarder) => {
  const settings = { connections: 4, queue: 2, connectTimeoutMs: 500, bodyTimeoutMs: 20_000 }
  const releaseTo = (port: number, decide: 'A' | 'B' = 'B') =>
    testRelease({
      A: urlUpstream('A', port),
      B: urlUpstream('B', port),
      decide,
      proxy: { ...settings, forwarder: forwarder() },
    })

  test.each(['A', 'B'] as const)('begins at the end of the upload, for %s', async (decide) => {
    let begun = false
    await using upstream = await httpUpstream((request, response) => {
      begun = true
      request.resume().on('end', () => response.end('ok'))
    })
    const release = releaseTo(upstream.port, decide)
    await using gate = await gateway(release)
    const client = http.request({ port: gate.port, method: 'POST', headers: { 'content-length': 6 } })
    client.write('abc')
    await until(() => begun)
    await milliseconds(300)
    client.end('def')
    const [response] = (await once(client, 'response')) as [IncomingMessage]
    await once(response.resume(), 'end')
    await until(() => release.outcomes.length === 1)
    const { durationMs = 0, latencyMs } = lastOf(release) ?? {}
    expect(latencyMs).toBeLessThanOrEqual(durationMs - 250)
  })

  test('is none where the answer comes before the end of the upload, or the upload is given up', async () => {
    await using upstream = await httpUpstream((_request, response) => response.end('early'))
    const release = releaseTo(upstream.port)
    await using gate = await gateway(release)
    const early = http.request({ port: gate.port, method: 'POST', headers: { 'content-length': 6 } })
    early.on('error', () => {}).write('abc')
    await once(early, 'response')
    await until(() => release.outcomes.length === 1)
    expect(lastOf(release)).toMatchObject({ status: 200, latencyMs: null })
    early.destroy()

    await using silent = await httpUpstream(() => {})
    const other = releaseTo(silent.port)
    await using second = await gateway(other)
    const left = http.request({ port: second.port, method: 'POST', headers: { 'content-length': 6 } })
    left.on('error', () => {}).write('abc')
    await until(() => silent.sockets.size === 1)
    left.destroy()
    await until(() => other.outcomes.length === 1)
    expect(lastOf(other)).toMatchObject({ aborted: true, latencyMs: null })
  })

  test('is all of it where there is no body', async () => {
    await using upstream = await httpUpstream((_request, response) => response.end('ok'))
    const release = releaseTo(upstream.port)
    await using gate = await gateway(release)
    await fetch(`http://127.0.0.1:${gate.port}/`).then((response) => response.text())
    await until(() => release.outcomes.length === 1)
    expect(lastOf(release)?.latencyMs).toBe(lastOf(release)?.durationMs)
  })

  /** Clients that keep the connections busy: `settings.connections` of them. */
  const busy: [string, (port: number) => Promise<Socket>][] = [
    [
      'send slowly',
      async (port) => {
        const socket = await connectTo(port)
        socket.write('POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc')
        return socket
      },
    ],
    [
      'read slowly',
      async (port) => {
        const socket = await connectTo(port)
        socket.pause().write('GET /large HTTP/1.1\r\nHost: x\r\n\r\n')
        return socket
      },
    ],
  ]

  const respond = (seen: Set<string>) => (request: IncomingMessage, response: ServerResponse) => {
    seen.add(`${request.url} ${seen.size}`)
    if (request.url === '/large') return void sendForever(response)
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

  /** All connections are taken, and nothing moves on them any more: it is clients that are waited for. */
  async function fill(
    port: number,
    { seen, upstream }: { seen: Set<string>; upstream: Listening },
    open: (port: number) => Promise<Socket>,
  ): Promise<Socket[]> {
    const slow: Socket[] = []
    for (let i = 0; i < settings.connections; i += 1) slow.push(await open(port))
    await until(() => seen.size >= settings.connections)
    const moved = () => [...upstream.sockets].reduce((sum, socket) => sum + socket.bytesWritten + socket.bytesRead, 0)
    for (let before = -1; before !== moved();) {
      before = moved()
      await milliseconds(400)
    }
    return slow
  }

  test.each(busy)('and a full pool are nobody’s doing where clients %s', async (_kind, open) => {
    const seen = new Set<string>()
    await using upstream = await httpUpstream(respond(seen))
    const release = releaseTo(upstream.port)
    let arrived = 0
    await using gate = await gateway(release, { before: () => void (arrived += 1) })
    const slow = await fill(gate.port, { seen, upstream }, open)
    // Two wait until their time is up, the third finds the queue full.
    const refused = await Promise.all(
      Array.from({ length: 3 }, () => fetch(`http://127.0.0.1:${gate.port}/`).then((response) => response.text())),
    )
    for (const text of refused) expect(text).toMatch(/^ERR_CANARY_UPSTREAM_BUSY: upstream B has no free connection/)
    expect(release.outcomes).toEqual([])
    // One that gets a connection later is judged from then on.
    const before = arrived
    const queued = fetch(`http://127.0.0.1:${gate.port}/late`)
    await until(() => arrived > before)
    await milliseconds(250)
    for (const socket of slow) socket.destroy()
    await queued.then((response) => response.text())
    await until(() => release.outcomes.some(({ status, aborted }) => status === 200 && !aborted))
    const outcome = release.outcomes.find(({ status, aborted }) => status === 200 && !aborted)
    expect(outcome?.latencyMs).toBeLessThanOrEqual((outcome?.durationMs ?? 0) - 200)
  })

  test('and a full pool are its own where it is the upstream that most requests wait for', async () => {
    const seen = new Set<string>()
    await using upstream = await httpUpstream(respond(seen))
    const release = releaseTo(upstream.port)
    await using gate = await gateway(release)
    const hanging = Array.from({ length: settings.connections }, () => http.get({ port: gate.port, path: '/hang' }))
    for (const request of hanging) request.on('error', () => {})
    await until(() => seen.size >= settings.connections)
    await Promise.all(Array.from({ length: 3 }, () => fetch(`http://127.0.0.1:${gate.port}/`)))
    expect(release.outcomes).toHaveLength(3)
    for (const { error, latencyMs } of release.outcomes) {
      expect(error).toMatchObject({ code: 'ERR_CANARY_UPSTREAM_BUSY' })
      expect(latencyMs).not.toBeNull()
    }
    for (const request of hanging) request.destroy()
  })

  test('a full pool of A is A’s, whoever keeps it: else B would look worse', async () => {
    const seen = new Set<string>()
    await using upstream = await httpUpstream(respond(seen))
    const release = releaseTo(upstream.port, 'A')
    await using gate = await gateway(release)
    const [, open] = busy[0] ?? ['', connectTo]
    const slow = await fill(gate.port, { seen, upstream }, open)
    await Promise.all(Array.from({ length: 3 }, () => fetch(`http://127.0.0.1:${gate.port}/`)))
    expect(release.outcomes).toHaveLength(3)
    for (const outcome of release.outcomes) expect(outcome).toMatchObject({ latencyMs: null })
    for (const socket of slow) socket.destroy()
  })
})
