import { canary, createServer } from '@canary-release/koa'
import Koa from 'koa'
import mount from 'koa-mount'
import { type Running, runIfMain, serve, startVersions } from './run.js'

/** A tenth of the callers on B, WebSockets included. */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  const app = new Koa()
  const orders = canary({ name: 'orders-v2', upstreams: { A, B }, percentage: 10, override: { header: 'x-canary' } })
  app.use(mount('/orders', orders))
  return serve(createServer(app), port, orders.close, close)
}

await runIfMain(import.meta.url, start, "curl URL/orders/1\ncurl -H 'x-canary: always' URL/orders/1")
