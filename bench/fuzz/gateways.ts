import { once } from 'node:events'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ReleaseOptions, createRelease } from '@canary-release/core'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { attachUpgrades, createHandler } from '@canary-release/core/node'
import { canary as expressCanary, createServer as createExpressServer } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary, createServer as createKoaServer } from '@canary-release/koa'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'

/** A gateway that forwards everything to one upstream, and counts what it decided. */
export interface FuzzedGateway extends AsyncDisposable {
  readonly port: number
  /** Decisions so far. */
  readonly decisions: number
}

type Start = (release: ReturnType<typeof createRelease>) => Promise<{ port: number; close: () => Promise<unknown> }>

const STARTS: Readonly<Record<string, Start>> = {
  async express(release) {
    const app = express()
    const middleware = expressCanary(release)
    app.use(middleware)
    app.use((error: { status?: number }, _request: unknown, response: express.Response, _next: unknown) => {
      response.status(error.status ?? 500).send('failed')
    })
    return serve(createExpressServer(app), middleware.close)
  },
  async koa(release) {
    const app = new Koa()
    const middleware = koaCanary(release)
    app.silent = true
    app.use(middleware)
    return serve(createKoaServer(app), middleware.close)
  },
  async fastify(release) {
    const app = Fastify({ forceCloseConnections: true })
    await app.register(fastifyCanary, { release, graceMs: 0 })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { port: (app.server.address() as AddressInfo).port, close: () => app.close() }
  },
  node: startNode,
  'node with http-proxy': startNode,
}

/** The names of {@link startFuzzed}. */
export const FUZZED = Object.keys(STARTS)

const quiet = { info() {}, warn() {}, error() {} }

export async function startFuzzed(name: string, upstreamPort: number): Promise<FuzzedGateway> {
  const url = `http://127.0.0.1:${upstreamPort}`
  const forwarder = name.endsWith('http-proxy') ? httpProxyForwarder() : undefined
  const options: ReleaseOptions = {
    name: 'fuzz',
    upstreams: { A: url, B: url },
    percentage: 50,
    hash: 'none',
    override: { header: 'x-canary' },
    logger: quiet,
    // Long enough that no answer of the upstream is late, short enough to wait for bodies that never come.
    proxy: { connectTimeoutMs: 10_000, headersTimeoutMs: 10_000, bodyTimeoutMs: 2000, forwarder },
  }
  const release = createRelease(options)
  let decisions = 0
  release.on('decision', () => {
    decisions += 1
  })
  const start = STARTS[name]
  if (start === undefined) throw new RangeError(`no gateway is called ${name}`)
  const { port, close } = await start(release)
  return {
    port,
    get decisions() {
      return decisions
    },
    async [Symbol.asyncDispose]() {
      await close()
      release.close()
    },
  }
}

async function startNode(release: ReturnType<typeof createRelease>) {
  const handler = createHandler(release)
  const server = createServer((request, response) => void handler(request, response))
  attachUpgrades(server, handler)
  return serve(server, handler.close)
}

async function serve(server: Server, closeMount: (graceMs?: number) => Promise<void>) {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const close = async () => {
    await closeMount(0)
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { port: (server.address() as AddressInfo).port, close }
}
