import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** Milliseconds without a byte after which a client that has not sent all of its request is given up. */
const SILENT_MS = 2000
/** How many of these it gets at most. */
const MOST_ROUNDS = 15

const prepared = new WeakSet<Socket>()

/**
 * Lets a client that has not sent all of its request read the answer, when Node closes the connection behind it: bytes
 * that come on a closed connection make the system reset it, and the client loses what it has not read. So the
 * connection is only ended, and what still comes is read and dropped, until the request is whole or a limit is reached.
 */
export function closeLingering(request: IncomingMessage): void {
  const { socket } = request
  if (prepared.has(socket)) return
  prepared.add(socket)
  // What Node calls, once the last response of a connection was written.
  socket.destroySoon = () => {
    Reflect.deleteProperty(socket, 'destroySoon')
    if (request.complete || socket.destroyed) socket.destroySoon()
    else linger(request, socket)
  }
}

function linger(request: IncomingMessage, socket: Socket): void {
  const close = (): void => socket.destroySoon()
  let rounds = 0
  let bytesRead = socket.bytesRead
  const timer = setInterval(() => {
    rounds += 1
    if (rounds === MOST_ROUNDS || socket.bytesRead === bytesRead) close()
    bytesRead = socket.bytesRead
  }, SILENT_MS).unref()
  socket.on('close', () => clearInterval(timer))
  request.on('end', close)
  socket.end()
  request.resume()
}
