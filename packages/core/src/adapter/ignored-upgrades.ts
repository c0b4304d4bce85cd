import type { IncomingMessage, Server } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'

/** Node keeps about as many header lines, unless `maxHeadersCount` says another number. */
const HEADERS_KEPT = 1000

/**
 * Hands a server the head of a request anew, without the upgrade that it asked for, and all that came after it: where
 * anybody listens for upgrades, Node reads none of it as a request. (Where its `shouldUpgradeCallback` says no, it loses
 * what was pipelined behind.) False where that cannot be: among the headers that were not kept, one may say how long the
 * body is.
 */
export function readAgain(
  server: Server | SecureServer,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): boolean {
  const { method, url, httpVersion, rawHeaders } = request
  const kept = server.maxHeadersCount ?? HEADERS_KEPT
  // What of the body was read already is not in `head`.
  if (!request.complete) return false
  if (kept > 0 && rawHeaders.length >= 2 * kept) return false
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.toLowerCase() !== 'upgrade') text += `${name}: ${rawHeaders[i + 1]}\r\n`
  }
  if (head.length > 0) socket.unshift(head)
  socket.unshift(Buffer.from(`${text}\r\n`, 'latin1'))
  return server.emit(socket instanceof TLSSocket ? 'secureConnection' : 'connection', socket)
}
