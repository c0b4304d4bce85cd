// Compiled by test/types.test.ts: every line must compile, but for those after `@ts-expect-error`, which must not.
import {
  CanaryError,
  type Decision,
  type GuardOptions,
  type HealthOptions,
  type ProxyOptions,
  type Release,
  apiKeyConsumers,
  createRelease,
  fail,
} from '@canary-release/core'
import { canary as nodeCanary, createHandler, fail as failNode } from '@canary-release/core/node'
import {
  attachUpgrades as attachExpress,
  canary as expressCanary,
  createServer as createExpressServer,
  fail as failExpress,
  type ReleaseOptions,
  type CanarySource,
} from '@canary-release/express'
import { canary as fastifyCanary, canaryDecision, fail as failFastify } from '@canary-release/fastify'
import {
  type CanaryState,
  canary as koaCanary,
  createServer as createKoaServer,
  fail as failKoa,
} from '@canary-release/koa'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createServer as createSecureHttp2Server, createSecureServer } from 'node:http2'

const upstreams = { A: 'http://orders-v1:3000', B: 'http://orders-v2:3000' }
const release: Release = createRelease({ name: 'orders-v2', upstreams, percentage: 10 })

// An option may be given as undefined.
createRelease({ name: 'orders-v2', upstreams, percentage: 10, salt: undefined, override: undefined, guard: undefined })
createRelease({
  name: 'orders-v2',
  upstreams: { A: new URL('http://a'), B: { port: 81 } },
  start: new Date(),
  duration: '90m',
})
createRelease({ name: 'orders-v2', upstreams, percentage: 1, hash: { header: 'x-tenant' }, guard: { alpha: 0.001 } })
createRelease({
  name: 'orders-v2',
  upstreams,
  percentage: 1,
  consumer: apiKeyConsumers({ header: 'apikey', keys: {} }),
})
createRelease({ name: 'orders-v2', upstreams, percentage: 1, proxy: { dropHeaders: 'identity' } })
createRelease({
  name: 'orders-v2',
  upstreams,
  percentage: 1,
  proxy: { dropHeaders: ['identity', 'x-debug-*'] as const },
})
createRelease({ name: 'orders-v2', upstreams, percentage: 1, proxy: { path: 'strict' } })
createRelease({ name: 'orders-v2', upstreams, percentage: 1, proxy: { via: true } })
new CanaryError('ERR_CANARY_LOOP', 'no').status satisfies number
// @ts-expect-error: true or false
createRelease({ name: 'orders-v2', upstreams, percentage: 1, proxy: { via: 'gateway' } })
// @ts-expect-error: plain or strict
createRelease({ name: 'orders-v2', upstreams, percentage: 1, proxy: { path: 'loose' } })
// @ts-expect-error: 'identity' or a list
createRelease({ name: 'orders-v2', upstreams, percentage: 1, proxy: { dropHeaders: 'x-debug' } })
const limits = { connectionMaxAgeMs: 30_000, tunnels: 100, requestTimeoutMs: 5000, perNetwork: 20 }
createRelease({ name: 'orders-v2', upstreams, percentage: 1, proxy: limits })
createRelease({ name: 'orders-v2', upstreams, percentage: 1, proxy: { requestTimeoutMs: null, perNetwork: undefined } })
// @ts-expect-error: a number of requests
createRelease({ name: 'orders-v2', upstreams, percentage: 1, proxy: { perNetwork: true } })
// @ts-expect-error: milliseconds
createRelease({ name: 'orders-v2', upstreams, percentage: 1, proxy: { requestTimeoutMs: '5s' } })
// @ts-expect-error: no such option
createRelease({ name: 'orders-v2', upstreams, percentge: 10 })
// @ts-expect-error: a number
createRelease({ name: 'orders-v2', upstreams, percentage: '10' })
// @ts-expect-error: no such hash
createRelease({ name: 'orders-v2', upstreams, percentage: 10, hash: 'user' })
// @ts-expect-error: the name is required
createRelease({ upstreams, percentage: 10 })

const decision: Decision = release.decide({ consumer: 'alice', headers: { 'x-canary': 'always' } })
decision.upstream satisfies 'A' | 'B'
// @ts-expect-error: a decision does not change
decision.upstream = 'A'
release.on('change', ({ change, status }) => [change satisfies string, status.bucketsOnB satisfies number])
const off: () => void = release.on('outcome', ({ status }) => status satisfies number | null)
off()
// @ts-expect-error: a release is no event emitter
release.once('change', () => {})
// @ts-expect-error: what adapters use is not for users
release.decideBy
// @ts-expect-error: nor are the compiled options
release.options
// @ts-expect-error: no such event
release.on('changed', () => {})
const error = new CanaryError('ERR_CANARY_STATE', 'no')
error.code satisfies `ERR_CANARY_${string}`
// @ts-expect-error: no such code
new CanaryError('ERR_CANARY_NONE', 'no')

