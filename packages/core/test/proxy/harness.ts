import { once } from 'node:events'
import http, { type RequestListener, type ServerResponse } from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import type { Decision, Outcome } from '../../src/decision/decision.js'
import { compilePlan } from '../../src/decision/plan.js'
import type { CanaryError } from '../../src/errors.js'
import type { ClientFacts, ForwardCall, Transport } from '../../src/proxy/forward-call.js'
import type { PlacedRelease, ReleasePlace } from '../../src/place.js'
import {
  type HealthOptions,
  type ProxyOptions,
  type ResolvedHealthOptions,
  healthOptionsSchema,
  proxyOptionsSchema,
} from '../../src/proxy/options.js'
import { type Proxy, createProxy } from '../../src/proxy/proxy.js'
import type { Upstream, UrlUpstream } from '../../src/upstream.js'

export function urlUpstream(name: 'A' | 'B', port: number, changes: Partial<UrlUpstream> = {}): UrlUpstream {
  const host = `127.0.0.1:${port}`
  const base: UrlUpstream = {
    kind: 'url',
    name,
    scheme: 'http',
    hostname: '127.0.0.1',
    port,
    origin: `http://${host}`,
    host,
    basePath: '',
    fixedPath: null,
    socketPath: null,
    tls: null,
    poolKey: `http://${host}`,
  }
  return { ...base, ...changes }
}

function decisionFor(upstream: 'A' | 'B'): Decision {
  return {
    upstream,
    reason: 'bucket',
    hashedBy: 'ip',
    bucket: 1,
    bucketsOnB: 500,
    steps: 1000,
    release: 'test',
    origin: null,
  }
}

/** A release at a place as forwarding sees it, which remembers what it was told. */
export interface TestRelease {
  place: ReleasePlace
  readonly transport: Transport
  readonly health: ResolvedHealthOptions
  readonly outcomes: Outcome[]
  readonly reports: unknown[]
  readonly decision: Decision
}

export interface ReleaseSettings {
  readonly A?: Upstream
  readonly B: UrlUpstream
  readonly decide?: 'A' | 'B'
  readonly fallback?: boolean
  readonly health?: HealthOptions
  readonly proxy?: ProxyOptions
}

/** No rules are read here: each test says what was decided. */
const PLAN = compilePlan({ name: 'test', salt: '', steps: 1000, hash: 'ip', override: {}, ipv6Prefix: 64 }, null, null)

export function testRelease(settings: ReleaseSettings): TestRelease {
  const { B } = settings
  const outcomes: Outcome[] = []
  const reports: unknown[] = []
  const decision = decisionFor(settings.decide ?? 'B')
  const release = {
    name: 'test',
    decideBy: () => decision,
    record: (outcome: Outcome) => outcomes.push(outcome),
    fallback: (before: Decision): Decision => ({ ...before, upstream: 'A', reason: 'fallback' }),
    fail: () => {},
  }
  return {
    place: placeAt(settings.A ?? { ...B, name: 'A' }, B, release, settings.fallback),
    transport: {
      proxy: proxyOptionsSchema.parse(settings.proxy ?? {}),
      realIpHeader: 'x-forwarded-for',
      ipv6Prefix: 64,
    },
    health: settings.health === undefined ? null : healthOptionsSchema.parse(settings.health),
    outcomes,
    reports,
    decision,
  }
}

export function placeAt(A: Upstream, B: UrlUpstream, release: PlacedRelease, upstreamFallback = false): ReleasePlace {
  return { A, B, plan: PLAN, upstreamFallback, release }
}

export function clientFacts({ trusted = false, ip = '' }: { trusted?: boolean; ip?: string }): ClientFacts {
  return { peerTrusted: () => trusted, trustConfigured: () => false, ip: () => ip }
}

/** The least call there can be; `ended` is told of its end. */
export function callOf(
  { place, transport, decision, reports }: TestRelease,
  exchange: Pick<ForwardCall, 'request' | 'response' | 'upgrade'>,
  ended: (error: CanaryError | null) => void,
): { -readonly [Key in keyof ForwardCall]: ForwardCall[Key] } {
  const { request } = exchange
  const upstream = place[decision.upstream]
  if (upstream.kind !== 'url') throw new TypeError('there is nothing to forward')
  return {
    ...exchange,
    place,
    transport,
    decision,
    upstream,
    startedAt: performance.now(),
    path: request.url ?? '',
    rawBody: () => undefined,
    parsedBody: () => ('body' in request ? request.body : undefined),
    taken: null,
    client: clientFacts({}),
    beforeHead: null,
    sink: null,
    reports: { reportOnce: (_kind, error) => reports.push(error) },
    fallBack() {
      this.decision = place.release.fallback(this.decision, place.plan)
    },
    toHandler: () => {},
    done: ended,
  }
}

