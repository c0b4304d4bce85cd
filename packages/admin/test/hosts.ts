import { once } from 'node:events'
import { type RequestListener, type Server, createServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type AdminOptions, adminHandler } from '@canary-release/admin'
import express from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import Koa from 'koa'
import bodyParser from 'koa-bodyparser'
import mount from 'koa-mount'
import Koa2 from 'koa2'

/** An application that has the Admin API at `/admin`, and a page of its own at `/`. */
export interface Host {
  readonly name: string
  /** True where a body parser of the application runs first. */
  readonly parses: boolean
  open(options: AdminOptions): Promise<{ readonly url: string; close(): Promise<unknown> }>
}

async function listening(server: Server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A server that listens has an address with a port.
  const { port } = server.address() as AddressInfo
  const close = () => new Promise((resolve) => server.close(resolve))
  return { url: `http://127.0.0.1:${port}`, close }
}

const onNode = (listener: RequestListener) => listening(createServer(listener))

/** Larger than the Admin API's own limit, which is what the tests look for. */
const LIMIT = 8 * 1024 * 1024

/** Express with what runs before the Admin API. */
function expressHost(name: string, create: typeof express, ...parsers: readonly express.RequestHandler[]): Host {
  return {
    name,
    parses: parsers.length > 0,
    open(options) {
      const app = create()
      for (const parser of parsers) app.use(parser)
      app.use('/admin', adminHandler(options))
      app.get('/', (_request, response) => void response.send('own page'))
      return onNode(app)
    },
  }
}

function expressHosts(name: string, create: typeof express): readonly Host[] {
  const [limit, type] = [LIMIT, 'application/x-www-form-urlencoded']
  const { json, raw, text, urlencoded } = create
  return [
    expressHost(name, create),
    expressHost(`${name} behind its parsers`, create, json({ limit }), urlencoded({ extended: true, limit })),
    expressHost(`${name} behind plain parsers`, create, json({ limit }), urlencoded({ extended: false, limit })),
    expressHost(
      `${name} behind parsers that leave bytes`,
      create,
      raw({ type: 'application/json', limit }),
      text({ type, limit }),
    ),
  ]
}

function koaHosts(name: string, Create: typeof Koa): readonly Host[] {
  return [
    {
      name: `${name}, by basePath`,
      parses: false,
      open(options) {
        const app = new Create()
        const admin = adminHandler({ ...options, basePath: '/admin' })
        app.use(async (context, next) => {
          if (!/^\/admin(?:\/|$)/.test(context.path)) return next()
          context.respond = false
          return admin(context.req, context.res)
        })
        app.use((context) => void (context.body = 'own page'))
        return onNode(app.callback())
      },
    },
    {
      name: `${name} with koa-mount, behind koa-bodyparser`,
      parses: true,
      open(options) {
        const app = new Create()
        const admin = adminHandler({ ...options, basePath: '/admin' })
        app.use(bodyParser({ jsonLimit: `${LIMIT}`, formLimit: `${LIMIT}` }))
        app.use(
          mount('/admin', async (context: Koa.Context) => {
            context.respond = false
            const { body } = context.request
            await admin(Object.assign(context.req, { body }), context.res)
          }),
        )
        app.use((context) => void (context.body = 'own page'))
        return onNode(app.callback())
      },
    },
  ]
}

const FASTIFY: readonly Host[] = [
  {
    name: 'Fastify, in a scope without parsers',
    parses: false,
    async open(options) {
      const app = fastify({ bodyLimit: LIMIT })
      const admin = adminHandler({ ...options, basePath: '/admin' })
      await app.register(async (scope) => {
        scope.removeAllContentTypeParsers()
        scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
        for (const path of ['/admin', '/admin/*']) {
          scope.all(path, (request, reply) => {
            reply.hijack()
            return admin(request.raw, reply.raw)
          })
        }
      })
      app.get('/', async () => 'own page')
      return { url: await app.listen({ host: '127.0.0.1', port: 0 }), close: () => app.close() }
    },
  },
  {
    name: 'Fastify, behind its parsers',
    parses: true,
    async open(options) {
      const app = fastify({ bodyLimit: LIMIT })
      const admin = adminHandler({ ...options, basePath: '/admin' })
      app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
        done(null, body),
      )
      for (const path of ['/admin', '/admin/*']) {
        app.all(path, (request, reply) => {
          reply.hijack()
          return admin(Object.assign(request.raw, { body: request.body }), reply.raw)
        })
      }
      app.get('/', async () => 'own page')
      return { url: await app.listen({ host: '127.0.0.1', port: 0 }), close: () => app.close() }
    },
  },
]

const NODE: Host = {
  name: 'node:http',
  parses: false,
  open(options) {
    const admin = adminHandler({ ...options, basePath: '/admin/' })
    return onNode((request, response) => {
      if (request.url?.startsWith('/admin') === true) void admin(request, response)
      else response.end('own page')
    })
  },
}

export const HOSTS: readonly Host[] = [
  NODE,
  ...expressHosts('Express 5', express),
  ...expressHosts('Express 4', express4),
  ...koaHosts('Koa 3', Koa),
  ...koaHosts('Koa 2', Koa2),
  ...FASTIFY,
]

/** The Admin API on HTTP/2 without TLS. */
export async function onHttp2(options: AdminOptions) {
  const handler = adminHandler(options)
  const server = createHttp2Server((request, response) => void handler(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, close: () => new Promise((resolve) => server.close(resolve)) }
}
