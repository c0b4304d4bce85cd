import { createRegistry, memoryStore, registryKeys } from '@canary-release/core/registry'
import { canary, createServer } from '@canary-release/express'
import express from 'express'
import { type Running, runIfMain, serve, startVersions } from './run.js'

/**
 * Callers with API keys, as a registry keeps them: the key says which consumer calls, the consumer's groups say which
 * version answers. Alice is in the group `staff`, which is on B; Bob is not; a key that nobody has is nobody's.
 */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  const registry = await createRegistry({ store: memoryStore() })
  await registry.change('example', (draft) => {
    draft.create('services', { name: 'orders', url: A })
    const { hostname, port } = new URL(B)
    draft.create('plugins', {
      name: 'canary',
      instance_name: 'orders-v2',
      service: { name: 'orders' },
      config: { hash: 'allow', groups: ['staff'], upstream_host: hostname, upstream_port: Number(port) },
    })
    draft.create('consumers', { username: 'alice' })
    draft.create('keyauth_credentials', { consumer: { username: 'alice' }, key: 's3cret-1' })
    draft.create('acls', { consumer: { username: 'alice' }, group: 'staff' })
    draft.create('consumers', { username: 'bob' })
    draft.create('keyauth_credentials', { consumer: { username: 'bob' }, key: 's3cret-2' })
  })

  const app = express()
  // A name in the place of a key is nobody's: it is no secret.
  const orders = canary({ registry, service: 'orders', consumer: registryKeys(registry) })
  app.use('/orders', orders)
  return serve(createServer(app), port, orders.close, () => registry.close(), close)
}

await runIfMain(
  import.meta.url,
  start,
  "curl -H 'apikey: s3cret-1' URL/orders/1\ncurl -H 'apikey: s3cret-2' URL/orders/1",
)
