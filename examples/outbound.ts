import { currentDecision } from '@canary-release/core'
import { canary, createServer } from '@canary-release/express'
import express from 'express'
import { type Running, runIfMain, serve, startVersions } from './run.js'

/** Both versions are handlers of this program; their calls to other services carry the decision on. */
export async function start(port: number): Promise<Running> {
  const { A: inventory, close } = await startVersions()
  const app = express()
  const call = async (path: string) => {
    const upstream = currentDecision()?.upstream ?? 'none'
    const response = await fetch(`${inventory}${path}?canary=${upstream}`, {
      headers: { 'x-canary-upstream': upstream },
    })
    return response.text()
  }
  const orders = canary({
    name: 'orders-v2',
    upstreams: {
      A: async (_request, response) => void response.send(`A asked: ${await call('/stock')}`),
      B: async (_request, response) => void response.send(`B asked: ${await call('/stock')}`),
    },
    percentage: 10,
    override: { header: 'x-canary' },
  })
  app.use('/orders', orders)
  return serve(createServer(app), port, orders.close, close)
}

await runIfMain(import.meta.url, start, "curl URL/orders/1\ncurl -H 'x-canary: always' URL/orders/1")
