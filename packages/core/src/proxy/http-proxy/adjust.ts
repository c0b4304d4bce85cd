import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import type { Readable } from 'node:stream'
import type ProxyServer from 'http-proxy'
import { inRoot } from '../../request-context.js'
import { tlsOptions } from '../upstream-socket.js'
import type { KeptSockets } from './kept-sockets.js'
import { emitTo } from './listeners.js'
import type { Attempt } from '../forwarder.js'
import type { RawRequest } from '../../node-http.js'

/** Runs `act` while the request shows another path and other headers: http-proxy reads them nowhere else. */
export function shadowing(request: RawRequest, url: string, headers: object, act: () => void): void {
  const before = ['url', 'headers'].map((name) => [name, Object.getOwnPropertyDescriptor(request, name)] as const)
  Object.defineProperty(request, 'url', { value: url, configurable: true, writable: true })
  Object.defineProperty(request, 'headers', { value: headers, configurable: true, writable: true })
  try {
    act()
  } finally {
    for (const [name, descriptor] of before) {
      if (descriptor === undefined) Reflect.deleteProperty(request, name)
      else Object.defineProperty(request, name, descriptor)
    }
  }
}

/** What a request that is given to an agent needs. */
export interface Capture {
  /** Requests that may wait for a connection to the same upstream. */
  readonly queue: number
  /** Not on an idle connection. */
  readonly fresh: boolean
  /** What the agent keeps, unless it is somebody else's. */
  readonly kept: KeptSockets | null
  /** It must not be lost on a connection that its upstream is just closing. */
  readonly careful: boolean
  /** Shown the request from its first moment, with its agent's name for the upstream. */
  own(request: ClientRequest, upstream: string): void
  /** Called instead of sending the request where no connection is free and too many wait. */
  full(): void
}

/** An agent like the given one, that gives a request to it as {@link Capture} says. */
export function capturing(agent: Agent, { queue, fresh, kept, careful, own, full }: Capture): Agent {
  const addRequest = (request: ClientRequest, options: AgentOptions, ...rest: unknown[]): void => {
    const upstream = agent.getName(options)
    own(request, upstream)
    // Where one of them was closed by the upstream, the others are as old.
    if (fresh) for (const socket of agent.freeSockets[upstream] ?? []) socket.destroy()
    if (isFull(agent, upstream, queue + (kept?.resting(upstream) ?? 0))) return full()
    // Its sockets keep these options: with the agent that they name, they would keep the exchange.
    const ofSocket = { ...options, agent }
    const add = (): void => {
      inRoot(() => Reflect.apply(Reflect.get(agent, 'addRequest'), agent, [request, ofSocket, ...rest]))
    }
    if (kept === null) add()
    else kept.give(request, upstream, careful, add)
  }
  return Object.create(agent, { addRequest: { value: addRequest } })
}

type AgentOptions = Parameters<Agent['getName']>[0]

function isFull(agent: Agent, upstream: string, queue: number): boolean {
  const waiting = agent.requests[upstream]?.length ?? 0
  if (waiting < queue) return false
  // Where one waits, no connection is free; a queue of 0 has nobody to tell by.
  if (waiting > 0) return true
  return mustWait(agent, upstream)
}

/** Whether a request to an upstream that comes now has to wait for a connection. */
export function mustWait({ sockets, freeSockets, maxSockets }: Agent, upstream: string): boolean {
  return (freeSockets[upstream]?.length ?? 0) === 0 && (sockets[upstream]?.length ?? 0) >= maxSockets
}

/** Destroys a request, and takes it out of its agent's line: Node would keep it there until its turn came. */
export function destroyWaiting(agent: Agent, request: ClientRequest | null): void {
  for (const [upstream, waiting = []] of Object.entries(agent.requests)) {
    const place = waiting.findIndex((one) => Object.is(one, request))
    if (place === -1) continue
    waiting.splice(place, 1)
    if (waiting.length === 0) Reflect.deleteProperty(agent.requests, upstream)
  }
  request?.destroy()
}

