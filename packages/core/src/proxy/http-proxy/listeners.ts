import type ProxyServer from 'http-proxy'
import { disown, isPromise } from '../../hook.js'

/** Listeners that may change the request or the response, which must not go on half changed. */
export const CHANGING: ReadonlySet<string> = new Set(['start', 'proxyReq', 'proxyRes'])

interface Listener {
  readonly call: (...args: unknown[]) => unknown
  readonly context: unknown
  /** To be removed before it is called; `rawListeners` of Node's emitter do that themselves. */
  readonly once: boolean
}

/**
 * Emits an event of a server's as it would itself, except that nothing comes back: `failed` is told of what a listener
 * throws or rejects with. `emit` alone would let a rejection end the process, and a throw most often.
 */
export function emitTo(
  proxy: ProxyServer,
  name: string,
  args: readonly unknown[],
  failed: (error: unknown) => void,
): boolean {
  const listeners = listenersOf(proxy, name)
  for (const { call, context, once } of listeners) {
    try {
      if (once) Reflect.apply(proxy.removeListener, proxy, [name, call, undefined, true])
      const returned: unknown = Reflect.apply(call, context, args)
      if (isPromise(returned)) disown(returned, failed)
    } catch (error) {
      failed(error)
    }
  }
  return listeners.length > 0
}

/** The server as the passes of http-proxy know it, whose events go through `emit`. */
export function withEmit(proxy: ProxyServer, emit: (name: string, args: readonly unknown[]) => boolean): ProxyServer {
  return Object.create(proxy, { emit: { value: (name: string, ...args: unknown[]) => emit(name, args) } })
}

/** http-proxy's emitter is eventemitter3, which keeps a context with each listener; later forks have Node's own. */
function listenersOf(proxy: ProxyServer, name: string): readonly Listener[] {
  if ('rawListeners' in proxy && typeof proxy.rawListeners === 'function') {
    return functionsOf(proxy.rawListeners(name)).map((call) => ({ call, context: proxy, once: false }))
  }
  const events: unknown = Reflect.get(proxy, '_events')
  const kept: unknown = typeof events === 'object' && events !== null ? Reflect.get(events, name) : undefined
  const entries: unknown[] = Array.isArray(kept) ? kept : [kept]
  if (kept !== undefined && entries.every(isEntry)) {
    return entries.map(({ fn, context, once }) => ({ call: fn, context: context ?? proxy, once: once === true }))
  }
  return functionsOf(proxy.listeners(name)).map((call) => ({ call, context: proxy, once: false }))
}

type Call = Listener['call']

function isEntry(entry: unknown): entry is { readonly fn: Call; readonly context?: unknown; readonly once?: unknown } {
  return typeof entry === 'object' && entry !== null && 'fn' in entry && typeof entry.fn === 'function'
}

function functionsOf(listeners: unknown): readonly Call[] {
  return Array.isArray(listeners) ? listeners.filter((one): one is Call => typeof one === 'function') : []
}
