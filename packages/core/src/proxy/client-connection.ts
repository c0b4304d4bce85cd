import { Http2ServerResponse, constants } from 'node:http2'
import type { RawResponse } from './forwarder.js'

/** Whether nothing can be written to the client any more. */
export function isGone(response: RawResponse): boolean {
  return response instanceof Http2ServerResponse ? response.stream.destroyed : response.destroyed
}

/** Whether a response that was ended did not reach the client whole. */
export function wasCutShort(response: RawResponse): boolean {
  return response instanceof Http2ServerResponse ? response.stream.rstCode !== 0 : !response.writableFinished
}

/** Cuts the client off, so that a response that is not whole does not look whole. */
export function endClientResponse(response: RawResponse): void {
  if (response instanceof Http2ServerResponse) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  else response.destroy()
}
