import { createRequire } from 'node:module'
import type { IncomingMessage, RequestListener, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { ExpressInstrumentation } from '@opentelemetry/instrumentation-express'
import FastifyInstrumentation from '@opentelemetry/instrumentation-fastify'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { KoaInstrumentation } from '@opentelemetry/instrumentation-koa'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'

// A program of its own: `gateway.js <framework> <forward or rewrite> <upstream>`. Instrumentations patch what is loaded
// after them. It tells its parent of the port, and of each span as it begins.

/** A span that has begun. */
export interface Begun {
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
}

const [framework, mode, upstream = ''] = process.argv.slice(2)
const say = (message: { port: number } | { span: Begun }) => process.send?.(message)

new NodeTracerProvider({
  spanProcessors: [
    {
      onStart: (span) => void say({ span: { kind: span.kind, ...span.spanContext() } }),
      onEnd: () => {},
      forceFlush: async () => {},
      shutdown: async () => {},
    },
  ],
}).register()
registerInstrumentations({
  instrumentations: [
    new HttpInstrumentation(),
    new UndiciInstrumentation(),
    new ExpressInstrumentation(),
    new KoaInstrumentation(),
    new FastifyInstrumentation.FastifyInstrumentation(),
  ],
})
const require = createRequire(import.meta.url)
// Patched as it is asked for; the canary's packages have the same object.
const http: typeof import('node:http') = require('node:http')

const options = {
  name: 'x',
  upstreams: { A: upstream, B: upstream },
  percentage: 50,
  mode: mode === 'rewrite' ? 'rewrite' : 'forward',
} as const

/** As a proxy behind the canary does it. */
function sendOn({ method, url, headers }: IncomingMessage): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(upstream)
    http.request({ hostname, port, path: url, method, headers }, resolve).on('error', reject).end()
  })
}

async function startExpress(): Promise<Server> {
  const express: typeof import('express') = require('express')
  const { canary, createServer } = await import('@canary-release/express')
  const app = express()
  app.use(canary(options))
  app.use((request, response, next) => {
    sendOn(request).then((answer) => answer.pipe(response), next)
  })
  return createServer(app).listen(0, '127.0.0.1')
}

async function startKoa(): Promise<Server> {
  const Koa: typeof import('koa') = require('koa')
  const { canary, createServer } = await import('@canary-release/koa')
  const app = new Koa()
  app.use(canary(options) as never)
  app.use(async (context) => {
    context.body = await sendOn(context.req)
  })
  return createServer(app as { callback(): RequestListener }).listen(0, '127.0.0.1')
}

async function startFastify(): Promise<Server> {
  const { fastify }: typeof import('fastify') = require('fastify')
  const { canary, canaryDecision } = await import('@canary-release/fastify')
  const app = fastify()
  if (mode === 'rewrite') {
    await app.register(canaryDecision, options)
    app.get('/*', (request) => sendOn(request.raw))
  } else await app.register(canary, options)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app.server
}

const STARTS: Record<string, () => Promise<Server>> = { express: startExpress, koa: startKoa, fastify: startFastify }

const start = STARTS[framework ?? '']
if (start === undefined) throw new Error(`no framework ${framework}`)
const server = await start()
const listening = () => say({ port: (server.address() as AddressInfo).port })
if (server.listening) listening()
else server.once('listening', listening)
