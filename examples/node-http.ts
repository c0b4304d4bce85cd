import { createServer } from 'node:http'
import { attachUpgrades, createHandler } from '@canary-release/core/node'
import { type Running, runIfMain, serve, startVersions } from './run.js'

/** Without a framework. */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  const handler = createHandler({
    name: 'orders-v2',
    upstreams: { A, B },
    percentage: 10,
    override: { header: 'x-canary' },
  })
  const server = createServer(handler)
  attachUpgrades(server, handler)
  return serve(server, port, handler.close, close)
}

await runIfMain(import.meta.url, start, "curl URL/orders/1\ncurl -H 'x-canary: always' URL/orders/1")
