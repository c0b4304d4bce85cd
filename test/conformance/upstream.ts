import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What an upstream saw of a request: its answer to all paths but those below. */
export interface Echo {
  readonly name: string
  readonly method: string
  readonly url: string
  readonly rawHeaders: string[]
  readonly headers: Record<string, string>
  readonly body: string
  readonly length: number
  readonly sha1: string
}

export interface Upstream {
  readonly url: string
  readonly server: Server
  /** Requests that arrived. */
  readonly seen: string[]
  close(): Promise<void>
}

type Answer = (request: IncomingMessage, response: ServerResponse, name: string) => void

const MEGABYTE = Buffer.alloc(1_048_576, 'x')

const ANSWERS: Record<string, Answer> = {
  '/status': (request, response) => {
    response.statusCode = Number(/\/status\/(\d+)/.exec(request.url ?? '')?.[1] ?? 500)
    response.setHeader('x-status', 'as asked')
    response.end(response.statusCode === 204 || response.statusCode === 304 ? undefined : 'status')
  },
  '/cookies': (_request, response) => {
    response.setHeader('set-cookie', ['a=1', 'b=2'])
    response.setHeader('x-both', 'upstream')
    response.setHeader('vary', 'accept')
    response.end('cookies')
  },
  '/trailers': (_request, response) => {
    response.setHeader('trailer', 'x-sum')
    response.write('body')
    response.addTrailers({ 'x-sum': '42' })
    response.end()
  },
  '/hints': (_request, response) =>
    response.writeEarlyHints({ link: '</style.css>; rel=preload' }, () => response.end('hinted')),
  '/die': (_request, response) => {
    response.setHeader('content-length', 100)
    response.write('half', () => setImmediate(() => response.destroy()))
  },
  '/reset': (request) => request.socket.resetAndDestroy(),
  '/hang': () => {},
  '/events': (_request, response) => {
    response.setHeader('content-type', 'text/event-stream')
    response.write('data: 1\n\n')
    // The second event comes once the client has asked for it: what is held back would never be seen.
    response.on('close', () => eventStreams.delete(response))
    eventStreams.add(response)
  },
  '/next-event': (_request, response) => {
    for (const stream of eventStreams) stream.end('data: 2\n\n')
    response.end('sent')
  },
  '/megabytes': (request, response) => {
    let left = Number(/\/megabytes\/(\d+)/.exec(request.url ?? '')?.[1] ?? 1)
    const more = () => {
      while (left > 0) {
        left -= 1
        if (!response.write(MEGABYTE)) return void response.once('drain', more)
      }
      response.end()
    }
    more()
  },
}
const eventStreams = new Set<ServerResponse>()

export async function startUpstream(name: string): Promise<Upstream> {
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    const path = /^(?:\/base)?(\/[^/?]*)/.exec(request.url ?? '')?.[1] ?? ''
    const answer = ANSWERS[path]
    if (answer === undefined) void echo(name, request, response)
    else answer(request, response, name)
  })
  server.on('upgrade', (request, socket, head) => {
    seen.push(`UPGRADE ${request.url}`)
    socket.on('error', () => {})
    if (request.url?.startsWith('/refuse'))
      return void socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Name: ${name}\r\n\r\n`)
    if (head.length > 0) socket.write(head)
    return void socket.pipe(socket)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    seen,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function echo(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = createHash('sha1')
  let length = 0
  let body = ''
  try {
    for await (const chunk of request) {
      const bytes = chunk as Buffer
      hash.update(bytes)
      length += bytes.length
      if (length <= 10_000) body += bytes.toString('latin1')
    }
  } catch {
    return
  }
  const { method = '', url = '', rawHeaders, headers } = request
  response.setHeader('content-type', 'application/json')
  response.setHeader('x-name', name)
  response.end(JSON.stringify({ name, method, url, rawHeaders, headers, body, length, sha1: hash.digest('hex') }))
}
