import type { Decision } from '../decision/decision.js'
import type { HashRule, Plan } from '../decision/plan.js'
import type { RawResponse } from '../node-http.js'
import { joinVary } from '../proxy/response/vary.js'

/** What the response says of the decision; `null` where it says nothing. */
export interface DecisionHeaders {
  readonly exposeHeader: string | null
  /** What a cache must tell apart. */
  readonly vary: string
}

/** `*` where the side hangs on more than headers: no cache may then answer for both versions. */
export function compileDecisionHeaders(exposeHeader: string | null, plan: Plan | null): DecisionHeaders {
  return { exposeHeader, vary: plan === null ? '*' : varyOf(plan.hash, plan.overrideHeader, plan.overrideCookie) }
}

function varyOf(hash: HashRule, overrideHeader: string | null, overrideCookie: string | null): string {
  if (hash.by !== 'header') return '*'
  return [hash.name, overrideHeader, overrideCookie === null ? null : 'cookie']
    .filter((name) => name !== null)
    .join(', ')
}

/** Whether a response says anything of its decision. */
export function hasDecisionHeaders({ exposeHeader }: DecisionHeaders, decision: Decision): boolean {
  return exposeHeader !== null || decision.setCookie !== undefined
}

/** Names the upstream and gives the visitor its cookie. Called before the head goes out; what is there is kept. */
export function setDecisionHeaders(
  response: RawResponse,
  { exposeHeader, vary }: DecisionHeaders,
  decision: Decision,
): void {
  if (exposeHeader !== null) {
    response.setHeader(exposeHeader, decision.upstream)
    response.setHeader('vary', joinVary(response.getHeader('vary'), vary))
  }
  if (decision.setCookie !== undefined) {
    const present = response.getHeader('set-cookie')
    const cookies = present === undefined ? [] : Array.isArray(present) ? present : [String(present)]
    response.setHeader('set-cookie', [...cookies, decision.setCookie])
    // One visitor's cookie must not be handed to another by a cache.
    const control = String(response.getHeader('cache-control') ?? '')
    if (!/\b(?:private|no-store)\b/i.test(control)) response.setHeader('cache-control', 'private')
  }
}
