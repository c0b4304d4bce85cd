import { AsyncLocalStorage } from 'node:async_hooks'
import type { Decision } from '../decision/decision.js'

const storage = new AsyncLocalStorage<Decision>()

/**
 * The decision of the request that this code runs for, in rewrite mode and in in-process handlers, so that outbound
 * calls can carry it on; `undefined` elsewhere.
 */
export function currentDecision(): Decision | undefined {
  return storage.getStore()
}

export function runWith<Result>(decision: Decision, run: () => Result): Result {
  return storage.run(decision, run)
}
