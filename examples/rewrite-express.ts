import { canary } from '@canary-release/express'
import { createServer } from 'node:http'
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { type Running, runIfMain, serve, startVersions } from './run.js'

/** http-proxy-middleware forwards; the canary tells its `router` where to. */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  const app = express()
  const orders = canary({
    name: 'orders-v2',
    mode: 'rewrite',
    upstreams: { A, B: `${B}/v2` },
    percentage: 10,
    override: { header: 'x-canary' },
  })
  app.use('/orders', orders)
  app.use(
    '/orders',
    createProxyMiddleware<express.Request>({
      target: A,
      router: (request) => request.canary?.origin ?? A,
      changeOrigin: true,
    }),
  )
  return serve(createServer(app), port, orders.close, close)
}

await runIfMain(import.meta.url, start, "curl URL/orders/1\ncurl -H 'x-canary: always' URL/orders/1")
