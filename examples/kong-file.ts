import { readFile } from 'node:fs/promises'
import { createRegistry, memoryStore, parseDeclarative, registryKeys } from '@canary-release/core/registry'
import { canary, createServer } from '@canary-release/express'
import express from 'express'
import { type Running, runIfMain, serve, startVersions } from './run.js'

/**
 * A declarative file of Kong's is what the registry begins with. With a store that keeps something (`fileStore`), the
 * file counts once: after that, what the store holds does. Run it from the repository's root.
 */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  // The file names hosts of another network: here, two small servers stand in for them.
  const text = (await readFile('examples/kong.yaml', 'utf8'))
    .replace('http://orders-v1:3000', A)
    .replace('upstream_host: orders-v2', `upstream_host: ${new URL(B).hostname}`)
    .replace('upstream_port: 3000', `upstream_port: ${new URL(B).port}`)
  const initial = await parseDeclarative(text, { otherPlugins: 'skip' })
  const registry = await createRegistry({ store: memoryStore(), initial })

  const app = express()
  const orders = canary({ registry, service: 'orders', consumer: registryKeys(registry) })
  app.use('/orders', orders)
  return serve(createServer(app), port, orders.close, () => registry.close(), close)
}

await runIfMain(import.meta.url, start, "curl URL/orders/1\ncurl -H 'x-canary: always' URL/orders/1")