/** A server on a free port of loopback that takes its sockets with it when it ends. */
export interface Listening extends AsyncDisposable {
  readonly port: number
  readonly sockets: Set<Socket>
}

async function listening(server: net.Server, at = 0): Promise<Listening> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(at, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** It takes any number of headers. */
export const httpUpstream = (listener: RequestListener): Promise<Listening> =>
  listening(Object.assign(http.createServer(listener), { maxHeadersCount: 0 }))

/** Resolves when the last of them is closed, however. */
export async function allClosed(sockets: ReadonlySet<Socket>): Promise<void> {
  await Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
}

/** An upstream that comes back on a port it had. */
export const httpUpstreamOn = (port: number, respond: (response: ServerResponse) => void): Promise<Listening> =>
  listening(
    http.createServer((_request, response) => respond(response)),
    port,
  )

/** An upstream that speaks bytes. */
export const rawUpstream = (onSocket: (socket: Socket) => void): Promise<Listening> =>
  listening(net.createServer({ allowHalfOpen: true }, onSocket))

export interface Gateway extends Listening {
  readonly proxy: Proxy
  /** What `done` was called with, in order. */
  readonly results: (CanaryError | null)[]
  readonly decisions: Decision[]
  /** Resolves with the next result. */
  next(): Promise<CanaryError | null>
}

export interface GatewaySettings {
  readonly call?: (call: ForwardCall) => Partial<ForwardCall>
  readonly before?: (request: http.IncomingMessage, response: ServerResponse) => void | Promise<void>
  readonly now?: () => number
  readonly maxHeadersCount?: number
}

/** The least adapter there can be: everything is forwarded, an error is answered with its status and message. */
export async function gateway(release: TestRelease, settings: GatewaySettings = {}): Promise<Gateway> {
  const proxy = settings.now === undefined ? createProxy() : createProxy(settings.now)
  const results: (CanaryError | null)[] = []
  const decisions: Decision[] = []
  const waiting: ((error: CanaryError | null) => void)[] = []
  const forward = async (
    request: http.IncomingMessage,
    response: ServerResponse,
    upgrade: ForwardCall['upgrade'],
  ): Promise<void> => {
    await settings.before?.(request, response)
    const call = callOf(release, { request, response, upgrade }, (error) => {
      if (error !== null && !response.headersSent) {
        response.statusCode = error.status
        response.end(`${error.code}: ${error.message}`)
      }
      results.push(error)
      waiting.shift()?.(error)
    })
    const { fallBack } = call
    call.fallBack = () => {
      fallBack.call(call)
      decisions.push(call.decision)
    }
    proxy.forward(Object.assign(call, settings.call?.(call)))
  }
  const server = http.createServer((request, response) => void forward(request, response, null))
  if (settings.maxHeadersCount !== undefined) server.maxHeadersCount = settings.maxHeadersCount
  server.on('upgrade', (request: http.IncomingMessage, socket: Socket, head: Buffer) => {
    const response = new http.ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(socket)
    response.on('finish', () => socket.destroySoon())
    void forward(request, response, { socket, head })
  })
  const base = await listening(server)
  return {
    ...base,
    proxy,
    results,
    decisions,
    next: () => new Promise((resolve) => waiting.push(resolve)),
    async [Symbol.asyncDispose]() {
      await proxy.close(0)
      await base[Symbol.asyncDispose]()
    },
  }
}

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly rawHeaders: string[]
  readonly trailers: NodeJS.Dict<string>
  readonly body: string
}

export interface Asked extends http.RequestOptions {
  readonly body?: string | Buffer
}

/** One request on a connection of its own; rejects where the response is not whole. */
export function ask(port: number, path = '/', options: Asked = {}): Promise<Answer> {
  const { body, ...rest } = options
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, path, agent: false, ...rest }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const { statusCode = 0, headers, rawHeaders, trailers } = response
        resolve({ status: statusCode, headers, rawHeaders, trailers, body: Buffer.concat(chunks).toString('latin1') })
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}
