import { once } from 'node:events'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'

/** A link between a client and a server that can be cut as a network is: without a word to either side, or with one. */
export interface CutProxy extends AsyncDisposable {
  readonly port: number
  /** Nothing passes any more, in either direction; connections stay open. Unlike a stopped server, nothing comes later. */
  silence(): void
  /** Breaks all connections, and refuses new ones. */
  cut(): void
  /** Lets new connections pass. Those that were silenced are broken. */
  mend(): void
}

export async function startCutProxy(port: number): Promise<CutProxy> {
  let state: 'open' | 'silent' | 'cut' = 'open'
  const sockets = new Set<Socket>()
  const keep = (socket: Socket) => {
    sockets.add(socket.setNoDelay())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  }
  const server = createServer((client) => {
    keep(client)
    if (state === 'cut') {
      client.resetAndDestroy()
      return
    }
    if (state === 'silent') return
    const upstream = connect(port, '127.0.0.1')
    keep(upstream)
    const pass = (from: Socket, to: Socket) => {
      from.on('data', (chunk) => {
        if (state === 'open') to.write(chunk)
      })
      from.on('close', () => state !== 'silent' && to.destroy())
    }
    pass(client, upstream)
    pass(upstream, client)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const breakAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    silence: () => {
      state = 'silent'
    },
    cut: () => {
      state = 'cut'
      breakAll()
    },
    mend: () => {
      if (state === 'silent') breakAll()
      state = 'open'
    },
    async [Symbol.asyncDispose]() {
      breakAll()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
