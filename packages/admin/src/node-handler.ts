import { RequestError, getRequestListener } from '@hono/node-server'
import { type AppOptions, answerTo, createApp } from './app.js'
import type { NodeRequest, NodeResponse } from './node-request.js'
import { type AdminOptions, compileOptions } from './options.js'
import { Refusal } from './refusal.js'

/** Answers one request whole; never rejects. */
export type AdminHandler = (request: NodeRequest, response: NodeResponse) => Promise<void>

/**
 * The Admin API as a handler of Node's requests: `app.use('/admin', adminHandler({ registry, token }))` in Express; in
 * Koa with `ctx.respond = false`, in Fastify after `reply.hijack()`, there with `basePath`.
 *
 * It answers every request that it gets, 404 included. Behind body parsers it takes what they left in `rawBody` or
 * `body` of the request that it is given (Koa and Fastify leave it on their own objects: hand it on).
 *
 * @throws {CanaryError} ERR_CANARY_OPTION, also where neither `token` nor `authenticate` is given
 */
export function adminHandler(options: AdminOptions): AdminHandler {
  return handlerOf(compileOptions(options, 'mounted'))
}

export function handlerOf(compiled: AppOptions): AdminHandler {
  const app = createApp(compiled)
  const { logger } = compiled
  return getRequestListener((request, { incoming, outgoing }) => app.fetch(request, { incoming, outgoing }), {
    overrideGlobalObjects: false,
    // A URL or Host that is none never reaches the app; what is thrown there and is no Error comes back out of it.
    errorHandler: (error) => answerTo(error instanceof RequestError ? new Refusal(400, 'Bad request') : error, logger),
  })
}
