import { canaryDecision } from '@canary-release/fastify'
import httpProxy from '@fastify/http-proxy'
import Fastify, { type FastifyRequest } from 'fastify'
import { type Running, runIfMain, startVersions } from './run.js'

/** @fastify/http-proxy forwards; the canary tells its `getUpstream` where to. */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  const app = Fastify({ forceCloseConnections: true })
  await app.register(canaryDecision, {
    name: 'orders-v2',
    mode: 'rewrite',
    upstreams: { A, B: `${B}/v2` },
    percentage: 10,
    override: { header: 'x-canary' },
  })
  await app.register(httpProxy, {
    upstream: '',
    replyOptions: { getUpstream: (request) => (request as FastifyRequest).canary?.origin ?? A },
  })
  const url = await app.listen({ port, host: '127.0.0.1' })
  return { url, close: () => app.close().then(close) }
}

await runIfMain(import.meta.url, start, "curl URL/orders/1\ncurl -H 'x-canary: always' URL/orders/1")
