import { once } from 'node:events'
import { type IncomingMessage, type Server, type ServerResponse, createServer as createNodeServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Release } from '@canary-release/core'
import { attachUpgrades, createHandler, fail } from '@canary-release/core/node'
import * as forExpress from '@canary-release/express'
import { canary as fastifyCanary, canaryDecision, fail as failFastify } from '@canary-release/fastify'
import * as forKoa from '@canary-release/koa'
import bodyparser from 'koa-bodyparser'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import Koa from 'koa'
import Koa2 from 'koa2'
import koaMount from 'koa-mount'

/** What a mount is made from; each framework's own functions and handlers are made by its harness. */
export type Source = Release | object

/** An application to test: what comes before the canary, and where it is mounted. */
export interface AppSpec {
  readonly mounts: readonly { readonly prefix?: string; readonly source: Source }[]
  /** An authentication: what it finds is left where the framework's own leave it; `null`: 401. */
  readonly authenticate?: (
    headers: Record<string, unknown>,
    request: IncomingMessage,
  ) => object | null | Promise<object | null>
  /** Where the authentication leaves it. @default 'user' */
  readonly as?: 'user' | 'auth'
  /** Response headers that a middleware sets before the canary. */
  readonly headers?: Record<string, string | string[]>
  /** Reads the body before the canary, and leaves it parsed; `keeping`: and its bytes in `rawBody`. */
  readonly parse?: boolean | 'keeping'
  /** Only decides (rewrite mode), and answers with what it sees then. */
  readonly rewrites?: boolean
}

export interface App {
  readonly url: string
  readonly release: Release | null
  /** Closes the mounts and leaves the server, where the framework lets it. */
  closeMounts(): Promise<unknown>
  close(): Promise<void>
}

export interface FrameworkHarness {
  readonly start: (spec: AppSpec) => Promise<App>
  /** A handler of the framework that answers with what `answer` says. */
  readonly handler: (answer: () => string | Promise<string>) => unknown
  /** A handler that calls `fail` for its request, and answers 200. */
  readonly failing: (reason: string) => unknown
  /** Mounts close with their application only. */
  readonly closesWhole: boolean
}

const SILENT = { info() {}, warn() {}, error() {} }
const seenAfter = (request: { url?: string | undefined; canary?: unknown }) =>
  JSON.stringify({ url: request.url, decision: request.canary })

