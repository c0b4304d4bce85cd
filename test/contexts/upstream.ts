import { EventEmitter, once } from 'node:events'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export interface TestUpstream {
  readonly url: string
  /** How many connections are open. */
  connections(): number
  /** How many connections were opened so far. */
  opened(): number
  /** Resolves when a path is asked for the next time. */
  asked(path: string): Promise<unknown>
  close(): Promise<void>
}

const LARGE = Buffer.alloc(1_000_000, 'x')
const answered = new WeakSet<Socket>()

/** What it does with each path; anything else is answered at once. */
const PATHS: Record<string, (request: IncomingMessage, response: ServerResponse) => unknown> = {
  '/large': (_request, response) => response.end(LARGE),
  '/echo': (request, response) => request.pipe(response),
  '/later': (_request, response) => setTimeout(() => response.end('later'), 5),
  '/die': ({ socket }) => socket.destroy(),
  '/half': (_request, response) => response.write('half', () => response.destroy()),
  '/silent': () => {},
  '/stalls': (_request, response) => response.write('half'),
  // As one does that closes idle connections just as they are used.
  '/stale': ({ socket }, response) => (answered.has(socket) ? socket.destroy() : response.end('fresh')),
}

/** An upstream that answers, upgrades and breaks off as the path says. */
export async function startUpstream(): Promise<TestUpstream> {
  const server = createServer((request, response) => {
    response.on('finish', () => answered.add(request.socket))
    request.on('error', () => {})
    const act = PATHS[request.url ?? '/']
    if (act === undefined) response.end('ok')
    else act(request, response)
  })
  server.on('upgrade', (request: IncomingMessage, socket: Socket) => {
    socket.on('error', () => {})
    if (request.url === '/die') return void socket.destroy()
    if (request.url === '/silent') return
    if (request.url !== '/tunnel') return void socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno')
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n')
    socket.pipe(socket)
  })
  const sockets = new Set<Socket>()
  let opened = 0
  server.on('connection', (socket) => {
    opened += 1
    sockets.add(socket.on('close', () => sockets.delete(socket)))
  })
  const paths = new EventEmitter()
  server.on('request', ({ url = '/' }) => paths.emit(url))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => sockets.size,
    opened: () => opened,
    asked: (path) => once(paths, path),
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
