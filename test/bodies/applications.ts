import { once } from 'node:events'
import { type IncomingMessage, createServer } from 'node:http'
import { type Http2ServerRequest, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { createHandler } from '@canary-release/core/node'
import * as forExpress from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import * as forKoa from '@canary-release/koa'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import Koa from 'koa'
import Koa2 from 'koa2'

export type Request = IncomingMessage | Http2ServerRequest

/** What stands before the canary: done at once where it returns nothing. */
export type Before = (request: Request) => Promise<void> | void

export interface Application {
  readonly port: number
  close(): Promise<void>
}

/** Starts an application with a canary made from `options`, and a middleware before it. */
export type Start = (options: object, before: Before) => Promise<Application>

const SILENT = { info() {}, warn() {}, error() {} }
const sourceOf = (options: object) => ({ logger: SILENT, ...options }) as never

async function listening(server: Server, close: () => Promise<unknown>): Promise<Application> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      await close()
      if ('closeAllConnections' in server && typeof server.closeAllConnections === 'function')
        server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** In the same tick where nothing is waited for. */
function after(waiting: Promise<void> | void, go: () => void): void {
  if (waiting === undefined) go()
  else void waiting.then(go)
}

function expressApplication(create: typeof express): Start {
  return (options, before) => {
    const app = create()
    app.use((request, _response, next) => after(before(request), next))
    const middleware = forExpress.canary(sourceOf(options))
    app.use(middleware)
    const errors: express.ErrorRequestHandler = (error, _request, response, _next) =>
      void response.status(error.status ?? 500).send(`${error.code}: ${error.message}`)
    app.use(errors)
    return listening(forExpress.createServer(app), () => middleware.close(0))
  }
}

function koaApplication(Application: typeof Koa): Start {
  return (options, before) => {
    const app = new Application()
    app.silent = true
    app.use(async (context, next) => {
      try {
        await next()
      } catch (error) {
        const { status, code, message } = error as { status: number; code: string; message: string }
        context.status = status
        context.body = `${code}: ${message}`
      }
    })
    app.use((context, next) => {
      const waiting = before(context.req)
      return waiting === undefined ? next() : waiting.then(next)
    })
    const middleware = forKoa.canary(sourceOf(options))
    app.use(middleware as never)
    return listening(forKoa.createServer(app), () => middleware.close(0))
  }
}

const fastifyApplication: Start = async (options, before) => {
  const app = Fastify({ forceCloseConnections: true })
  app.setErrorHandler((error: Error & { statusCode?: number; code?: string }, _request, reply) =>
    reply.code(error.statusCode ?? 500).send(`${error.code}: ${error.message}`),
  )
  app.addHook('onRequest', (request, _reply, done) => after(before(request.raw), done))
  // An authentication that waits after the body's parser.
  app.addHook('preHandler', () => turns(3))
  await app.register(fastifyCanary, { ...(sourceOf(options) as object), graceMs: 0 } as never)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { port: (app.server.address() as AddressInfo).port, close: () => app.close() }
}

export const APPLICATIONS: Record<string, Start> = {
  'Express 4': expressApplication(express4 as unknown as typeof express),
  'Express 5': expressApplication(express),
  'Koa 2': koaApplication(Koa2 as unknown as typeof Koa),
  'Koa 3': koaApplication(Koa),
  'Fastify 5': fastifyApplication,
  'node:http': (options, before) => {
    const handler = createHandler(sourceOf(options))
    const server = createServer((request, response) => after(before(request), () => handler(request, response)))
    return listening(server, () => handler.close(0))
  },
}

/** Node's own server of HTTP/2, without TLS. */
export const http2Application: Start = (options, before) => {
  const handler = createHandler(sourceOf(options))
  const server = createHttp2Server((request, response) => after(before(request), () => handler(request, response)))
  return listening(server, () => handler.close(0))
}

/** So many turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await new Promise((resolve) => setImmediate(resolve))
}
