import { EventEmitter, once } from 'node:events'
import { type ServerResponse, createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** An upstream that answers each request with its line and body; those below `/hold` only when it is told. */
export interface HeldUpstream extends AsyncDisposable {
  readonly url: string
  /** Every request that came, as its line. */
  readonly seen: string[]
  /** Requests and tunnels that are open. */
  readonly open: ReadonlySet<object>
  /** Resolves when it has come, with its answer. */
  arrived(line: string): Promise<ServerResponse>
  /** Resolves when nothing is open. */
  idle(): Promise<void>
}

export const answerTo = (line: string, body = '') => `answer to ${line} ${body}.`

export async function startHeldUpstream(): Promise<HeldUpstream> {
  const events = new EventEmitter().setMaxListeners(0)
  const seen: string[] = []
  const held = new Map<string, ServerResponse>()
  const open = new Set<object>()
  const sockets = new Set<Socket>()
  const track = (what: object & EventEmitter) => {
    open.add(what)
    what.on('close', () => {
      open.delete(what)
      events.emit('closed')
    })
  }
  const server = createServer(async (request, response) => {
    const line = `${request.method} ${request.url}`
    seen.push(line)
    track(response)
    let body = ''
    request.on('error', () => {})
    for await (const chunk of request) body += String(chunk)
    held.set(line, response)
    events.emit('arrived')
    if (request.url?.startsWith('/hold') !== true) response.end(answerTo(line, body))
  })
  server.on('upgrade', (request, socket: Socket) => {
    const line = `${request.method} ${request.url}`
    seen.push(`upgrade ${line}`)
    track(socket)
    socket.on('error', () => {}).on('end', () => socket.end())
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n\r\n`,
    )
    socket.on('data', (data: Buffer) => socket.write(`echo ${data.toString()}`))
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    open,
    async arrived(line) {
      for (;;) {
        const response = held.get(line)
        if (response !== undefined) return response
        await once(events, 'arrived')
      }
    },
    async idle() {
      while (open.size > 0) await once(events, 'closed')
      held.clear()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
