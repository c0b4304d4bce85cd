// One gateway of the comparison, as a process of its own: `node gateway.js <name> <url of A> <url of B>`. Says its port.
import { Agent, createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHandler } from '@canary-release/core/node'
import { canary as expressCanary, createServer as createExpressServer } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary, createServer as createKoaServer } from '@canary-release/koa'
import fastifyHttpProxy from '@fastify/http-proxy'
import express from 'express'
import Fastify from 'fastify'
import httpProxy from 'http-proxy'
import { createProxyServer as createProxy3 } from 'http-proxy-3'
import { createProxyMiddleware } from 'http-proxy-middleware'
import Koa from 'koa'
import koaProxies from 'koa-proxies'

const [, , name = '', A = '', B = ''] = process.argv

/** As their users would tune them: as many kept-alive connections as there are clients. */
const keepAlive = () => new Agent({ keepAlive: true, maxSockets: 64 })

/** Everything in force: a decision by consumer, both upstreams in use, the fallback. */
const release = {
  name: 'bench',
  upstreams: { A, B },
  percentage: 50,
  hash: 'consumer',
  consumer: ({ headers }: { headers: NodeJS.Dict<string | string[]> }) => headers['apikey'] as string,
  upstreamFallback: true,
} as const

const GATEWAYS: Record<string, () => Promise<Server | number> | Server> = {
  'ours on Express': () => {
    const app = express()
    app.use(expressCanary(release))
    return createExpressServer(app)
  },
  'ours on Express, app.listen': () => {
    const app = express()
    app.use(expressCanary(release))
    return createServer(app)
  },
  'ours on Koa': () => {
    const app = new Koa()
    app.use(koaCanary(release))
    return createKoaServer(app)
  },
  'ours on Fastify': async () => {
    const app = Fastify()
    await app.register(fastifyCanary, release)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return (app.server.address() as AddressInfo).port
  },
  'ours on node:http': () => createServer(createHandler(release) as RequestListener),
  'http-proxy-middleware': () => withHpm({ agent: keepAlive() }),
  'http-proxy-middleware, its defaults': () => withHpm({}),
  'koa-proxies': () => withKoaProxies({ agent: keepAlive() }),
  'koa-proxies, its defaults': () => withKoaProxies({}),
  '@fastify/http-proxy': () => withFastifyHttpProxy({ undici: { connections: 64 } }),
  '@fastify/http-proxy, its defaults': () => withFastifyHttpProxy({}),
  'http-proxy': () => {
    const proxy = httpProxy.createProxyServer({ target: A, agent: keepAlive() })
    return createServer((request, response) => proxy.web(request, response))
  },
  'http-proxy-3': () => {
    const proxy = createProxy3({ target: A, agent: keepAlive() })
    return createServer((request, response) => void proxy.web(request, response))
  },
}

function withHpm(options: object): Server {
  const app = express()
  app.use(createProxyMiddleware({ target: A, changeOrigin: true, xfwd: true, ...options }))
  return createServer(app)
}

function withKoaProxies(options: object): Server {
  const app = new Koa()
  app.use(koaProxies('/(.*)', { target: A, changeOrigin: true, ...options }))
  return createServer(app.callback())
}

async function withFastifyHttpProxy(options: object): Promise<number> {
  const app = Fastify({ bodyLimit: 2 ** 30 })
  await app.register(fastifyHttpProxy, { upstream: A, ...options })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as AddressInfo).port
}

const made = await GATEWAYS[name]?.()
if (made === undefined) throw new Error(`no gateway ${name}`)
if (typeof made === 'number') process.stdout.write(`${made}\n`)
else made.listen(0, '127.0.0.1', () => process.stdout.write(`${(made.address() as AddressInfo).port}\n`))
