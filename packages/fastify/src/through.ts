import { STATUS_CODES } from 'node:http'
import { CanaryError, type ResponseSink } from '@canary-release/core/adapter'
import type { FastifyInstance, FastifyReply, RouteOptions } from 'fastify'

/** Whether forwarded responses go through Fastify's reply; `auto`: where an `onSend` hook would see them. */
export type Through = 'auto' | boolean

/**
 * Says whether responses of an instance's routes go through the reply: known once the application is ready. Made before
 * the routes are.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function throughOf(instance: FastifyInstance, through: Through = 'auto'): () => boolean {
  if (through !== 'auto' && typeof through !== 'boolean')
    throw new CanaryError('ERR_CANARY_OPTION', `through must be "auto", true or false, got ${String(through)}`)
  if (through !== 'auto') return () => through
  const routes: RouteOptions[] = []
  let isThrough = true
  // Plugins such as @fastify/compress put their hooks on each route.
  instance.addHook('onRoute', (route) => void routes.push(route))
  instance.addHook('onReady', (done) => {
    isThrough = routes.some(({ onSend }) => isGiven(onSend)) || hasOnSend(instance)
    done()
  })
  return () => isThrough
}

function isGiven(hooks: unknown): boolean {
  return Array.isArray(hooks) ? hooks.length > 0 : typeof hooks === 'function'
}

/** Fastify keeps an instance's hooks under a private name, and has no public question for them; not found: true. */
export function hasOnSend(instance: object): boolean {
  for (let at: object | null = instance; at !== null; at = Object.getPrototypeOf(at)) {
    const name = Object.getOwnPropertySymbols(at).find(({ description }) => description === 'fastify.hooks')
    if (name === undefined) continue
    const hooks: unknown = Reflect.get(at, name)
    const onSend: unknown = typeof hooks === 'object' && hooks !== null ? Reflect.get(hooks, 'onSend') : undefined
    return !Array.isArray(onSend) || onSend.length > 0
  }
  return true
}

/** More than these `reply.code` does not take. */
const HIGHEST_CODE = 599

/** Sends a response by the reply. Its headers stand on the raw response, where hooks neither see nor change them. */
export function sinkOf(reply: FastifyReply): ResponseSink {
  return {
    send: (status, reason, body) => {
      const { raw } = reply
      moveHeaders(reply)
      reply.code(Math.min(status, HIGHEST_CODE))
      raw.statusCode = status
      // Where it is the usual one, a hook that changes the status gets the reason of that.
      if (reason !== '' && reason !== STATUS_CODES[status]) raw.statusMessage = reason
      reply.send(body)
    },
    hasHeader: (name) => reply.hasHeader(name),
  }
}

function moveHeaders(reply: FastifyReply): void {
  const { raw } = reply
  for (const name of raw.getHeaderNames()) {
    const value = raw.getHeader(name)
    raw.removeHeader(name)
    // Cookies would be added to those that are there.
    reply.removeHeader(name)
    if (value !== undefined) reply.header(name, value)
  }
}
