import { once } from 'node:events'
import { type AddressInfo, type Socket, createServer } from 'node:net'
import { ofAnyMount } from './recording-upstream.js'

/** A raw server that switches protocols, keeps every byte it gets, and closes a connection when it is told `END`. */
export interface UpgradeUpstream extends AsyncDisposable {
  readonly port: number
  readonly sockets: ReadonlySet<Socket>
  /** What is done with the head of each connection's first request. */
  behave: (socket: Socket, head: string) => void
  /** All that came since this was last called. */
  take(): string
}

export const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

export async function startUpgradeUpstream(): Promise<UpgradeUpstream> {
  const received: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const index = received.push('') - 1
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    let answered = false
    socket.on('data', (chunk) => {
      const text = (received[index] += chunk.toString('latin1'))
      const end = text.indexOf('\r\n\r\n')
      if (!answered && end !== -1) {
        answered = true
        upstream.behave(socket, text.slice(0, end + 4))
      }
      if (text.endsWith('END')) socket.end()
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const upstream: UpgradeUpstream = {
    port: (server.address() as AddressInfo).port,
    sockets,
    behave: answering(SWITCHED),
    take: () => {
      const text = ofAnyMount(received.join(''))
      received.fill('')
      return text
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return upstream
}

export const answering =
  (text: string): UpgradeUpstream['behave'] =>
  (socket) =>
    void socket.write(text, 'latin1')
