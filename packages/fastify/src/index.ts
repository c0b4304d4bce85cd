import { type Server as HttpServer, type IncomingMessage, METHODS, type ServerResponse } from 'node:http'
import type { Decision, Release } from '@canary-release/core'
import {
  CanaryError,
  type CanarySource,
  type Framework,
  type Mount,
  attachUpgrades,
  clientOfChain,
  createMount,
  disown,
  fail as failRequest,
  takePayload,
} from '@canary-release/core/adapter'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest, preParsingHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { contentTypeDisguise, restoreContentType } from './content-types.js'
import { claimBelow, pathsBelow } from './paths-below.js'
import { type Through, sinkOf, throughOf } from './through.js'

export type * from '@canary-release/core'
export type { CanarySource, RegistrySource } from '@canary-release/core/adapter'
export type { Through } from './through.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** What was decided for it; `null` before that, and where no canary is. */
    canary: Decision | null
  }
}

/** A handler of a Fastify route. */
export type FastifyHandler = (request: FastifyRequest, reply: FastifyReply) => unknown

/** A release (`{ release }`), the options of one, or `{ registry, service?, route?, api? }`. */
export type CanaryPluginOptions = {
  /**
   * The path below which the plugin takes requests; Fastify's own option.
   *
   * @default all that no other route of the application takes
   */
  readonly prefix?: string | undefined
  /**
   * Time that running requests get when the application closes: milliseconds, 0 … 2 147 483 647. Then they are cut off.
   *
   * @default 10000
   */
  readonly graceMs?: number | undefined
} & ({ readonly release: Release } | Exclude<CanarySource<FastifyRequest, FastifyHandler>, Release>)

/** The options of {@link canary}. */
export type CanaryForwardOptions = CanaryPluginOptions & {
  /**
   * Sends forwarded responses by `reply.send`, so that `onSend` hooks see them (cookies, sessions, compression); `false`:
   * always past Fastify, which is faster. `auto` looks once, when the application is ready, whether such a hook is there.
   *
   * @default 'auto'
   */
  readonly through?: Through | undefined
}

/** When {@link canaryDecision} decides: after the authentication of the hook that is named. */
export type CanaryDecisionOptions = CanaryPluginOptions & {
  /**
   * The hook of Fastify in which it decides.
   *
   * @default 'preHandler'
   */
  readonly hook?: 'onRequest' | 'preParsing' | 'preValidation' | 'preHandler' | undefined
}

/** Describes Fastify below a plugin's prefix. */
function frameworkAt(instance: FastifyInstance): Framework<FastifyReply, FastifyRequest> {
  const below = pathsBelow(instance)
  return {
    raw: (reply) => reply.request.raw,
    response: (reply) => reply.raw,
    request: (reply) => reply.request,
    user: ({ request }) => propertyOf(request, 'user') ?? propertyOf(request, 'auth'),
    path: ({ request }) => below(request.url),
    rawBody: ({ request }) => propertyOf(request, 'rawBody'),
    body: ({ request }) => request.body,
    giveBody: ({ request }, body) => {
      request.body = body
    },
    decided: ({ request }, decision) => {
      request.canary = decision
    },
    rewrite: ({ request }, path) => {
      request.raw.url = path
    },
    // Without `trustProxy` a request has none.
    trustConfigured: ({ request }) => request.ips !== undefined,
    trust: null,
    address: ({ request }) => addressOf(request),
  }
}

function propertyOf(request: FastifyRequest, name: string): unknown {
  return Reflect.get(request, name)
}

/** Fastify's `trustProxy`, read from what it made of it: only a trusted peer brings more than one address. */
function addressOf(request: FastifyRequest): { ip: string; peerTrusted: boolean } {
  const { ip, ips, socket } = request
  if (ips === undefined || ips.length === 0) return { ip, peerTrusted: false }
  const peerTrusted = ips.length > 1 || (request.headers['x-forwarded-for'] === undefined && trustsPeer(request))
  return { ip: clientOfChain(ips) || (socket.remoteAddress ?? ''), peerTrusted }
}

/** Fastify gives no function to ask, but believes x-forwarded-proto of whom it trusts. */
function trustsPeer(request: FastifyRequest): boolean {
  try {
    const asked = { raw: request.raw, headers: { 'x-forwarded-proto': 'believed' } }
    const protocol: string = Reflect.get(request, 'protocol', asked)
    return protocol === 'believed'
  } catch {
    return false
  }
}

function sourceOf(options: CanaryPluginOptions): CanarySource<FastifyRequest, FastifyHandler> {
  const own: CanaryPluginOptions & { hook?: unknown; through?: unknown } = options
  const { prefix: _, hook: __, graceMs: ___, through: ____, ...rest } = own
  return 'release' in rest ? rest.release : rest
}

/** Longer ones Node's timers do not take. */
const MAX_TIMER_MS = 2_147_483_647

type FastifyMount = Mount<FastifyReply, FastifyHandler>

function mountOn(instance: FastifyInstance, options: CanaryPluginOptions): FastifyMount {
  const { graceMs } = options
  if (graceMs !== undefined && !(graceMs >= 0 && graceMs <= MAX_TIMER_MS))
    throw new CanaryError('ERR_CANARY_OPTION', `graceMs must be between 0 and ${MAX_TIMER_MS}, got ${String(graceMs)}`)
  const mount: FastifyMount = createMount(sourceOf(options), frameworkAt(instance))
  if (!instance.hasRequestDecorator('canary')) instance.decorateRequest('canary', null)
  // Before the server waits for its connections: tunnels would keep it waiting.
  let closing: Promise<void> | undefined
  instance.addHook('preClose', (done) => {
    closing = mount.close(graceMs)
    // Whoever closes the application is told, but not before the hooks in between have run.
    disown(closing)
    done()
  })
  instance.addHook('onClose', () => closing ?? mount.close(graceMs))
  return mount
}

