import { once } from 'node:events'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'

/** A link between a client and a server that can be cut as a network is: without a word to either side, or with one. */
export interface CutProxy extends AsyncDisposable {
  readonly port: number
  /** Nothing passes any more, in either direction; connections stay open. Unlike a stopped server, nothing comes later. */
  silence(): void
  /** What clients send arrives; what the server answers is lost. */
  loseAnswers(): void
  /** Breaks all connections, and refuses new ones. */
  cut(): void
  /** Lets new connections pass. Those that were silenced are broken. */
  mend(): void
}

/** @param port of the server, or a function that says which one new connections go to */
export async function startCutProxy(port: number | (() => number)): Promise<CutProxy> {
  let state: 'open' | 'silent' | 'no-answers' | 'cut' = 'open'
  const isDeaf = () => state === 'silent' || state === 'no-answers'
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
    const upstream = connect(typeof port === 'number' ? port : port(), '127.0.0.1')
    keep(upstream)
    const pass = (from: Socket, to: Socket, isOpen: () => boolean) => {
      from.on('data', (chunk) => {
        if (isOpen()) to.write(chunk)
      })
      from.on('close', () => isDeaf() || to.destroy())
    }
    pass(client, upstream, () => state === 'open' || state === 'no-answers')
    pass(upstream, client, () => state === 'open')
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
    loseAnswers: () => {
      state = 'no-answers'
    },
    cut: () => {
      state = 'cut'
      breakAll()
    },
    mend: () => {
      if (isDeaf()) breakAll()
      state = 'open'
    },
    async [Symbol.asyncDispose]() {
      breakAll()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
