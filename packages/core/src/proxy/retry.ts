import type { Attempt } from './forwarder.js'

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])
const CLOSED = new Set<unknown>(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])

/**
 * Whether a request may be sent once more because the idle connection it was sent on turned out to be closed. The
 * caller knows that the connection had been used before and that no byte of an answer came.
 */
export function mayRepeat({ request, hasBody }: Attempt, error: Error): boolean {
  return !hasBody && IDEMPOTENT.has(request.method ?? '') && 'code' in error && CLOSED.has(error.code)
}
