import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import type { EventEmitter } from 'node:events'
import type { Decision } from './decision/decision.js'

// Whose code runs: that of one request, or nobody's. Sockets, timers and connections are shared by many requests, and
// what Node calls on them would see the AsyncLocalStorage stores of whoever opened them.

let decisions: AsyncLocalStorage<Decision> | null = null

/**
 * Called by the module of `currentDecision` as it is loaded. Until then nothing is stored: one storage in use makes
 * every promise and timer of the process dearer on Node 20 and 22, about 5 µs for each forwarded request.
 */
export function rememberDecisions(): AsyncLocalStorage<Decision> {
  return (decisions ??= new AsyncLocalStorage())
}

/** Runs code whose `currentDecision()` is this one. */
export function runWith<Result>(decision: Decision, run: () => Result): Result {
  return decisions === null ? run() : decisions.run(decision, run)
}

const MANUAL = { requireManualDestroy: true }

/**
 * The present context, for a request whose callbacks come from elsewhere: `runInAsyncScope` runs code in it. Whoever
 * keeps it calls `emitDestroy` at the end.
 */
export function captureContext(): AsyncResource {
  return new AsyncResource('CANARY_REQUEST', MANUAL)
}

const root = new AsyncResource('CANARY', MANUAL)

/**
 * Runs code outside of any request. Whatever outlives a request is made here: a socket of a pool or a repeating timer
 * would keep the stores of the request that made it alive, and show them to others.
 */
export function inRoot<Result>(run: () => Result): Result {
  return root.runInAsyncScope(run)
}

/** Makes all listeners of an emitter run in a context, whoever emits. */
export function emitIn(context: AsyncResource, emitter: EventEmitter): void {
  const { emit } = emitter
  emitter.emit = (...event) => context.runInAsyncScope(emit, emitter, ...event)
}
