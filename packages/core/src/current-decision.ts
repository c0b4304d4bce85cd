import type { Decision } from './decision/decision.js'
import { rememberDecisions } from './request-context.js'

const decisions = rememberDecisions()

/**
 * The decision of the request that this code runs for, so that outbound calls and log lines can carry it on: in
 * handlers and in what follows a canary in rewrite mode, and in all that a forwarded request calls, from its hooks to
 * the error handler and the listeners of its response. After a fallback it is the new one. `undefined` elsewhere.
 */
export function currentDecision(): Decision | undefined {
  return decisions.getStore()
}
