import { once } from 'node:events'
import { Agent, type IncomingMessage, type Server, createServer, request as httpRequest } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createRelease } from '@canary-release/core'
import { canary, createServer as createExpressServer } from '@canary-release/express'
import express from 'express'

export interface SoakOptions {
  readonly milliseconds: number
  readonly seed: number
  readonly log: (line: string) => void
}

export interface SoakReport {
  readonly requests: number
  /** Idempotent requests that did not end with 200: with the fallback on, none may. */
  readonly failed: number
  readonly failures: readonly string[]
  readonly kills: number
  readonly updates: number
  readonly tunnels: number
  readonly streams: number
  readonly unhandled: readonly string[]
  /** Sockets of this process after all was closed. */
  readonly socketsLeft: number
  /** heapUsed + external above what it was before, in MB, where gc is exposed. */
  readonly keptMb: number
}

/** xorshift32: the same seed does the same things in the same order. */
function createRandom(seed: number): () => number {
  let state = seed | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 4_294_967_296
  }
}

/** An upstream that may be killed and started again on its port. */
class Killable {
  #server: Server | null = null
  readonly #sockets = new Set<Socket>()
  port = 0

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      request.resume()
      if (request.url === '/events') {
        response.setHeader('content-type', 'text/event-stream')
        const timer = setInterval(() => response.write('data: x\n\n'), 50)
        response.on('close', () => clearInterval(timer))
        return
      }
      response.end('good')
    })
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {})
    })
    server.on('upgrade', (_request, socket: Duplex) => {
      socket.on('error', () => {})
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      socket.pipe(socket)
    })
    server.listen(this.port, '127.0.0.1')
    await once(server, 'listening')
    this.port = (server.address() as AddressInfo).port
    this.#server = server
  }

  /** As a crash: every connection is reset, whatever it is doing. */
  async kill(): Promise<void> {
    const server = this.#server
    this.#server = null
    if (server === null) return
    const closed = once(server, 'close')
    server.close()
    for (const socket of this.#sockets) socket.resetAndDestroy()
    await closed
  }

  get alive(): boolean {
    return this.#server !== null
  }
}

/** Requests, WebSockets and event streams against a gateway whose B dies and comes back, while its release changes. */
export async function soak({ milliseconds, seed, log }: SoakOptions): Promise<SoakReport> {
  const random = createRandom(seed)
  const unhandled: string[] = []
  const note = (error: unknown) => void unhandled.push(String(error))
  process.on('uncaughtException', note).on('unhandledRejection', note)
  const socketsBefore = tcpSockets()
  const keptBefore = kept()

  const A = new Killable()
  const B = new Killable()
  await A.start()
  await B.start()
  const release = createRelease({
    name: 'soak',
    upstreams: { A: `http://127.0.0.1:${A.port}`, B: `http://127.0.0.1:${B.port}` },
    percentage: 50,
    hash: 'none',
    upstreamFallback: true,
    logger: { info() {}, warn() {}, error() {} },
  })
  const app = express()
  const middleware = canary(release)
  app.use(middleware)
  const server = createExpressServer(app)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo

  const counts = { requests: 0, failed: 0, kills: 0, updates: 0, tunnels: 0, streams: 0 }
  const failures: string[] = []
  const agent = new Agent({ keepAlive: true, maxSockets: 16 })
  const end = Date.now() + milliseconds
  const running = () => Date.now() < end
  const pause = (least: number, most: number) =>
    new Promise((resolve) => setTimeout(resolve, least + random() * (most - least)))

  async function ask(): Promise<void> {
    counts.requests += 1
    const failure = await new Promise<string | null>((resolve) => {
      const request = httpRequest({ host: '127.0.0.1', port, path: '/', agent }, (response) => {
        let body = ''
        response.on('data', (chunk) => (body += String(chunk)))
        response.on('close', () =>
          resolve(response.statusCode === 200 && body === 'good' ? null : `${response.statusCode} ${body}`),
        )
      })
      request.on('error', (error) => resolve(String(error))).end()
    })
    if (failure === null) return
    counts.failed += 1
    if (failures.length < 20) failures.push(failure)
  }

  /** A WebSocket or a stream of events, until it is cut or let go. */
  async function hold(path: string, headers: Record<string, string>, kind: 'tunnels' | 'streams'): Promise<void> {
    const request = httpRequest({ host: '127.0.0.1', port, path, agent: false, headers })
    request.on('error', () => {})
    request.end()
    const opened = await Promise.race([
      once(request, 'upgrade').then(([, socket]) => socket as Duplex),
      once(request, 'response').then(([response]) => (response as IncomingMessage).resume()),
    ]).catch(() => null)
    if (opened === null) return
    counts[kind] += 1
    opened.on('error', () => {})
    if (kind === 'tunnels' && 'write' in opened) opened.write('ping')
    await pause(20, 500)
    opened.destroy()
  }

  const loops = [
    ...Array.from({ length: 8 }, async () => {
      while (running()) await ask()
    }),
    ...Array.from({ length: 4 }, async () => {
      while (running()) await hold('/socket', { connection: 'Upgrade', upgrade: 'echo' }, 'tunnels')
    }),
    ...Array.from({ length: 4 }, async () => {
      while (running()) await hold('/events', {}, 'streams')
    }),
    (async () => {
      while (running()) {
        await pause(100, 900)
        if (B.alive) {
          await B.kill()
          counts.kills += 1
        } else await B.start()
      }
    })(),
    (async () => {
      while (running()) {
        release.update({ percentage: Math.round(random() * 100) })
        counts.updates += 1
        await pause(100, 100)
      }
    })(),
  ]
  const ticker = setInterval(
    () => log(JSON.stringify({ ...counts, rssMb: Math.round(process.memoryUsage.rss() / 1_048_576) })),
    10_000,
  )
  await Promise.all(loops)
  clearInterval(ticker)

  agent.destroy()
  release.close()
  await middleware.close(0)
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await A.kill()
  await B.kill()
  for (let i = 0; i < 100 && tcpSockets() > socketsBefore; i += 1)
    await new Promise((resolve) => setTimeout(resolve, 20))
  process.off('uncaughtException', note).off('unhandledRejection', note)
  const keptMb = Math.round((kept() - keptBefore) / 104_857.6) / 10
  return { ...counts, failures, unhandled, socketsLeft: Math.max(0, tcpSockets() - socketsBefore), keptMb }
}

function tcpSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap' || name === 'TCPServerWrap').length
}

function kept(): number {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
