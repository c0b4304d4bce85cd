import type { Decision } from '../decision/decision.js'
import type { Release } from '../release/release.js'

/** A decision, as it is kept on its raw request. */
export interface DecisionEntry {
  decision: Decision
  readonly release: Release | null
  /** The release, or the mount where there is none: what decides a request once. */
  readonly key: object
  /** What another release decided for the same request before. */
  readonly before: DecisionEntry | undefined
}

/** Kept on the request itself: a WeakMap costs each request half a microsecond, most of it when garbage is collected. */
const DECISIONS = Symbol('canary')

/** Any request of Node's, with the latest of its decisions. */
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

/** Keeps a decision on its raw request under `key`. */
export function addDecision(
  raw: DecidedRequest,
  decision: Decision,
  release: Release | null,
  key: object,
): DecisionEntry {
  const entry = { decision, release, key, before: raw[DECISIONS] }
  raw[DECISIONS] = entry
  return entry
}

/**
 * Counts a request as failed although its status does not say so: for an application that knows better. `raw` is the
 * request of `node:http` (`req` in Express, `ctx.req` in Koa, `request.raw` in Fastify). Each release that decided it
 * is told; without a decision nothing happens.
 */
export function failRequest(raw: DecidedRequest, reason: string): void {
  for (let entry = raw[DECISIONS]; entry !== undefined; entry = entry.before) {
    entry.release?.fail(entry.decision, reason)
  }
}
