import { canary } from '@canary-release/fastify'
import Fastify from 'fastify'
import { type Running, runIfMain, startVersions } from './run.js'

/** A tenth of the callers on B, WebSockets included. */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  const app = Fastify({ forceCloseConnections: true })
  await app.register(canary, {
    prefix: '/orders',
    name: 'orders-v2',
    upstreams: { A, B },
    percentage: 10,
    override: { header: 'x-canary' },
  })
  const url = await app.listen({ port, host: '127.0.0.1' })
  return { url, close: () => app.close().then(close) }
}

await runIfMain(import.meta.url, start, "curl URL/orders/1\ncurl -H 'x-canary: always' URL/orders/1")
