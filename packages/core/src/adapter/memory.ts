import type { Decision } from '../decision/decision.js'
import type { Release } from '../release/release.js'

/** A decision as it is remembered for its raw request. */
export interface Remembered {
  decision: Decision
  readonly release: Release | null
  /** The release, or the mount where there is none: what decides a request once. */
  readonly key: object
  /** What another release decided for the same request before. */
  readonly before: Remembered | undefined
}

const latest = new WeakMap<object, Remembered>()

/** What was decided for a raw request under `key`. */
export function recall(raw: object, key: object): Remembered | undefined {
  let entry = latest.get(raw)
  while (entry !== undefined && entry.key !== key) entry = entry.before
  return entry
}

export function remember(raw: object, decision: Decision, release: Release | null, key: object): Remembered {
  const entry = { decision, release, key, before: latest.get(raw) }
  latest.set(raw, entry)
  return entry
}

/**
 * Counts a request as failed although its status does not say so: for an application that knows better. `raw` is the
 * request of `node:http` (`req` in Express, `ctx.req` in Koa, `request.raw` in Fastify). Each release that decided it
 * is told; without a decision nothing happens.
 */
export function failRequest(raw: object, reason: string): void {
  for (let entry = latest.get(raw); entry !== undefined; entry = entry.before) {
    entry.release?.fail(entry.decision, reason)
  }
}