// Express 5, and with its own types for handlers and functions of the request.
const app = express()
app.use('/orders', expressCanary(release))
app.use('/orders', expressCanary({ name: 'x', upstreams, percentage: 10, consumer: (request) => request.headers.from }))
app.use((request, response) => void response.send(request.canary?.upstream))
createExpressServer(app)
createExpressServer(app, { upgrades: '/orders' })
createExpressServer(app, { upgrades: ['/orders', '/chat'] as const })
createExpressServer(app, { upgrades: undefined })
attachExpress(createServer(app), app)
attachExpress(createTlsServer(app), app, { upgrades: ({ url }) => url === '/orders' }) satisfies () => void
attachExpress(createSecureServer({ allowHTTP1: true }), app)
// @ts-expect-error: no such option
createExpressServer(app, { upgrade: '/orders' })
// @ts-expect-error: true or false, not some time later
createExpressServer(app, { upgrades: async () => true })
// @ts-expect-error: a consumer is a text or a number
expressCanary({ name: 'x', upstreams, percentage: 10, consumer: () => ({ id: 1 }) })

expressCanary({
  name: 'x',
  upstreams: { A: (_request, response) => void response.send('A'), B: 'http://b' },
  percentage: 10,
  consumer: (request) => request.get('x-user'),
})

const koa = new Koa<CanaryState>()
koa.use(koaCanary(release))
koa.use(koaCanary(release, { through: true }))
// @ts-expect-error: only Fastify's plugin finds it out by itself
koaCanary(release, { through: 'auto' })
koa.use(
  koaCanary({
    name: 'x',
    upstreams: { A: (context) => void (context.body = 'A'), B: 'http://b' },
    percentage: 10,
    consumer: (context) => context.get('x-user'),
  }),
)
koa.use((context) => void context.state.canary?.upstream)
createKoaServer(koa)
createKoaServer(koa, { upgrades: '/orders' })

const fastify = Fastify()
void fastify.register(fastifyCanary, { prefix: '/orders', release })
void fastify.register(fastifyCanary, { prefix: '/t', release, through: 'auto' })
// @ts-expect-error: auto, true or false
void fastify.register(fastifyCanary, { prefix: '/t', release, through: 'yes' })
void fastify.register(fastifyCanary, { prefix: '/x', name: 'x', upstreams, percentage: 10 })
void fastify.register(fastifyCanary, {
  name: 'x',
  upstreams: { A: async (_request, reply) => reply.send('A'), B: 'http://b' },
  percentage: 10,
  consumer: (request) => request.headers.from,
})
void fastify.register(canaryDecision, { release, hook: 'preHandler' })
void Fastify({ http2: true }).register(fastifyCanary, { prefix: '/x', release })
void Fastify().withTypeProvider().register(canaryDecision, { release })
fastify.get('/', (request) => request.canary?.upstream)

createServer(createHandler(release))
createSecureHttp2Server(createHandler({ name: 'x', upstreams, percentage: 10 }))
createServer(nodeCanary(release))

// A request that failed although its status does not say so.
createServer((request) => [fail(request, 'wrong total'), failNode(request, 'wrong total')])
app.use((request) => failExpress(request, 'wrong total'))
koa.use((context) => failKoa(context, 'wrong total'))
fastify.addHook('onResponse', async (request) => failFastify(request, 'wrong total'))
// @ts-expect-error: Koa's context has the request
koa.use((context) => fail(context, 'wrong total'))

// Options may be built apart.
const proxy: ProxyOptions = { connectTimeoutMs: 1000, dropHeaders: ['x-debug-*'], forwarder: null }
const health: HealthOptions = { path: '/health', intervalMs: undefined }
const guard: GuardOptions = {
  latency: false,
  hardLimit: { over: 20 },
  errors: { isFailure: ({ status }) => status === 418 },
}
const options: ReleaseOptions = { name: 'x', upstreams, percentage: 1, proxy, health, guard }
const source: CanarySource = options
void source
// @ts-expect-error: a health check needs a path
const noPath: HealthOptions = {}
void noPath
