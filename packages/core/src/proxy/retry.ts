import type { Attempt } from './forwarder.js'

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])
const CLOSED = new Set<unknown>(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])

/** Whether sending a request twice does what sending it once does, and it can be sent twice. */
export function isRepeatable({ request, hasBody }: Attempt): boolean {
  return !hasBody && IDEMPOTENT.has(request.method ?? '')
}

/**
 * Whether a request may be sent once more because the idle connection it was sent on turned out to be closed. The
 * caller knows that the connection had been used before and that no byte of an answer came.
 */
export function mayRepeat(attempt: Attempt, error: Error): boolean {
  return isRepeatable(attempt) && 'code' in error && CLOSED.has(error.code)
}
