import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { canary, createServer } from '@canary-release/express'
import express from 'express'
import httpProxy from 'http-proxy'
import { type Running, runIfMain, serve, startVersions } from './run.js'

/** Your own http-proxy server carries the requests, and its events keep working; the canary says where to. */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  const proxy = httpProxy.createProxyServer({})
  proxy.on('proxyRes', (_response, request, response) => void response.setHeader('x-proxied', `${request.method}`))

  const app = express()
  const orders = canary({
    name: 'orders-v2',
    upstreams: { A, B },
    percentage: 10,
    override: { header: 'x-canary' },
    proxy: { forwarder: httpProxyForwarder(proxy) },
  })
  app.use('/orders', orders)
  return serve(createServer(app), port, orders.close, close)
}

await runIfMain(import.meta.url, start, "curl -i URL/orders/1\ncurl -i -H 'x-canary: always' URL/orders/1")
