import { channel } from 'node:diagnostics_channel'
import type { Client, Dispatcher } from 'undici'

/** Undici tells there of every request as it is made: instrumentations put their headers into it. */
const created = channel('undici:request:create')
/** Headers of which each hop sends its own in place of the one that it was sent. */
const TRACED: ReadonlySet<unknown> = new Set(['traceparent', 'tracestate', 'baggage'])

let isSubscribed = false
/** The channel is everybody's: of requests of others nothing is changed. */
let isOurs = false

/**
 * Dispatches a request so that of what an instrumentation adds to it and what the client had sent only the last is left,
 * which is the innermost span.
 */
export function dispatchTraced(
  client: Client,
  options: Dispatcher.DispatchOptions,
  handler: Dispatcher.DispatchHandler,
) {
  if (!created.hasSubscribers) return client.dispatch(options, handler)
  // After those who add something: subscribers are called in the order in which they came.
  if (!isSubscribed) created.subscribe(keepInnermost)
  isSubscribed = true
  isOurs = true
  try {
    return client.dispatch(options, handler)
  } finally {
    isOurs = false
  }
}

function keepInnermost(message: unknown): void {
  if (!isOurs) return
  const headers = headersOf(message)
  if (headers === null) return
  const seen = new Set<unknown>()
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    const spelled = headers[i]
    const name = typeof spelled === 'string' ? spelled.toLowerCase() : spelled
    if (!TRACED.has(name)) continue
    if (seen.has(name)) headers.splice(i, 2)
    seen.add(name)
  }
}

/** Names and values in turn, as undici 6 and 7 keep them. */
function headersOf(message: unknown): unknown[] | null {
  if (typeof message !== 'object' || message === null || !('request' in message)) return null
  const { request } = message
  if (typeof request !== 'object' || request === null || !('headers' in request)) return null
  return Array.isArray(request.headers) ? request.headers : null
}
