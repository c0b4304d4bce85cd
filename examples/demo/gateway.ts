import { canary as expressCanary, createServer as createExpressServer } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary, createServer as createKoaServer } from '@canary-release/koa'
import { type Registry, registryKeys } from '@canary-release/core/registry'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import mount from 'koa-mount'
import type { FrameworkName } from './arguments.js'
import { listen } from './listen.js'

export interface DemoGateway {
  readonly port: number
  close(): Promise<void>
}

type Start = (registry: Registry, port: number) => Promise<DemoGateway>

/** What the mounts of the three frameworks have in common. The traffic comes from this machine, and says for whom. */
const mounted = { service: 'orders', exposeHeader: 'x-canary-upstream', trustedIps: ['loopback'] } as const

const STARTS: Record<FrameworkName, Start> = {
  async express(registry, port) {
    const app = express()
    const orders = expressCanary({ registry, ...mounted, consumer: registryKeys(registry) })
    app.use('/orders', orders)
    const answerError: express.ErrorRequestHandler = (error, _request, response, _next) => {
      response.status(error.status ?? 500).send(`${error.message}\n`)
    }
    app.use(answerError)
    const server = createExpressServer(app)
    return { port: await listen(server, port), close: () => closeServer(server, orders.close) }
  },
  async koa(registry, port) {
    const app = new Koa()
    // Ctrl-C ends requests under way: no news.
    app.silent = true
    const orders = koaCanary({ registry, ...mounted, consumer: registryKeys(registry) })
    app.use(mount('/orders', orders))
    const server = createKoaServer(app)
    return { port: await listen(server, port), close: () => closeServer(server, orders.close) }
  },
  async fastify(registry, port) {
    const app = Fastify({ forceCloseConnections: true })
    const consumer = registryKeys(registry)
    await app.register(fastifyCanary, { prefix: '/orders', registry, ...mounted, consumer })
    await app.ready()
    return { port: await listen(app.server, port), close: () => app.close() }
  },
}

export function startGateway(framework: FrameworkName, registry: Registry, port: number): Promise<DemoGateway> {
  return STARTS[framework](registry, port)
}

async function closeServer(
  server: { close(): unknown; closeAllConnections(): void },
  closeMount: (graceMs: number) => Promise<void>,
): Promise<void> {
  server.close()
  await closeMount(0)
  server.closeAllConnections()
}
