import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Framework } from './adapter/framework.js'
import { failRequest } from './adapter/memory.js'
import { createMount } from './adapter/mount.js'
import type { CanarySource } from './adapter/source.js'
import type { Decision } from './decision/decision.js'
import { CanaryError } from './errors.js'
import type { Release } from './release/release.js'

export { type AttachOptions, attachUpgrades } from './adapter/upgrades.js'

/** A request of `node:http` or of `node:http2`'s compatibility API. */
export type NodeRequest = (IncomingMessage | Http2ServerRequest) & {
  /** What was decided for it. */
  canary?: Decision
  user?: unknown
  auth?: unknown
  body?: unknown
}
export type NodeResponse = ServerResponse | Http2ServerResponse
export type NodeHandler = (request: NodeRequest, response: NodeResponse, next?: (error?: unknown) => void) => unknown

/** A listener for `http.createServer` (and a middleware where one calls it with `next`). */
export interface CanaryHandler extends NodeHandler {
  /** `null` on a registry. */
  readonly release: Release | null
  /** Counts a request as failed although its status does not say so. */
  readonly fail: (request: NodeRequest, reason: string) => void
  /** Lets running requests end within `graceMs`. @default 10000 */
  readonly close: (graceMs?: number) => Promise<void>
}

interface Exchange {
  readonly request: NodeRequest
  readonly response: NodeResponse
}

const framework: Framework<Exchange, NodeRequest> = {
  raw: ({ request }) => request,
  response: ({ response }) => response,
  request: ({ request }) => request,
  user: ({ request }) => request.user ?? request.auth,
  path: ({ request }) => request.url ?? '/',
  body: ({ request }) => request.body,
  decided: ({ request }, decision) => {
    request.canary = decision
  },
  rewrite: ({ request }, path) => {
    request.url = path
  },
  trust: null,
  address: null,
}

/**
 * A handler for bare `node:http`, `node:https` and `node:http2`. Without `next` it answers errors itself, as JSON with
 * their code and public message.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function createHandler(source: CanarySource<NodeRequest, NodeHandler>): CanaryHandler {
  const mount = createMount<Exchange, NodeRequest, NodeHandler>(source, framework)

  function handle(request: NodeRequest, response: NodeResponse, next?: (error?: unknown) => void): unknown {
    const fail = (error: unknown) => (next === undefined ? answerError(response, error) : next(error))
    const runHandler = (handler: NodeHandler) => {
      try {
        const result = handler(request, response, next)
        if (result instanceof Promise) result.catch(fail)
        return result
      } catch (error) {
        return fail(error)
      }
    }
    try {
      const routed = mount.route({ request, response })
      if (routed.action === 'next') return routed.run(() => (next === undefined ? answerNothing(response) : next()))
      if (routed.action === 'handle') return routed.run(() => runHandler(routed.handler))
      return mount.forward(routed, {
        done: (error) => {
          if (error !== null) fail(error)
        },
        handle: runHandler,
      })
    } catch (error) {
      return fail(error)
    }
  }

  return Object.assign(handle, { release: mount.release, close: mount.close, fail: failRequest })
}

function answerError(response: NodeResponse, error: unknown): void {
  const known = error instanceof CanaryError ? error : null
  answer(response, known?.status ?? 500, {
    code: known?.code ?? 'ERR_INTERNAL',
    message: known?.message ?? 'internal error',
  })
}

function answerNothing(response: NodeResponse): void {
  answer(response, 404, { code: 'ERR_NOT_FOUND', message: 'nothing handles this request' })
}

function answer(response: NodeResponse, status: number, body: { code: string; message: string }): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  response.statusCode = status
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify(body)}\n`)
}
