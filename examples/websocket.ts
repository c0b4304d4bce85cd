import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { canary, createServer } from '@canary-release/express'
import express from 'express'
import { WebSocket, WebSocketServer } from 'ws'
import { type Running, runIfMain, serve } from './run.js'

const USERS: ReadonlyMap<string, string> = new Map(
  Array.from({ length: 10 }, (_, number) => [`Bearer secret-${number}`, `user-${number}`]),
)

/**
 * A WebSocket passes the application's own authentication and takes the side that its page took: who is on B for the
 * page is on B for the socket, and who may not see the page gets no socket. `createServer(app)` is all that it takes.
 */
export async function start(port: number): Promise<Running> {
  const [A, B] = await Promise.all([startChat('version 1 (A)'), startChat('version 2 (B)')])
  const app = express()
  app.use((request, response, next) => {
    const user = USERS.get(request.get('authorization') ?? '')
    if (user === undefined) return void response.sendStatus(401)
    // What passport does too: the canary hashes `request.user`.
    Object.assign(request, { user })
    next()
  })
  const chat = canary({ name: 'chat-v2', upstreams: { A: A.url, B: B.url }, percentage: 50 })
  app.use('/chat', chat)
  return serve(createServer(app), port, () => chat.close(), A.close, B.close)
}

/** A chat of one version: it names itself on its page and to each socket. */
async function startChat(version: string): Promise<Running> {
  const server = createHttpServer((_request, response) => void response.end(version))
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => socket.on('message', (text) => socket.send(`${version}: ${String(text)}`)))
  return serve(server, 0, () => sockets.close())
}

/** Says `hello` as the user with this token; the chat's answer. */
export async function hello(url: string, token: string): Promise<string> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/chat`, { headers: { authorization: token } })
  await once(socket, 'open')
  socket.send('hello')
  const [answer] = await once(socket, 'message')
  socket.close()
  return String(answer)
}

await runIfMain(
  import.meta.url,
  async (port) => {
    const running = await start(port)
    for (const [token, user] of USERS) {
      const page = await fetch(`${running.url}/chat`, { headers: { authorization: token } })
      process.stdout.write(`${user}: page of ${await page.text()}, socket of ${await hello(running.url, token)}\n`)
    }
    return running
  },
  'curl -i URL/chat\ncurl -H "authorization: Bearer secret-1" URL/chat',
)
