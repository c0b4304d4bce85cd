import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { createSecureServer } from 'node:http2'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, type Socket, connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Release } from '@canary-release/core'
import { type UpgradeOptions, type UpgradeServer, attachUpgrades, createHandler } from '@canary-release/core/node'
import * as forExpress from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import * as forKoa from '@canary-release/koa'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import Koa from 'koa'
import Koa2 from 'koa2'

type Listener = (request: IncomingMessage, response: ServerResponse) => void
/** Runs before the canary, for each request. */
export type Before = (request: IncomingMessage) => Promise<void>

/** A canary in an application that listens, on one kind of server. */
export interface Gateway {
  readonly server: Server
  readonly port: number
  /** Opens a connection as a client of it would. */
  connect(): Socket
  close(): Promise<void>
}

const pem = (name: string) => readFileSync(new URL(`../../packages/core/test/tls/${name}.pem`, import.meta.url), 'utf8')
const tls = { cert: pem('server'), key: pem('server-key') }

/** Kinds of servers, as node makes them of a listener. */
const SERVERS: Record<ServerKind, (listener: Listener) => UpgradeServer> = {
  plain: (listener) => createServer(listener),
  TLS: (listener) => createTlsServer(tls, listener),
  'HTTP/2 that allows HTTP/1': (listener) => createSecureServer({ ...tls, allowHTTP1: true }, listener as never),
}
const FASTIFY: Record<ServerKind, object> = {
  plain: {},
  TLS: { https: tls },
  'HTTP/2 that allows HTTP/1': { http2: true, https: { ...tls, allowHTTP1: true } },
}
export type ServerKind = 'plain' | 'TLS' | 'HTTP/2 that allows HTTP/1'
export const SERVER_KINDS: readonly ServerKind[] = ['plain', 'TLS', 'HTTP/2 that allows HTTP/1']

async function listening(
  server: UpgradeServer,
  kind: ServerKind,
  closeMount: () => Promise<unknown>,
): Promise<Gateway> {
  const sockets = new Set<Socket>()
  server.on(kind === 'plain' ? 'connection' : 'secureConnection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  if (server.address() === null) await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  return {
    server: server as Server,
    port,
    connect: () => connectTo(kind, port),
    async close() {
      const closed = closeMount()
      for (const socket of sockets) socket.destroy()
      await closed
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    },
  }
}

function connectTo(kind: ServerKind, port: number): Socket {
  const at = { port, host: '127.0.0.1', allowHalfOpen: true }
  const socket = kind === 'plain' ? connect(at) : connectTls({ ...at, ca: pem('ca'), servername: 'upstream.test' })
  // A connection that is cut may be reset.
  return socket.on('error', () => {})
}

interface Adapter {
  (release: Release, kind: ServerKind, before: Before, options: UpgradeOptions): Promise<Gateway>
}

function onExpress(create: typeof express): Adapter {
  return async (release, kind, before, options) => {
    const app = create()
    app.set('env', 'test')
    app.use((request, _response, next) => void before(request).then(() => next(), next))
    const middleware = forExpress.canary(release)
    app.use(middleware)
    app.use(((error, _request, response, _next) => {
      response.status(error.status ?? 500).send(String(error.code))
    }) as express.ErrorRequestHandler)
    if (kind === 'plain') return listening(forExpress.createServer(app, options), kind, () => middleware.close(0))
    const server = SERVERS[kind](app)
    forExpress.attachUpgrades(server, app, options)
    return listening(server, kind, () => middleware.close(0))
  }
}

function onKoa(Application: typeof Koa): Adapter {
  return async (release, kind, before, options) => {
    const app = new Application()
    app.silent = true
    const middleware = forKoa.canary(release)
    app.use(async (context, next) => {
      await before(context.req)
      return next()
    })
    app.use(middleware)
    if (kind === 'plain') return listening(forKoa.createServer(app, options), kind, () => middleware.close(0))
    const server = SERVERS[kind](app.callback())
    forKoa.attachUpgrades(server, app, options)
    return listening(server, kind, () => middleware.close(0))
  }
}

export const ADAPTERS: Record<string, Adapter> = {
  'Express 4': onExpress(express4 as unknown as typeof express),
  'Express 5': onExpress(express),
  'Koa 2': onKoa(Koa2 as unknown as typeof Koa),
  'Koa 3': onKoa(Koa),
  async 'Fastify 5'(release, kind, before) {
    const app = Fastify({ ...FASTIFY[kind], forceCloseConnections: true })
    app.addHook('onRequest', (request) => before(request.raw))
    await app.register(fastifyCanary, { release, graceMs: 0 })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return listening(app.server as UpgradeServer, kind, () => app.close())
  },
  async 'node:http'(release, kind, before, options) {
    const handler = createHandler(release)
    const listener: Listener = (request, response) => void before(request).then(() => handler(request, response))
    const server = SERVERS[kind](listener)
    attachUpgrades(server, listener, options)
    return listening(server, kind, () => handler.close(0))
  },
}