/** What `server.web` is told for one attempt: where to, and none of what would change it on the way. */
export function webOptions(
  { upstream }: Attempt,
  ofServer: ProxyServer.ServerOptions,
  agent: Agent,
  buffer: Readable,
): ProxyServer.ServerOptions {
  const { servername, ...tls } = upstream.scheme === 'https' ? tlsOptions(upstream) : {}
  const target = { protocol: `${upstream.scheme}:`, host: upstream.hostname, port: upstream.port }
  const options: ProxyServer.ServerOptions = {
    target: Object.assign<typeof target, object>(target, { ...tls, socketPath: upstream.socketPath ?? undefined }),
    ssl: { ...ofServer.ssl, servername },
    agent,
    buffer,
    selfHandleResponse: true,
    toProxy: true,
    prependPath: true,
    ignorePath: false,
    xfwd: false,
    followRedirects: false,
    timeout: 0,
    proxyTimeout: 0,
  }
  if (tls.rejectUnauthorized !== undefined) options.secure = tls.rejectUnauthorized
  return options
}

/** Undoes what http-proxy did to a request: it joins slashes, and says that a DELETE without a length has no body. */
export function correctHead(request: ClientRequest, { hasBody, body, headers, path }: Attempt): void {
  request.path = path
  if (!hasBody || body !== null || headers.includes('content-length')) return
  request.removeHeader('content-length')
  request.setHeader('transfer-encoding', 'chunked')
}

/**
 * Emits the server's `error`, and says whether a listener has answered. One listener is http-proxy's, which throws.
 * `failed` is told of one that throws; an answer that such a one left in the middle is not waited for: `cutOff`.
 */
export function answeredByListener(
  proxy: ProxyServer,
  { request, response, upstream }: Attempt,
  error: unknown,
  failed: (error: unknown) => void,
  cutOff: () => void,
): boolean {
  if (proxy.listeners('error').length < 2) return false
  let hasFailed = false
  let answered = false
  const cut = (): void => {
    if (hasFailed && answered && !response.writableEnded) cutOff()
  }
  emitTo(proxy, 'error', [error, request, response, upstream.origin], (thrown) => {
    hasFailed = true
    failed(thrown)
    cut()
  })
  answered = response.headersSent || response.writableEnded
  cut()
  return answered
}

/** Whether it is what Node says of a request. */
export function isNodeError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('ERR_')
}

type Pass = (request: RawRequest, response: object, proxyRes: IncomingMessage, options: object) => void

/** The options of a server: http-proxy keeps them there, but its types do not say so. */
export function optionsOf(proxy: ProxyServer): ProxyServer.ServerOptions {
  return 'options' in proxy && typeof proxy.options === 'object' && proxy.options !== null ? proxy.options : {}
}

/** The response's headers after what listeners changed and the server's options rewrite; an error where those throw. */
export function rewrittenHead(
  request: RawRequest,
  proxyRes: IncomingMessage,
  options: ProxyServer.ServerOptions,
  origin: string,
): string[] | Error {
  const head: string[] = []
  // Listeners may have put anything there.
  const setHeader = (name: string, value: unknown): void => {
    for (const line of Array.isArray(value) ? value : [value]) head.push(name, `${line}`)
  }
  const redirects =
    options.hostRewrite !== undefined || options.autoRewrite === true || options.protocolRewrite !== undefined
  const cookies = options.cookieDomainRewrite !== undefined || options.cookiePathRewrite !== undefined
  try {
    if (!redirects && !cookies) {
      for (const [name, value] of Object.entries(proxyRes.headers)) if (value !== undefined) setHeader(name, value)
      return head
    }
    const passes: Record<'setRedirectHostRewrite' | 'writeHeaders', Pass> = createRequire(import.meta.url)(
      'http-proxy/lib/http-proxy/passes/web-outgoing.js',
    )
    passes.setRedirectHostRewrite(request, { setHeader }, proxyRes, { ...options, target: origin })
    passes.writeHeaders(request, { setHeader }, proxyRes, options)
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
  return head
}