/** Async, as what a callback plugin throws would be an uncaught exception. */
async function forwardPlugin(instance: FastifyInstance, options: CanaryForwardOptions): Promise<void> {
  const isThrough = throughOf(instance, options.through)
  const mount = mountOn(instance, options)
  instance.removeAllContentTypeParsers()
  passBodiesOn(instance)
  for (const method of METHODS) {
    if (method !== 'CONNECT' && !instance.supportedMethods.includes(method))
      instance.addHttpMethod(method, { hasBody: true })
  }
  const methods = METHODS.filter((method) => method !== 'CONNECT')
  for (const url of ['/', '/*']) {
    // @fastify/cors has such a route for the whole application. Its hooks run for these routes too.
    const isTaken = instance.hasRoute({ method: 'OPTIONS', url: `${instance.prefix}${url}` })
    const free = isTaken ? methods.filter((method) => method !== 'OPTIONS') : methods
    instance.route({ method: free, url, handler: (request, reply) => answer(mount, isThrough(), request, reply) })
  }
  takeUpgrades(instance)
}

/** Kept on the raw request: the parser is not given the reply. */
const RESPONSE = Symbol('canary.response')

interface Answered {
  [RESPONSE]?: ServerResponse
}

/**
 * The stream stays whole, and the hooks of an ordinary request have run. What they made of it is what is sent, and it is
 * taken here: the hooks that follow may wait, and whoever reads it meanwhile would read it alone.
 */
function passBodiesOn(instance: FastifyInstance): void {
  const disguise = contentTypeDisguise(instance)
  const last: preParsingHookHandler = (request, reply, payload, done) => {
    const raw: IncomingMessage & Answered = request.raw
    raw[RESPONSE] = reply.raw
    disguise(request)
    done(null, payload)
  }
  // Behind those that plugins add to single routes.
  instance.addHook('onRoute', (route) => {
    route.preParsing = [route.preParsing ?? [], last].flat()
  })
  instance.addContentTypeParser('*', (request, payload, done) => {
    restoreContentType(request)
    const raw: IncomingMessage & Answered = request.raw
    if (raw[RESPONSE] !== undefined) takePayload(raw, raw[RESPONSE], payload, request.headers)
    done(null, payload)
  })
}

function answer(mount: FastifyMount, isThrough: boolean, request: FastifyRequest, reply: FastifyReply): unknown {
  const routed = mount.route(reply)
  if (routed.action === 'next') return routed.run(() => reply.callNotFound())
  if (routed.action === 'handle') return routed.run(() => routed.handler(request, reply))
  copyHeaders(reply)
  const sink = isThrough ? sinkOf(reply) : undefined
  routed.forward({
    sink,
    beforeHead: () => reply.hijack(),
    done: (error) => {
      if (error !== null) reply.send(error)
      // The client left before there was a head: nobody waits for a reply.
      else if (!reply.sent) reply.hijack()
    },
    handle: (handler) => {
      // Also what it throws at once is a rejection then, and a payload that Fastify does not take an error.
      new Promise((resolve) => resolve(handler(request, reply)))
        .then((result) => (result === undefined || reply.sent ? undefined : reply.send(result)))
        .catch((error: unknown) => reply.send(errorOf(error)))
    },
  })
  return undefined
}

/** Fastify would send what is no error as the answer. */
function errorOf(value: unknown): Error {
  return value instanceof Error ? value : new Error('a handler threw what is no error', { cause: value })
}

/** What hooks have set so far: Fastify itself would send it with the reply that it does not see. */
function copyHeaders(reply: FastifyReply): void {
  const headers = reply.getHeaders()
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined) reply.raw.setHeader(name, value)
  }
}

/** Takes the upgrades below the plugin's prefix; without one, those that no other route of the application is for. */
function takeUpgrades(instance: FastifyInstance): void {
  const detach = attachUpgrades(
    instance.server as HttpServer,
    (request, response) => instance.routing(request, response),
    { upgrades: claimBelow(instance) },
    { application: instance.server, warns: false },
  )
  instance.addHook('onClose', (_instance, done) => {
    detach()
    done()
  })
}

async function decisionPlugin(instance: FastifyInstance, options: CanaryDecisionOptions): Promise<void> {
  const mount = mountOn(instance, options)
  instance.addHook(
    options.hook ?? 'preHandler',
    (_request: FastifyRequest, reply: FastifyReply, ...rest: unknown[]) => {
      const done = rest.at(-1) as (error?: Error) => void
      const routed = mount.route(reply)
      if (routed.action === 'next') routed.run(done)
      else done()
    },
  )
}

/**
 * Fastify plugin that forwards what comes below its prefix, on the routes `/` and `/*`. It decides in their handlers,
 * so that every hook of the application (its authentication) has run. It closes with the application.
 */
export const canary: FastifyPluginAsync<CanaryForwardOptions> = fp(forwardPlugin, {
  fastify: '5.x',
  name: '@canary-release/fastify',
  encapsulate: true,
})

/**
 * Fastify plugin that only decides, and shows `request.canary`: for rewrite mode, and for routes beside it.
 */
export const canaryDecision: FastifyPluginAsync<CanaryDecisionOptions> = fp(decisionPlugin, {
  fastify: '5.x',
  name: '@canary-release/fastify/decision',
})

/**
 * Counts a request as failed although its status does not say so: for an application that knows better. Each release
 * that decided the request hears of it, and so does its guard; if none did, nothing happens.
 *
 * @param reason one short sentence for the guard's report, without data of the caller
 */
export function fail(request: FastifyRequest, reason: string): void {
  failRequest(request.raw, reason)
}

export default canary
