import { type IncomingMessage, createServer } from 'node:http'
import { Duplex } from 'node:stream'
import { Server as TlsServer } from 'node:tls'
import { Socket } from 'node:net'
import type { EventEmitter } from 'node:events'

/** Node keeps about as many header lines, unless `maxHeadersCount` says another number. */
const HEADERS_KEPT = 1000

/**
 * Hands a server the head of a request anew, with or without the upgrade that it asked for, and all that came after it:
 * where anybody listens for upgrades, Node reads none of it as a request. (Where its `shouldUpgradeCallback` says no, it
 * loses what was pipelined behind.) False where that cannot be: among the headers that were not kept, one may say how
 * long the body is.
 */
export function readAgain(
  server: EventEmitter,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  keepsUpgrade: boolean,
): boolean {
  const { method, url, httpVersion, rawHeaders } = request
  const kept = headersKept(server)
  // Node gives a stream of its own where it still reads the body.
  if (request.complete !== true || socket !== request.socket) return false
  if (kept > 0 && rawHeaders.length >= 2 * kept) return false
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (keepsUpgrade || name.toLowerCase() !== 'upgrade') text += `${name}: ${rawHeaders[i + 1]}\r\n`
  }
  if (head.length > 0) socket.unshift(head)
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), ...bodyRead(request)]))
  forgetServer(socket)
  return server.emit(server instanceof TlsServer ? 'secureConnection' : 'connection', socket)
}

function headersKept(server: object): number {
  const kept = 'maxHeadersCount' in server ? server.maxHeadersCount : null
  return typeof kept === 'number' ? kept : HEADERS_KEPT
}

/** The body of a request that asks for an upgrade, where Node has read it, as it may be sent again. */
function bodyRead(request: IncomingMessage): Buffer[] {
  const { headers } = request
  const chunked = headers['transfer-encoding'] !== undefined
  if (!chunked && headers['content-length'] === undefined) return []
  if (!(readsBodies ??= probeBodies())) return []
  const pieces: Buffer[] = []
  for (let piece: Buffer | null = request.read(); piece !== null; piece = request.read()) pieces.push(piece)
  if (!chunked) return pieces
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const trailers = request.rawTrailers.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
  const start = length === 0 ? [] : [Buffer.from(`${length.toString(16)}\r\n`), ...pieces, Buffer.from('\r\n')]
  return [...start, Buffer.from(`0\r\n${trailers}\r\n`, 'latin1')]
}

let readsBodies: boolean | undefined

/** Whether Node reads the body of a request that asks for an upgrade, as 26 does, or leaves it to whoever takes that. */
function probeBodies(): boolean {
  const BODY = '0\r\n\r\n'
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
  let left = 0
  const server = createServer().on('upgrade', (_request, _socket, head: Buffer) => {
    left = head.length
  })
  server.emit('connection', socket)
  const asks = 'POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n'
  socket.emit('data', Buffer.from(asks + BODY))
  socket.destroy()
  return left === 0
}

/** Takes off what a server has left on a socket that it is given again. */
function forgetServer(socket: Duplex): void {
  // The time between two requests would go on.
  if (socket instanceof Socket) socket.setTimeout(0)
  for (const event of ['pause', 'resume']) {
    for (const listener of socket.listeners(event)) {
      if (/^onSocket(?:Pause|Resume)$/.test(listener.name)) socket.off(event, listener as () => void)
    }
  }
}
