import { Http2ServerRequest } from 'node:http2'
import { Duplex } from 'node:stream'
import type { RawRequest } from '../../node-http.js'

// What the two kinds of request do differently while their body comes in.

/**
 * The stream that a request's bytes come from: the client sends no more while it is paused. `null` where there is none:
 * requests that were made up (`inject` of Fastify) have all of their body in memory.
 */
export function connectionOf(request: RawRequest): Duplex | null {
  const connection: Partial<Duplex> = request instanceof Http2ServerRequest ? request.stream : request.socket
  return connection instanceof Duplex ? connection : null
}

/** Whether bytes of the body have come that nobody has read, or all of them: the client is not waited for then. */
export function isHeldBack(request: RawRequest): boolean {
  if (request.readableLength > 0 || request.readableEnded) return true
  if (!(request instanceof Http2ServerRequest)) return request.complete
  return request.stream.readableLength > 0 || request.stream.readableEnded
}
