import { once } from 'node:events'
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net'

/** What an upstream does with one request on one connection; `head` is what came of the request so far. */
export type Behaviour = (socket: Socket, request: { readonly head: string; readonly count: number }) => void

export interface FaultUpstream {
  readonly port: number
  readonly sockets: ReadonlySet<Socket>
  close(): Promise<void>
}

/**
 * A server that misbehaves as the first segment of the path says: `/reset-after-request/…`. `count` is how many
 * requests the connection has had, so that a fault may strike a reused one.
 */
export async function startFaultUpstream(behaviours: ReadonlyMap<string, Behaviour>): Promise<FaultUpstream> {
  const sockets = new Set<Socket>()
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    let received = ''
    let count = 0
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      for (;;) {
        const end = received.indexOf('\r\n\r\n')
        if (end === -1 || !/^[A-Z]+ \//.test(received)) return
        const head = received.slice(0, end + 4)
        // Bodies are not parsed: what follows the head and is no request line is passed over.
        received = received.slice(end + 4)
        count += 1
        const name = /^[A-Z]+ \/([^/? ]+)/.exec(head)?.[1] ?? ''
        const behaviour = behaviours.get(name)
        if (behaviour === undefined) socket.destroy(new Error(`no behaviour ${name}`))
        else behaviour(socket, { head, count })
      }
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A good response, kept alive. */
export function answer(socket: Socket, body = 'good'): void {
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
}

/** Resets once all that was written has been sent. */
export function resetAfter(socket: Socket, text: string): void {
  if (text === '') socket.resetAndDestroy()
  else socket.write(text, () => setImmediate(() => socket.resetAndDestroy()))
}
