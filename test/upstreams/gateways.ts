import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type RequestListener, type Server, createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { ReleaseOptions, UpstreamLocation } from '@canary-release/core'
import { attachUpgrades, createHandler } from '@canary-release/core/node'
import {
  attachUpgrades as attachExpress,
  canary as expressCanary,
  createServer as createExpressServer,
} from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { attachUpgrades as attachKoa, canary as koaCanary, createServer as createKoaServer } from '@canary-release/koa'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'

/** A certificate for `upstream.test`, the CA that signed it, and a client's. */
export const pem = (name: 'ca' | 'server' | 'server-key' | 'client' | 'client-key'): Buffer =>
  readFileSync(new URL(`../../packages/core/test/tls/${name}.pem`, import.meta.url))

export interface Gateway {
  readonly server: Server
  readonly port: number
  /** Closes what the canary has open, or the whole application where it closes with that. */
  closeCanary(graceMs: number): Promise<unknown>
  close(): Promise<void>
}

export interface GatewayOptions extends Omit<
  ReleaseOptions,
  'consumer' | 'groups' | 'name' | 'percentage' | 'upstreams'
> {
  readonly upstreams: { readonly A: string | UpstreamLocation; readonly B: string | UpstreamLocation }
}

export interface ServerOptions {
  /** Serves TLS, as `upstream.test`. */
  readonly secure?: boolean
  /** Milliseconds that running requests get, where the application closes the canary. */
  readonly graceMs?: number
}

const SILENT = { info() {}, warn() {}, error() {} }

const optionsOf = (options: GatewayOptions) =>
  ({ name: 'upstreams', percentage: 50, override: { header: 'x-canary' }, logger: SILENT, ...options }) as const

const serve = (listener: RequestListener, secure: boolean): Server =>
  secure ? createSecureServer({ cert: pem('server'), key: pem('server-key') }, listener) : createServer(listener)

/** Each adapter in an application whose error handling answers with the code of what went wrong. */
export const GATEWAYS: Record<string, (options: GatewayOptions, server?: ServerOptions) => Promise<Gateway>> = {
  async express(options, { secure = false } = {}) {
    const app = express()
    const middleware = expressCanary(optionsOf(options))
    app.use(middleware)
    const answer: express.ErrorRequestHandler = (error, _request, response, _next) =>
      void response.status(error.status ?? 500).send(`${error.code}: ${error.message}`)
    app.use(answer)
    if (!secure) return listening(createExpressServer(app), middleware.close)
    const server = serve(app, true)
    attachExpress(server, app)
    return listening(server, middleware.close)
  },
  async koa(options, { secure = false } = {}) {
    const app = new Koa()
    const middleware = koaCanary(optionsOf(options))
    app.silent = true
    app.use(async (context, next) => {
      try {
        await next()
      } catch (error) {
        if (!isCoded(error)) throw error
        context.status = error.status
        context.body = `${error.code}: ${error.message}`
      }
    })
    app.use(middleware)
    if (!secure) return listening(createKoaServer(app), middleware.close)
    const server = serve(app.callback(), true)
    attachKoa(server, app)
    return listening(server, middleware.close)
  },
  async fastify(options, { secure = false, graceMs } = {}) {
    const app = Fastify({ serverFactory: (listener) => serve(listener, secure) })
    app.setErrorHandler((error, _request, reply) =>
      isCoded(error) ? reply.code(error.status).send(`${error.code}: ${error.message}`) : reply.send(error),
    )
    await app.register(fastifyCanary, { ...optionsOf(options), graceMs })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { server } = app
    return {
      server,
      port: portOf(server),
      closeCanary: () => app.close(),
      close: async () => {
        server.closeAllConnections()
        await app.close()
      },
    }
  },
  async node(options, { secure = false } = {}) {
    const handler = createHandler(optionsOf(options))
    const listener: RequestListener = (request, response) =>
      void handler(request, response, (error) => {
        if (!isCoded(error)) return void response.writeHead(500).end()
        response.writeHead(error.status).end(`${error.code}: ${error.message}`)
      })
    const server = serve(listener, secure)
    attachUpgrades(server, listener)
    return listening(server, handler.close)
  },
}

async function listening(server: Server, closeCanary: Gateway['closeCanary']): Promise<Gateway> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    server,
    port: portOf(server),
    closeCanary,
    close: async () => {
      await closeCanary(0)
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

function isCoded(error: unknown): error is Error & { status: number; code: string } {
  return error instanceof Error && 'status' in error && 'code' in error
}
