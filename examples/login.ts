import { canary, createServer } from '@canary-release/express'
import express from 'express'
import { type Running, runIfMain, serve, startVersions } from './run.js'

/** Who logs in is hashed as a user from then on, before that by a cookie of the application's own. */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  const app = express()
  const cookie = (request: express.Request, name: string) =>
    new RegExp(`(?:^|; )${name}=([^;]*)`).exec(request.get('cookie') ?? '')?.[1]
  app.post('/login', (_request, response) => {
    response.cookie('user', 'alice', { httpOnly: true, sameSite: 'lax' }).sendStatus(204)
  })
  const orders = canary({
    name: 'orders-v2',
    upstreams: { A, B },
    percentage: 50,
    consumer: (request) => cookie(request, 'user') ?? cookie(request, 'visitor'),
    exposeHeader: 'x-canary-upstream',
  })
  app.use('/orders', orders)
  return serve(createServer(app), port, orders.close, close)
}

await runIfMain(
  import.meta.url,
  start,
  "curl -i -H 'cookie: visitor=1' URL/orders/1\ncurl -i -H 'cookie: visitor=1; user=alice' URL/orders/1",
)
