import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'

/** Node keeps about as many header lines, unless `maxHeadersCount` says another number. */
const HEADERS_KEPT = 1000

/** Node 26 and later read the body of an upgrade as any other; before, its bytes stand in front of what follows. */
const READS_BODIES = Number(process.versions.node.split('.', 1)[0]) >= 26

/**
 * Hands a server the head of a request anew, without the upgrade that it asked for, and all that came after it: where
 * anybody listens for upgrades, Node reads none of it as a request. (Where its `shouldUpgradeCallback` says no, it loses
 * what was pipelined behind.) False where that cannot be: among the headers that were not kept, one may say how long the
 * body is; or a part of the body is still to come ({@link bringsBody}).
 */
export function readAgain(
  server: Server | SecureServer,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): boolean {
  const { method, url, httpVersion, rawHeaders } = request
  const kept = server.maxHeadersCount ?? HEADERS_KEPT
  if (!request.complete) return false
  if (kept > 0 && rawHeaders.length >= 2 * kept) return false
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.toLowerCase() !== 'upgrade') text += `${name}: ${rawHeaders[i + 1]}\r\n`
  }
  const body = bodyAgain(request)
  if (head.length > 0) socket.unshift(head)
  if (body !== null && body.length > 0) socket.unshift(body)
  socket.unshift(Buffer.from(`${text}\r\n`, 'latin1'))
  return server.emit(socket instanceof TLSSocket ? 'secureConnection' : 'connection', socket)
}

/** The bytes of a body that Node has read; without them, what follows would be taken for it. */
function bodyAgain(request: IncomingMessage): Buffer | null {
  const pieces: Buffer[] = []
  for (let piece: Buffer | null = request.read(); piece !== null; piece = request.read()) pieces.push(piece)
  const body = Buffer.concat(pieces)
  if (request.headers['transfer-encoding'] === undefined) return body
  if (body.length === 0 && !READS_BODIES) return null
  let trailers = ''
  for (let i = 0; i + 1 < request.rawTrailers.length; i += 2) {
    trailers += `${request.rawTrailers[i]}: ${request.rawTrailers[i + 1]}\r\n`
  }
  const chunk = body.length === 0 ? [] : [Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')]
  return Buffer.concat([...chunk, Buffer.from(`0\r\n${trailers}\r\n`, 'latin1')])
}

/**
 * Whether the body of a request whose upgrade is ignored arrives as that of any other, so that the application can take
 * it at once. Its answer is the last on the connection: what follows the body is given out as the upgrade's.
 */
export function bringsBody(request: IncomingMessage): boolean {
  return READS_BODIES && !request.complete
}

/** Does for a response what Node's server does for those that it makes itself, and not for one that follows an upgrade. */
export function serveAsOrdinary(request: IncomingMessage, response: ServerResponse, upgrade: Duplex): void {
  request.socket.on('drain', () => {
    if (response.writableNeedDrain) response.emit('drain')
  })
  response.on('finish', () => {
    // What follows the body is for nobody. Unread, it would make the system reset the connection.
    upgrade.resume()
    process.nextTick(() => {
      response.destroyed = true
      response.emit('close')
    })
  })
  if (/^100-continue$/i.test(request.headers.expect ?? '')) response.writeContinue()
}