async function listening(server: Server, close: () => Promise<unknown>, release: Release | null): Promise<App> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    release,
    closeMounts: close,
    close: async () => {
      await close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function expressHarness(create: typeof express): FrameworkHarness {
  return {
    closesWhole: false,
    async start({ mounts, authenticate, as = 'user', headers = {}, parse, rewrites }) {
      const app = create()
      app.set('env', 'test')
      app.use((request, response, next) => {
        Promise.resolve(authenticate?.(request.headers, request)).then((user) => {
          if (user === null) return void response.sendStatus(401)
          if (user !== undefined) Reflect.set(request, as, user)
          response.set(headers)
          return next()
        }, next)
      })
      const keeps = parse === 'keeping' ? { verify: keepRaw } : {}
      const parsers = [create.json(keeps), create.urlencoded({ extended: true, ...keeps }), create.text(keeps)]
      if (parses(parse)) app.use(...parsers, create.raw(keeps))
      if (parses(parse))
        app.use((request, _response, next) => void (isMultipart(request) ? request.resume().on('end', next) : next()))
      const middlewares = mounts.map(({ prefix = '/', source }) => {
        const middleware = forExpress.canary(withLogger(source) as never)
        app.use(prefix, middleware)
        return middleware
      })
      if (rewrites === true) app.use((request, response) => void response.type('text').send(seenAfter(request)))
      const errors: express.ErrorRequestHandler = (error, _request, response, _next) => {
        response.status(error.status ?? 500).send(`${error.code}: ${error.message}`)
      }
      app.use(errors)
      const close = () => Promise.all(middlewares.map((middleware) => middleware.close(0)))
      return listening(forExpress.createServer(app), close, middlewares[0]?.release ?? null)
    },
    handler: (answer) => async (_request: unknown, response: ServerResponse) => response.end(await answer()),
    failing: (reason) => (request: IncomingMessage, response: ServerResponse) => {
      forExpress.fail(request, reason)
      response.end('failed softly')
    },
  }
}

function koaHarness(Application: typeof Koa, through = false): FrameworkHarness {
  return {
    closesWhole: false,
    async start({ mounts, authenticate, as = 'user', headers = {}, parse, rewrites }) {
      const app = new Application()
      app.silent = true
      app.use(async (context, next) => {
        try {
          await next()
        } catch (error) {
          const { status = 500, code, message } = error as { status?: number; code?: string; message: string }
          context.status = status
          context.body = `${code}: ${message}`
        }
      })
      app.use(async (context, next) => {
        const user = await authenticate?.(context.headers, context.req)
        if (user === null) return void context.throw(401)
        if (user !== undefined) context.state[as] = user
        context.set(headers)
        return next()
      })
      if (parses(parse)) {
        const parser = bodyparser({ enableTypes: ['json', 'form', 'text'], rawFor: [] } as never)
        app.use((context, next) => (isOctets(context.req) ? readKoa(context, next) : parser(context as never, next)))
        app.use(async (context, next) => {
          if (isMultipart(context.req)) for await (const _ of context.req);
          // It always keeps the text.
          if (parse !== 'keeping') Reflect.deleteProperty(context.request, 'rawBody')
          return next()
        })
      }
      const middlewares = mounts.map(({ prefix = '/', source }) => {
        const middleware = forKoa.canary(withLogger(source) as never, { through })
        app.use(koaMount(prefix, middleware as never))
        return middleware
      })
      if (rewrites === true) {
        app.use((context) => {
          context.body = seenAfter({ url: context.url, canary: context.state['canary'] })
        })
      }
      const close = () => Promise.all(middlewares.map((middleware) => middleware.close(0)))
      return listening(forKoa.createServer(app), close, middlewares[0]?.release ?? null)
    },
    handler: (answer) => async (context: { body: unknown }) => {
      context.body = await answer()
    },
    failing: (reason) => (context: Koa.Context) => {
      forKoa.fail(context, reason)
      context.body = 'failed softly'
    },
  }
}

async function readKoa(
  context: { req: IncomingMessage; request: object },
  next: () => Promise<unknown>,
): Promise<unknown> {
  Reflect.set(context.request, 'body', await collect(context.req))
  return next()
}

const fastifyHarness = (through?: boolean): FrameworkHarness => ({
  closesWhole: true,
  async start({ mounts, authenticate, as = 'user', headers = {}, parse, rewrites }) {
    const app = Fastify({ forceCloseConnections: true })
    app.setErrorHandler((error: Error & { statusCode?: number; code?: string }, _request, reply) =>
      reply.code(error.statusCode ?? 500).send(`${error.code}: ${error.message}`),
    )
    // Added before and after the plugin: both have run when it forwards.
    app.addHook('onRequest', async (request, reply) => {
      const user = await authenticate?.(request.headers, request.raw)
      if (user === null) return reply.code(401).send('no')
      if (user !== undefined) Reflect.set(request, as, user)
      return undefined
    })
    for (const { prefix, source } of mounts) {
      const options = 'decide' in source ? { release: source as Release } : (withLogger(source) as never)
      await app.register(rewrites === true ? canaryDecision : fastifyCanary, {
        ...(prefix === undefined ? {} : { prefix }),
        ...(through === undefined ? {} : { through }),
        ...options,
      })
    }
    if (rewrites === true) app.get('/*', (request) => seenAfter({ url: request.raw.url, canary: request.canary }))
    app.addHook('preHandler', async (request, reply) => {
      reply.headers(headers)
      if (!parses(parse)) return
      const bytes = await collect(request.raw)
      Reflect.set(request, 'body', parsed(request.raw, bytes))
      if (parse === 'keeping') Reflect.set(request, 'rawBody', bytes)
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    const close = () => app.close()
    return { url: `http://127.0.0.1:${port}`, release: null, closeMounts: close, close }
  },
  handler: (answer) => async () => answer(),
  failing: (reason) => (request: never) => {
    failFastify(request, reason)
    return Promise.resolve('failed softly')
  },
})

const nodeHarness: FrameworkHarness = {
  closesWhole: false,
  async start({ mounts, authenticate, as = 'user', headers = {}, parse, rewrites }) {
    const handlers = mounts.map(({ prefix = '', source }) => ({
      prefix,
      handle: createHandler(withLogger(source) as never),
    }))
    const listener = async (request: IncomingMessage, response: ServerResponse) => {
      const user = await authenticate?.(request.headers, request)
      if (user === null) return void response.writeHead(401).end()
      if (user !== undefined) Reflect.set(request, as, user)
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
      if (parses(parse)) {
        const bytes = await collect(request)
        Reflect.set(request, 'body', parsed(request, bytes))
        if (parse === 'keeping') Reflect.set(request, 'rawBody', bytes)
      }
      const url = request.url ?? ''
      const under = handlers.filter(({ prefix }) => url.startsWith(prefix))
      if (under.length === 0) return void response.writeHead(404).end()
      const [{ prefix = '' } = {}] = under
      request.url = url.slice(prefix.length) || '/'
      const call = (index: number): unknown => {
        const found = under[index]
        if (found !== undefined)
          return found.handle(request, response, (error) => (error === undefined ? call(index + 1) : answer(error)))
        return rewrites === true ? response.end(seenAfter(request)) : response.writeHead(404).end()
      }
      const answer = (error: unknown) => {
        const { status = 500, code, message } = error as { status?: number; code?: string; message: string }
        response.writeHead(status).end(`${code}: ${message}`)
      }
      return void call(0)
    }
    const server = createNodeServer((request, response) => void listener(request, response))
    attachUpgrades(server, listener)
    const close = () => Promise.all(handlers.map(({ handle }) => handle.close(0)))
    return listening(server, close, handlers[0]?.handle.release ?? null)
  },
  handler: (answer) => async (_request: unknown, response: ServerResponse) => response.end(await answer()),
  failing: (reason) => (request: IncomingMessage, response: ServerResponse) => {
    fail(request, reason)
    response.end('failed softly')
  },
}

function withLogger(source: Source): Source {
  return 'decide' in source ? source : { logger: SILENT, ...source }
}

function isMultipart({ headers }: IncomingMessage): boolean {
  return headers['content-type']?.startsWith('multipart/') === true
}

function isOctets({ headers }: IncomingMessage): boolean {
  return headers['content-type'] === 'application/octet-stream'
}

async function collect(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function parses(parse: AppSpec['parse']): boolean {
  return parse !== undefined && parse !== false
}

function keepRaw(request: IncomingMessage, _response: ServerResponse, bytes: Buffer): void {
  Reflect.set(request, 'rawBody', bytes)
}

/** As a body parser leaves it. */
function parsed({ headers }: IncomingMessage, body: Buffer): unknown {
  const type = headers['content-type'] ?? ''
  if (type.startsWith('application/json')) return JSON.parse(body.toString() || '{}')
  if (type.startsWith('application/x-www-form-urlencoded'))
    return Object.fromEntries(new URLSearchParams(body.toString()))
  if (type.startsWith('text/')) return body.toString()
  return type === 'application/octet-stream' ? body : undefined
}

export const FRAMEWORKS: Record<string, FrameworkHarness> = {
  'Express 4': expressHarness(express4 as unknown as typeof express),
  'Express 5': expressHarness(express),
  'Koa 2': koaHarness(Koa2 as unknown as typeof Koa),
  'Koa 3': koaHarness(Koa),
  'Fastify 5': fastifyHarness(),
  'node:http': nodeHarness,
}

/** The frameworks that can send forwarded responses themselves, doing so. */
export const THROUGH: Record<string, FrameworkHarness> = {
  'Koa 2': koaHarness(Koa2 as unknown as typeof Koa, true),
  'Koa 3': koaHarness(Koa, true),
  'Fastify 5': fastifyHarness(true),
}
