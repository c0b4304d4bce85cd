import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { canary as expressCanary, createServer as createExpressServer } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary } from '@canary-release/koa'
import express from 'express'
import Fastify, { type FastifyServerOptions } from 'fastify'
import Koa from 'koa'
import mount from 'koa-mount'
import { type Gateway, type GatewayOptions, serving } from './gateways.js'

type Start = (options: GatewayOptions) => Promise<Gateway>

/** A canary on `/orders` of each framework, and on what Fastify can make of a prefix. */
export const PREFIXED: Record<string, Start> = {
  async express(options) {
    const app = express()
    app.set('env', 'test')
    const middleware = expressCanary(options)
    app.use('/orders', middleware)
    return serving(createExpressServer(app), middleware.close)
  },
  async koa(options) {
    const app = new Koa()
    app.silent = true
    const middleware = koaCanary(options)
    app.use(mount('/orders', middleware))
    return serving(createServer(app.callback()), middleware.close)
  },
  fastify: onFastify('/orders'),
  'fastify with a parameter as its prefix': onFastify('/:tenant'),
  'fastify that joins slashes': onFastify('/orders', { routerOptions: { ignoreDuplicateSlashes: true } }),
  // Its option for all of the router; the types of `routerOptions` do not know it.
  'fastify that ends paths at semicolons': onFastify('/orders', { useSemicolonDelimiter: true }),
}

function onFastify(prefix: string, settings: FastifyServerOptions = {}): Start {
  return async (options) => {
    const app = Fastify({ ...settings, forceCloseConnections: true })
    await app.register(fastifyCanary, { ...options, prefix })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { port: (app.server.address() as AddressInfo).port, close: () => app.close() }
  }
}
