import { ServerResponse } from 'node:http'
import { Http2ServerResponse, constants } from 'node:http2'
import type { RawResponse } from '../../node-http.js'

// What the two kinds of response do differently, so that nobody else has to tell them apart.

/** Whether nothing can be written to the client any more. */
export function isGone(response: RawResponse): boolean {
  if (response instanceof Http2ServerResponse) return response.stream.destroyed
  // The response is told when the socket has closed, which is later. What is injected may have none.
  return response.destroyed || response.req.socket?.destroyed === true
}

/** Whether the client left, also where the response is queued behind another one of its connection and has no socket yet. */
export function hasLeft(response: RawResponse): boolean {
  if (isGone(response)) return true
  return !(response instanceof Http2ServerResponse) && !(response.socket ?? response.req.socket).writable
}

/**
 * Whether Node tells of this response's end in another's context: in nobody's on HTTP/2, and where it waits behind
 * another response on its connection, in that one's.
 */
export function endsElsewhere(response: RawResponse): boolean {
  return response instanceof Http2ServerResponse || response.socket === null
}

/** Whether a response that was ended did not reach the client whole. */
export function wasCutShort(response: RawResponse): boolean {
  return response instanceof Http2ServerResponse ? response.stream.rstCode !== 0 : !response.writableFinished
}

/** Cuts the client off, so that a response that is not whole does not look whole. */
export function cutOff(response: RawResponse): void {
  if (response instanceof Http2ServerResponse) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  else response.destroy()
}

/** Writes a piece of the body; false where the client takes no more for now. */
export function writeBody(response: RawResponse, chunk: Buffer): boolean {
  return response instanceof Http2ServerResponse ? response.write(chunk) : response.write(chunk)
}

/**
 * Ends a response with all of its body, in one write of one string where that can be: Node makes two of them and a
 * `writev` otherwise, which takes twice as long. As latin-1, bytes stay what they are. Not where somebody replaced
 * `write` or `end`, for they might expect a Buffer.
 */
export function endWith(response: RawResponse, chunk: Buffer): void {
  if (response instanceof Http2ServerResponse) response.end(chunk)
  else if (response.end !== ServerResponse.prototype.end || response.write !== ServerResponse.prototype.write) {
    response.end(chunk)
  } else if (response.chunkedEncoding || response.socket === null) response.end(chunk.toString('latin1'), 'latin1')
  else {
    response.write(chunk.toString('latin1'), 'latin1')
    // Node has corked the socket until the next tick, to wait for more.
    response.socket.uncork()
    response.end()
  }
}

/** Sends a head that Node holds back until there is a body. HTTP/2 never does. */
export function flushHead(response: RawResponse): void {
  if (!(response instanceof Http2ServerResponse)) response.flushHeaders()
}

/** Makes this response the connection's last: what is left of the request would be taken for the next one. */
export function closeAfter(response: RawResponse): void {
  if (!(response instanceof Http2ServerResponse)) response.shouldKeepAlive = false
}
