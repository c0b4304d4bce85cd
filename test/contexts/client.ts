import { once } from 'node:events'
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'

export interface Asked {
  readonly status: number
  readonly bytes: number
}

/** Sends requests of different users on a few connections that stay open. */
export class Client {
  readonly port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 6 })

  constructor(port: number) {
    this.port = port
  }

  /** One request and its answer; status 0 where the connection was cut. */
  async ask(path: string, id: string, body?: Buffer): Promise<Asked> {
    const request = httpRequest({
      port: this.port,
      host: '127.0.0.1',
      path,
      method: body === undefined ? 'GET' : 'POST',
      headers: { 'x-id': id },
      agent: this.#agent,
    })
    request.end(body)
    let bytes = 0
    try {
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      for await (const chunk of response) {
        bytes += chunk.length
        // Slower than the upstream, so that what it sends waits for the client.
        if (path === '/large') await new Promise((resolve) => setImmediate(resolve))
      }
      return { status: response.statusCode ?? 0, bytes }
    } catch {
      return { status: 0, bytes }
    }
  }

  /** A request whose client leaves once it is under way. */
  async leave(path: string, id: string, underWay: () => Promise<unknown>): Promise<void> {
    const request = httpRequest({ port: this.port, host: '127.0.0.1', path, headers: { 'x-id': id }, agent: false })
    request.on('error', () => {}).end()
    await underWay()
    request.destroy()
  }

  /** An upgrade: its status, and the socket where it is a tunnel now. */
  async upgrade(path: string, id: string): Promise<{ status: number; socket: Duplex | null }> {
    const headers = { 'x-id': id, connection: 'Upgrade', upgrade: 'echo' }
    const request = httpRequest({ port: this.port, host: '127.0.0.1', path, headers, agent: false })
    request.end()
    const answer = Promise.race([
      once(request, 'upgrade').then(([, socket]) => ({ status: 101, socket: socket as Duplex })),
      once(request, 'response').then(([response]) => {
        const { statusCode = 0 } = (response as IncomingMessage).resume()
        return { status: statusCode, socket: null }
      }),
    ])
    return answer.catch(() => ({ status: 0, socket: null }))
  }

  /** Several requests in one packet; resolves when the server has answered them all and closed. */
  async pipeline(paths: readonly (readonly [path: string, id: string])[]): Promise<string> {
    const socket = connect(this.port, '127.0.0.1')
    const last = paths.length - 1
    const heads = paths.map(([path, id], index) => {
      const connection = index === last ? 'close' : 'keep-alive'
      return `GET ${path} HTTP/1.1\r\nhost: a\r\nx-id: ${id}\r\nconnection: ${connection}\r\n\r\n`
    })
    socket.write(heads.join(''))
    let text = ''
    for await (const chunk of socket) text += chunk
    return text
  }

  close(): void {
    this.#agent.destroy()
  }
}
