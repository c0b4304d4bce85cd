import { type IncomingMessage, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from '@canary-release/core/registry'
import { createHandler } from '@canary-release/core/node'
import { canary as expressCanary } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary } from '@canary-release/koa'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import Koa from 'koa'
import { type Gateway, type GatewayOptions, serving } from './gateways.js'

export interface Hostage {
  /** Closes the mount and leaves the server running; `null` where the framework closes both at once. */
  readonly closeMount: (() => Promise<unknown>) | null
}

export type Source = (GatewayOptions & { consumer?: () => string }) | { registry: Registry; service: string }

/** Reads a request's body before the canary sees it. */
async function taken(request: IncomingMessage): Promise<void> {
  if (request.headers['content-type'] !== 'multipart/form-data') return
  request.resume()
  await new Promise((resolve) => request.on('end', resolve))
}

/** Each framework as it comes: nobody handles its errors, and `NODE_ENV` is whatever it is when this is called. */
export const DEFAULT_PAGES: Record<string, (source: Source) => Promise<Gateway & Hostage>> = {
  express: (source) => onExpress(express(), source),
  'express 4': (source) => onExpress(express4(), source),
  async koa(source) {
    const app = new Koa()
    app.silent = true
    const middleware = koaCanary(source)
    app.use(async (context, next) => {
      await taken(context.req)
      await next()
    })
    app.use(middleware)
    const gateway = await serving(createServer(app.callback()), middleware.close)
    return { ...gateway, closeMount: () => middleware.close(0) }
  },
  async fastify(source) {
    const app = Fastify({ forceCloseConnections: true })
    app.addHook('onRequest', (request) => taken(request.raw))
    await app.register(fastifyCanary, source)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { port: (app.server.address() as AddressInfo).port, close: () => app.close(), closeMount: null }
  },
  async node(source) {
    const handler = createHandler(source)
    const server = createServer((request, response) => void taken(request).then(() => handler(request, response)))
    return { ...(await serving(server, handler.close)), closeMount: () => handler.close(0) }
  },
}

async function onExpress(app: ReturnType<typeof express>, source: Source): Promise<Gateway & Hostage> {
  const middleware = expressCanary(source)
  app.use((request, _response, next) => void taken(request).then(() => next()))
  app.use(middleware)
  return { ...(await serving(createServer(app), middleware.close)), closeMount: () => middleware.close(0) }
}
