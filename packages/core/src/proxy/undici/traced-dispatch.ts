import { channel } from 'node:diagnostics_channel'
import type { Client, Dispatcher } from 'undici'
import { CREATED_CHANNEL, type DispatchOptions, createdHeaders } from './private-hooks.js'

/** Instrumentations put their headers into a request there. */
const created = channel(CREATED_CHANNEL)
/** Headers of which each hop sends its own in place of the one that it was sent. */
const TRACED: ReadonlySet<unknown> = new Set(['traceparent', 'tracestate', 'baggage'])

let isSubscribed = false
/** The channel is everybody's: of requests of others nothing is changed. */
let isOurs = false

/**
 * Dispatches a request so that of what an instrumentation adds to it and what the client had sent only the last is left,
 * which is the innermost span.
 */
export function dispatchTraced(client: Client, options: DispatchOptions, handler: Dispatcher.DispatchHandler) {
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
  const headers = createdHeaders(message)
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
