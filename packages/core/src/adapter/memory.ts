import type { Decision } from '../decision/decision.js'
import type { PlacedRelease } from '../place.js'

/** A decision as it is remembered for its raw request. */
export interface Remembered {
  decision: Decision
  readonly release: PlacedRelease | null
  /** The release, or the mount where there is none: what decides a request once. */
  readonly key: object
  /** What another release decided for the same request before. */
  readonly before: Remembered | undefined
}

/** Kept on the request itself: a WeakMap costs each request half a microsecond, most of it when garbage is collected. */
const LATEST = Symbol('canary')

/** Any request of Node's, as what is remembered sees it. */
interface Remembering {
  readonly headers: object
  [LATEST]?: Remembered
}

/** What was decided for a raw request under `key`. */
export function recall(raw: Remembering, key: object): Remembered | undefined {
  let entry = raw[LATEST]
  while (entry !== undefined && entry.key !== key) entry = entry.before
  return entry
}

export function remember(raw: Remembering, decision: Decision, release: PlacedRelease | null, key: object): Remembered {
  const entry = { decision, release, key, before: raw[LATEST] }
  raw[LATEST] = entry
  return entry
}

/**
 * Counts a request as failed although its status does not say so: for an application that knows better. `raw` is the
 * request of `node:http` (`req` in Express, `ctx.req` in Koa, `request.raw` in Fastify). Each release that decided it
 * is told; without a decision nothing happens.
 */
export function failRequest(raw: Remembering, reason: string): void {
  for (let entry = raw[LATEST]; entry !== undefined; entry = entry.before) {
    entry.release?.fail(entry.decision, reason)
  }
}
