import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { canary as expressCanary, createServer as createExpressServer } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary, createServer as createKoaServer } from '@canary-release/koa'
import type { Release, ReleaseOptions } from '@canary-release/core'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'

export interface Gateway {
  readonly port: number
  close(): Promise<void>
}

/** The options of a release that suit every framework: no handlers, no functions of its request. */
export interface GatewayOptions extends Omit<ReleaseOptions, 'upstreams' | 'consumer' | 'groups'> {
  readonly upstreams: { readonly A: string; readonly B: string }
}

const SILENT = { info() {}, warn() {}, error() {} }

/** Short enough for a test to wait for, long enough for a loaded machine to answer in. */
const proxy = { connectTimeoutMs: 2000, headersTimeoutMs: 700, bodyTimeoutMs: 700 } as const

export function optionsFor(upstreams: GatewayOptions['upstreams'], more: Partial<GatewayOptions> = {}): GatewayOptions {
  return { name: 'faults', upstreams, percentage: 50, override: { header: 'x-canary' }, logger: SILENT, proxy, ...more }
}

/** The three adapters, each in an application of its framework with its own error handling. */
export const GATEWAYS: Record<string, (source: GatewayOptions | Release) => Promise<Gateway>> = {
  async express(source) {
    const app = express()
    const middleware = expressCanary(source)
    app.set('env', 'production')
    app.use(middleware)
    // Express prints the errors that nobody handles: ours are expected.
    app.use((error: { status?: number }, _request: unknown, response: express.Response, _next: unknown) => {
      response
        .status(error.status ?? 500)
        .type('text')
        .send('failed')
    })
    return serving(createExpressServer(app), middleware.close)
  },
  async koa(source) {
    const app = new Koa()
    const middleware = koaCanary(source)
    app.silent = true
    app.use(middleware)
    return serving(createKoaServer(app), middleware.close)
  },
  async fastify(source) {
    const app = Fastify({ forceCloseConnections: true })
    await app.register(fastifyCanary, 'decide' in source ? { release: source } : source)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { port: (app.server.address() as AddressInfo).port, close: () => app.close() }
  },
}

/** Starts listening; closing takes all connections with it. */
export async function serving(server: Server, closeMount: (graceMs?: number) => Promise<void>): Promise<Gateway> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      await closeMount(0)
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
