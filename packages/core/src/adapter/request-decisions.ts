import type { Decision } from '../decision/decision.js'
import type { RawRequest } from '../node-http.js'
import type { PlacedRelease } from '../place.js'

/** A decision as it is remembered for its raw request. */
export interface DecisionEntry {
  decision: Decision
  readonly release: PlacedRelease | null
  /** The release, or the mount where there is none: what decides a request once. */
  readonly key: object
  /** What another release decided for the same request before. */
  readonly before: DecisionEntry | undefined
}

/**
 * Kept on the request itself: a WeakMap costs each request half a microsecond, most of it when garbage is collected.
 * Two copies of this package know each other's decisions, so that `fail` of any of them is heard.
 */
const DECISIONS: unique symbol = Symbol.for('canary-release.decisions.1')

/** Any request of Node's, as what is remembered sees it. */
interface DecidedRequest {
  readonly headers: object
  [DECISIONS]?: DecisionEntry
}

/** What was decided for a raw request under `key`. */
export function findDecision(raw: DecidedRequest, key: object): DecisionEntry | undefined {
  let entry = raw[DECISIONS]
  while (entry !== undefined && entry.key !== key) entry = entry.before
  return entry
}

export function addDecision(
  raw: DecidedRequest,
  decision: Decision,
  release: PlacedRelease | null,
  key: object,
): DecisionEntry {
  const entry = { decision, release, key, before: raw[DECISIONS] }
  raw[DECISIONS] = entry
  return entry
}

/**
 * Counts a request as failed although its status does not say so: for an application that knows better. Each release
 * that decided the request hears of it, and so does its guard; if none did, nothing happens.
 *
 * @param request the request of `node:http`: `req` in Express, `ctx.req` in Koa, `request.raw` in Fastify
 * @param reason one short sentence for the guard's report, without data of the caller
 */
export function fail(request: RawRequest, reason: string): void {
  const raw: DecidedRequest = request
  for (let entry = raw[DECISIONS]; entry !== undefined; entry = entry.before) {
    entry.release?.fail(entry.decision, reason)
  }
}
