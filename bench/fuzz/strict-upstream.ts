import { once } from 'node:events'
import { type AddressInfo, type Socket, createServer } from 'node:net'
import { RequestReader } from './request-reader.js'

/** A raw server that takes nothing but what the grammar of HTTP/1.1 allows, and answers with the target it saw. */
export interface StrictUpstream extends AsyncDisposable {
  readonly port: number
  /** Whole requests that came. */
  readonly requests: number
  /** What came and should not have, each as a sentence with the bytes. */
  readonly faults: string[]
  /** Connections that are open. */
  readonly open: number
}

export async function startStrictUpstream(): Promise<StrictUpstream> {
  const faults: string[] = []
  const sockets = new Set<Socket>()
  let requests = 0
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    const reader = new RequestReader()
    let tunnelled = false
    socket.on('data', (chunk) => {
      if (tunnelled) return void socket.write(chunk)
      try {
        const request = reader.read(chunk.toString('latin1'))
        if (request === null) return
        requests += 1
        tunnelled = request.upgrade !== null
        socket.write(answer(request), 'latin1')
        if (tunnelled && reader.rest() !== '') socket.write(reader.rest(), 'latin1')
      } catch (error) {
        faults.push(`${String(error)}: ${JSON.stringify(reader.text)}`)
        socket.destroy()
      }
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    get requests() {
      return requests
    },
    faults,
    get open() {
      return sockets.size
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function answer({ method, target, upgrade }: { method: string; target: string; upgrade: string | null }): string {
  if (upgrade !== null) {
    const protocol = upgrade.split(',', 1)[0]?.trim() ?? ''
    return `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`
  }
  const body = `<<${target}>>`
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${method === 'HEAD' ? '' : body}`
}
