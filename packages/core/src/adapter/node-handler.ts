import type { IncomingMessage, ServerResponse } from 'node:http'
import { type MountHandle, createMount, handlerWith } from './mount.js'
import { type NodeRequest, type NodeResponse, nodeFramework } from './node-framework.js'
import type { CanarySource } from './source.js'
import { type UpgradeServer, attachUpgrades as attachApplication } from './upgrades/attach.js'
import type { UpgradeOptions } from './upgrades/claims.js'
import { CanaryError } from '../errors.js'
import { disown, isPromise, thrown } from '../hook.js'

export type { UpgradeServer } from './upgrades/attach.js'
export type { UpgradeClaims, UpgradeOptions } from './upgrades/claims.js'
export type { NodeRequest, NodeResponse } from './node-framework.js'
/** A handler of Node's requests, or a middleware if it is called with `next`. */
export type NodeHandler = (request: NodeRequest, response: NodeResponse, next?: (error?: unknown) => void) => unknown

/** A listener for `http.createServer` (and a middleware where one calls it with `next`). */
export interface CanaryHandler extends NodeHandler, MountHandle {}

/**
 * A handler for bare `node:http`, `node:https` and `node:http2`. Without `next` it answers errors itself, as JSON with
 * their code and public message.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function createHandler(source: CanarySource<NodeRequest, NodeHandler>): CanaryHandler {
  const mount = createMount(source, nodeFramework)

  function handle(request: NodeRequest, response: NodeResponse, next?: (error?: unknown) => void): unknown {
    const fail = (error: unknown) => (next === undefined ? answerError(response, error) : next(error))
    const runHandler = (handler: NodeHandler) => {
      try {
        const result = handler(request, response, next)
        if (isPromise(result)) disown(result, (error) => fail(thrown(error)))
        return result
      } catch (error) {
        return fail(thrown(error))
      }
    }
    try {
      const routed = mount.route({ request, response })
      if (routed.action === 'next') return routed.run(() => (next === undefined ? answerNothing(response) : next()))
      if (routed.action === 'handle') return routed.run(() => runHandler(routed.handler))
      return routed.forward({
        done: (error) => {
          if (error !== null) fail(error)
        },
        handle: runHandler,
      })
    } catch (error) {
      return fail(error)
    }
  }

  return handlerWith(handle, mount)
}

/**
 * Runs a handler, or whatever listens for a server's requests, for its upgrades too.
 *
 * @returns a function that detaches it again
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function attachUpgrades(
  server: UpgradeServer,
  listener: (request: IncomingMessage, response: ServerResponse) => unknown,
  options: UpgradeOptions = {},
): () => void {
  return attachApplication(server, listener, options)
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
