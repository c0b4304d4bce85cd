import { createServer } from 'node:http'
import { type CanaryState, canary } from '@canary-release/koa'
import Koa from 'koa'
import proxy from 'koa-proxies'
import { type Running, runIfMain, serve, startVersions } from './run.js'

/** koa-proxies forwards; it takes a target for each request from a function of the path and the context. */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  const app = new Koa<CanaryState>()
  const orders = canary({
    name: 'orders-v2',
    mode: 'rewrite',
    upstreams: { A, B: `${B}/v2` },
    percentage: 10,
    override: { header: 'x-canary' },
  })
  app.use(orders)
  app.use(
    proxy('/(.*)', (_parameters, context) => ({ target: context.state['canary']?.origin ?? A, changeOrigin: true })),
  )
  return serve(createServer(app.callback()), port, orders.close, close)
}

await runIfMain(import.meta.url, start, "curl URL/orders/1\ncurl -H 'x-canary: always' URL/orders/1")
