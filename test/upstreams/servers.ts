import { once } from 'node:events'
import { type RequestListener, type Server, createServer } from 'node:http'
import { type ServerOptions, createServer as createSecureServer } from 'node:https'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, type Server as NetServer, type Socket, createServer as createNetServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocketServer } from 'ws'
import { pem } from './gateways.js'

/** An upstream of a test; it takes its connections with it. */
export interface Upstream<Listening extends NetServer = Server> extends AsyncDisposable {
  readonly server: Listening
  /** 0 on a Unix socket. */
  readonly port: number
  readonly sockets: ReadonlySet<Socket>
}

async function serving<Listening extends NetServer>(
  server: Listening,
  at: { port: 0; host: string } | { path: string },
): Promise<Upstream<Listening>> {
  const sockets = new Set<Socket>()
  keep(server, sockets)
  await once(server.listen(at), 'listening')
  const address = server.address()
  return {
    server,
    sockets,
    port: isAddress(address) ? address.port : 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function keep(server: NetServer, sockets: Set<Socket>): void {
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
}

const LOOPBACK = { port: 0, host: '127.0.0.1' } as const

export const plainUpstream = (listener: RequestListener): Promise<Upstream> => serving(createServer(listener), LOOPBACK)

/** Accepts connections and reads them, and never says a word. */
export const silentUpstream = (): Promise<Upstream<NetServer>> =>
  serving(
    createNetServer((socket) => void socket.resume()),
    LOOPBACK,
  )

/** Speaks TLS as `upstream.test`. */
export function secureUpstream(listener: RequestListener, options: ServerOptions = {}): Promise<Upstream> {
  const server = createSecureServer({ cert: pem('server'), key: pem('server-key'), ...options }, listener)
  // What a client sends after an alert, or a certificate that is refused, must not end the process.
  server.on('tlsClientError', () => {})
  return serving(server, LOOPBACK)
}

/** On a Unix socket, in a folder that goes with it. */
export async function unixUpstream(listener: RequestListener): Promise<Upstream & { readonly socketPath: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'canary-'))
  const socketPath = join(folder, 'upstream.sock')
  const upstream = await serving(createServer(listener), { path: socketPath })
  return {
    ...upstream,
    socketPath,
    async [Symbol.asyncDispose]() {
      await upstream[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Echoes WebSocket messages on an upstream. */
export function echoing({ server }: Upstream): WebSocketServer {
  const echo = new WebSocketServer({ server })
  echo.on('connection', (client) => {
    client.on('error', () => {})
    client.on('message', (data, isBinary) => client.send(data, { binary: isBinary }))
  })
  return echo
}

function isAddress(address: unknown): address is AddressInfo {
  return typeof address === 'object' && address !== null && 'port' in address
}
