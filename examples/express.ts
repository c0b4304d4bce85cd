import { canary, createServer } from '@canary-release/express'
import express from 'express'
import { type Running, runIfMain, serve, startVersions } from './run.js'

/** A tenth of the callers on B, WebSockets included. */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  const app = express()
  const orders = canary({ name: 'orders-v2', upstreams: { A, B }, percentage: 10, override: { header: 'x-canary' } })
  app.use('/orders', orders)
  return serve(createServer(app), port, orders.close, close)
}

await runIfMain(import.meta.url, start, "curl URL/orders/1\ncurl -H 'x-canary: always' URL/orders/1")
