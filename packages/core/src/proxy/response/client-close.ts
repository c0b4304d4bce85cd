import { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import type { RawResponse } from '../../node-http.js'
import { isGone } from './client-connection.js'

// A response that is queued behind another one of its connection has no socket yet, and Node 20 tells it nothing when
// the client leaves: only the connection knows.

/** What the queued responses of a connection wait for: one listener for all, for a client may queue thousands. */
const queues = new WeakMap<Socket, Set<() => void>>()

/** Whether the client left or its connection was ended, so that this response cannot reach it any more. */
export function hasLeft(response: RawResponse): boolean {
  if (isGone(response)) return true
  return !(response instanceof Http2ServerResponse) && !(response.socket ?? response.req.socket).writable
}

/**
 * Calls `left` when the connection of a queued response closes, whether its turn has come by then or not. Returns what
 * takes that back; `null` for a response that is not queued, whose own `close` says it.
 */
export function onQueueClose(response: RawResponse, left: () => void): (() => void) | null {
  if (response instanceof Http2ServerResponse || response.socket !== null) return null
  const queue = queueOf(response.req.socket)
  queue.add(left)
  return () => queue.delete(left)
}

function queueOf(socket: Socket): Set<() => void> {
  const known = queues.get(socket)
  if (known !== undefined) return known
  const queue = new Set<() => void>()
  queues.set(socket, queue)
  socket.once('close', () => {
    for (const left of queue) left()
  })
  return queue
}
