import type { Decision } from '../decision/decision.js'
import type { Plan } from '../decision/plan.js'
import type { RawResponse } from '../node-http.js'
import { joinVary } from '../proxy/response/vary.js'

/** What the responses of a mount say of their decisions. */
export class DecisionHeaders {
  /** The header that names the upstream; `null`: none does. */
  readonly exposeHeader: string | null
  /** What a cache must tell apart, by the plan that it was worked out for. */
  #vary = '*'
  #plan: Plan | null = null

  constructor(exposeHeader: string | null) {
    this.exposeHeader = exposeHeader
  }

  /** Names the upstream and gives the visitor its cookie. Called before the head goes out; what is there is kept. */
  set(response: RawResponse, plan: Plan | null, decision: Decision): void {
    const { exposeHeader } = this
    if (exposeHeader !== null) {
      response.setHeader(exposeHeader, decision.upstream)
      response.setHeader('vary', joinVary(response.getHeader('vary'), this.#varyOf(plan)))
    }
    if (decision.setCookie !== undefined) setVisitorCookie(response, decision.setCookie)
  }

  #varyOf(plan: Plan | null): string {
    if (plan !== this.#plan) {
      this.#plan = plan
      this.#vary = varyOf(plan)
    }
    return this.#vary
  }
}

/** `*` where the side hangs on more than headers: no cache may then answer for both versions. */
function varyOf(plan: Plan | null): string {
  if (plan === null || plan.hash.by !== 'header') return '*'
  return [plan.hash.name, plan.overrideHeader, plan.overrideCookie === null ? null : 'cookie']
    .filter((name) => name !== null)
    .join(', ')
}

function setVisitorCookie(response: RawResponse, cookie: string): void {
  const present = response.getHeader('set-cookie')
  const cookies = present === undefined ? [] : Array.isArray(present) ? present : [String(present)]
  response.setHeader('set-cookie', [...cookies, cookie])
  // One visitor's cookie must not be handed to another by a cache.
  const control = String(response.getHeader('cache-control') ?? '')
  if (!/\b(?:private|no-store)\b/i.test(control)) response.setHeader('cache-control', 'private')
}
