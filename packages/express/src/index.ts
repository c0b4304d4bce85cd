import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type CanarySource,
  type Framework,
  type MountHandle,
  type Routed,
  type Trust,
  createMount,
  handlerWith,
  disown,
  isPromise,
  nodeFramework,
  thrown,
} from '@canary-release/core/adapter'
import type { Decision } from '@canary-release/core'
import type { Request, RequestHandler } from 'express'

export type * from '@canary-release/core'
export { fail } from '@canary-release/core/adapter'
export type {
  CanarySource,
  MountHandle,
  RegistrySource,
  UpgradeClaims,
  UpgradeOptions,
  UpgradeServer,
} from '@canary-release/core/adapter'
export { type ExpressApplication, attachUpgrades, createServer } from './server.js'

declare global {
  // The place that Express has for what middlewares add to requests.
  namespace Express {
    interface Request {
      /** What the canary decided for it. */
      canary?: Decision
    }
  }
}

/** What is used of an Express 4 or 5 request. */
interface ExpressRequest extends IncomingMessage {
  canary?: Decision
  app?: { get(name: string): unknown }
  res?: ServerResponse
  originalUrl?: string
  user?: unknown
  auth?: unknown
  body?: unknown
}
/** Calls the next middleware, or the error handlers. */
export type ExpressNext = (error?: unknown) => void

/** Express middleware. */
export interface CanaryMiddleware extends MountHandle {
  (request: IncomingMessage, response: ServerResponse, next: ExpressNext): void
}

interface Exchange {
  readonly request: ExpressRequest
  readonly response: ServerResponse
}

const framework: Framework<Exchange, Request> = {
  ...nodeFramework,
  // One and the same object; the rest of this file wants nothing of Express's own types.
  request: ({ request }) => request as unknown as Request,
  // Without `trust proxy` it is false.
  trustConfigured: ({ request }) => Boolean(request.app?.get('trust proxy')),
  trust: ({ request }) => trustOf(request),
}

const TRUST_NOBODY: Trust = () => false

/** What `app.set('trust proxy', …)` was compiled to. */
function trustOf(request: ExpressRequest): Trust {
  const trust = request.app?.get('trust proxy fn')
  return isTrust(trust) ? trust : TRUST_NOBODY
}

function isTrust(value: unknown): value is Trust {
  return typeof value === 'function'
}

/**
 * Express middleware that sends each request to its release's upstream.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function canary(source: CanarySource<Request, RequestHandler>): CanaryMiddleware {
  const mount = createMount<Exchange, Request, RequestHandler>(source, framework)

  function middleware(request: ExpressRequest, response: ServerResponse, next: ExpressNext): void {
    const call = (handler: RequestHandler) => callHandler(handler, request, response, next)
    let routed: Routed<RequestHandler>
    try {
      routed = mount.route({ request, response })
    } catch (error) {
      return next(error)
    }
    if (routed.action === 'next') return routed.run(() => next())
    if (routed.action === 'handle') return routed.run(() => call(routed.handler))
    const done = (error: Error | null) => {
      if (error !== null) next(error)
    }
    return routed.forward({ done, handle: call })
  }

  return handlerWith(middleware, mount)
}

/** As Express 5 does it: what a handler throws, or rejects with, is the application's error. */
function callHandler(handler: RequestHandler, request: unknown, response: unknown, next: ExpressNext): void {
  try {
    const result: unknown = Reflect.apply(handler, undefined, [request, response, next])
    if (isPromise(result)) disown(result, (error) => next(thrown(error)))
  } catch (error) {
    next(thrown(error))
  }
}
