import { canary, createServer } from '@canary-release/express'
import express from 'express'
import { type Running, runIfMain, serve, startVersions } from './run.js'

/**
 * Sticky without a login: a visitor without the cookie gets one that holds a random id, and the id is hashed. The first
 * answer is already the version that the visitor stays on.
 */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  const app = express()
  const orders = canary({
    name: 'orders-v2',
    upstreams: { A, B },
    percentage: 50,
    hash: { cookie: 'canary_id' },
    exposeHeader: 'x-canary-upstream',
  })
  app.use('/orders', orders)
  return serve(createServer(app), port, orders.close, close)
}

await runIfMain(
  import.meta.url,
  start,
  '# Each time a new visitor:\ncurl -i URL/orders/1\n# Always the same one:\ncurl -b cookies.txt -c cookies.txt URL/orders/1',
)
