import { randomBytes } from 'node:crypto'
import { canary, createServer } from '@canary-release/express'
import express from 'express'
import session from 'express-session'
import { type Running, runIfMain, serve, startVersions } from './run.js'

declare module 'express-session' {
  interface SessionData {
    user: string
  }
}

/**
 * Before the login a visitor is hashed by the session, after it as the user, on every device. Both come from the
 * session's signed cookie: a plain cookie with the user's name is one that anybody can write.
 */
export async function start(port: number): Promise<Running> {
  const { A, B, close } = await startVersions()
  const app = express()
  app.use(
    session({
      // In production one secret for all processes and restarts, and a store that they share.
      secret: randomBytes(32).toString('hex'),
      saveUninitialized: true,
      resave: false,
      cookie: { httpOnly: true, sameSite: 'lax', secure: 'auto' },
    }),
  )
  app.post('/login', (request, response, next) => {
    // Here the password is checked. A new session, so that nobody can have set the old one's id beforehand.
    request.session.regenerate((error) => {
      if (error) return next(error)
      request.session.user = 'alice'
      response.sendStatus(204)
    })
  })
  const orders = canary({
    name: 'orders-v2',
    upstreams: { A, B },
    percentage: 50,
    consumer: (request) => request.session.user ?? request.sessionID,
    exposeHeader: 'x-canary-upstream',
  })
  app.use('/orders', orders)
  return serve(createServer(app), port, orders.close, close)
}

await runIfMain(
  import.meta.url,
  start,
  'curl -i -b cookies.txt -c cookies.txt URL/orders/1\ncurl -X POST -b cookies.txt -c cookies.txt URL/login',
)
