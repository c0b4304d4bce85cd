import { type IncomingMessage, type Server, type ServerResponse, createServer as createHttpServer } from 'node:http'
import type { Decision } from '@canary-release/core'
import {
  type CanarySource,
  type Framework,
  type MountHandle,
  type ResponseSink,
  type Routed,
  type UpgradeOptions,
  type UpgradeServer,
  attachUpgrades as attachListener,
  createMount,
  handlerWith,
  fail as failRequest,
  optionError,
  thrown,
} from '@canary-release/core/adapter'
import type { Context, Middleware } from 'koa'

export type * from '@canary-release/core'
export type {
  CanarySource,
  MountHandle,
  RegistrySource,
  UpgradeClaims,
  UpgradeOptions,
  UpgradeServer,
} from '@canary-release/core/adapter'

/** What a canary leaves in `ctx.state`: `new Koa<CanaryState>()` knows it. */
export interface CanaryState {
  /** What was decided for the request. @default absent until a canary has decided */
  canary?: Decision
}

/** What is used of a Koa 2 or 3 context. */
export interface KoaContext {
  /** Node's request. */
  readonly req: IncomingMessage
  /** Node's response. */
  readonly res: ServerResponse
  /** Path and query. */
  url: string
  /** The status of the response. */
  status: number
  /** The body of the response. */
  body: unknown
  /** False: Koa does not answer. @default true */
  respond?: boolean | undefined
  /** Koa's request. */
  readonly request: object
  /** What middlewares leave for each other. */
  readonly state: CanaryState & {
    /** Whom an authentication found. @default nobody */
    user?: unknown
    /** The same, of other authentications. @default nobody */
    auth?: unknown
  }
}
/** Calls the next middleware. */
export type KoaNext = () => Promise<unknown>

/** Koa middleware. */
export interface CanaryMiddleware extends MountHandle {
  (context: KoaContext, next: KoaNext): Promise<unknown>
}

const framework: Framework<KoaContext, Context> = {
  raw: ({ req }) => req,
  response: ({ res }) => res,
  // One and the same object; the rest of this file wants nothing of Koa's own types.
  request: (context) => context as unknown as Context,
  user: ({ state }) => state.user ?? state.auth,
  path: ({ url }) => url,
  rawBody: ({ request }) => ('rawBody' in request ? request.rawBody : undefined),
  body: ({ request }) => ('body' in request ? request.body : undefined),
  giveBody: null,
  decided: ({ state }, decision) => {
    state.canary = decision
  },
  rewrite: (context, path) => {
    context.url = path
  },
  trustConfigured: () => false,
  // Never ctx.ip: with `proxy: true` it is the leftmost entry of X-Forwarded-For, which anyone can forge.
  trust: null,
  address: null,
}

/** The options of {@link canary} beside its source. */
export interface KoaOptions {
  /**
   * Hands forwarded responses to Koa (`ctx.status`, headers, `ctx.body` as a stream): what outer middlewares do after
   * `await next()` still counts, such as the cookies of koa-session. Else they are written past Koa, which is faster, and
   * the middleware's promise is settled when the response is over.
   *
   * @default false
   */
  readonly through?: boolean | undefined
}

/**
 * Koa middleware that sends each request to its release's upstream.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function canary(source: CanarySource<Context, Middleware>, options: KoaOptions = {}): CanaryMiddleware {
  const { through = false } = options
  if (typeof through !== 'boolean') throw optionError('through', 'must be true or false', through)
  const mount = createMount<KoaContext, Context, Middleware>(source, framework)

  async function middleware(context: KoaContext, next: KoaNext): Promise<unknown> {
    const routed = mount.route(context)
    const call = async (handler: Middleware): Promise<unknown> => {
      try {
        return await Reflect.apply(handler, undefined, [context, next])
      } catch (error) {
        // Koa would answer nothing to no error.
        throw thrown(error)
      }
    }
    if (routed.action === 'next') return routed.run(next)
    if (routed.action === 'handle') return routed.run(() => call(routed.handler))
    return forward(context, routed, call)
  }

  function forward(
    context: KoaContext,
    routed: Routed<Middleware>,
    call: (handler: Middleware) => Promise<unknown>,
  ): Promise<unknown> {
    context.respond = false
    return new Promise((resolve, reject) => {
      // Koa answers itself again: with the error, or with what the handler says.
      const giveBack = () => {
        context.respond = true
      }
      const handOver = () => {
        giveBack()
        resolve(undefined)
      }
      routed.forward({
        sink: through ? sinkOf(context, handOver) : undefined,
        done: (error) => {
          if (error === null) return resolve(undefined)
          giveBack()
          return reject(error)
        },
        handle: (handler) => {
          giveBack()
          resolve(call(handler))
        },
      })
    })
  }

  return handlerWith(middleware, mount)
}

/** Gives Koa a response whose headers are on `ctx.res` already, where `ctx.set` puts them too. */
function sinkOf(context: KoaContext, handOver: () => void): ResponseSink {
  const { res } = context
  return {
    send: (status, reason, body) => {
      const length = res.getHeader('content-length')
      const hasType = res.hasHeader('content-type')
      context.status = status
      if (reason !== '') res.statusMessage = reason
      context.body = body
      // Koa guesses the type of a stream, and takes the length for that of a body which was there before.
      if (!hasType) res.removeHeader('content-type')
      if (length !== undefined) res.setHeader('content-length', length)
      handOver()
    },
    hasHeader: (name) => res.hasHeader(name),
  }
}

/**
 * Counts a request as failed although its status does not say so: for an application that knows better. Each release
 * that decided the request hears of it, and so does its guard; if none did, nothing happens.
 *
 * @param reason one short sentence for the guard's report, without data of the caller
 */
export function fail(context: { readonly req: IncomingMessage }, reason: string): void {
  failRequest(context.req, reason)
}

/** What is used of a Koa 2 or 3 application. */
export interface KoaApplication {
  /** A listener for Node's requests. */
  callback(): (request: IncomingMessage, response: ServerResponse) => unknown
}

/**
 * Node's server with a Koa application, upgrades included.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function createServer(app: KoaApplication, options: UpgradeOptions = {}): Server {
  const listener = app.callback()
  const server = createHttpServer((request, response) => void listener(request, response))
  attachListener(server, listener, options, { application: app })
  return server
}

/**
 * Runs an application's middlewares for upgrades too, on a server that exists already.
 *
 * @returns a function that detaches it again
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function attachUpgrades(server: UpgradeServer, app: KoaApplication, options: UpgradeOptions = {}): () => void {
  return attachListener(server, app.callback(), options, { application: app })
}
