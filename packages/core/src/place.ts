import type { Decision, Outcome } from './decision/decision.js'
import type { Facts } from './decision/facts.js'
import type { Plan } from './decision/plan.js'
import type { Upstream } from './upstream.js'

/** A release, as whoever decides and forwards at one of its places knows it. */
export interface PlacedRelease {
  readonly name: string
  /** Decides by facts that are read only as far as a rule needs them. */
  decideBy(facts: Facts, plan: Plan): Decision
  /** Counts how an attempt ended. A failed attempt at B that A then serves is recorded as B's, before A's. */
  record(outcome: Outcome): void
  /** The decision that replaces one for B which A must serve (reason `fallback`), counted as such. */
  fallback(decision: Decision, plan: Plan): Decision
  fail(decision: Decision, reason: string): void
}

/**
 * Where the requests of a mount go: its two upstreams and the release between them. A release in code has one place, a
 * release of a registry one for each location A. The same object until anything of it changes.
 */
export interface ReleasePlace {
  readonly A: Upstream
  readonly B: Upstream
  /** The release's plan, with the origins of this place. */
  readonly plan: Plan
  /** Whether A serves the requests of a B that cannot be reached. */
  readonly upstreamFallback: boolean
  readonly release: PlacedRelease
}

/** A place of a registry at which no release is in force: all goes to A. */
export interface PlainPlace {
  readonly A: Upstream
  readonly B: null
  readonly plan: null
  readonly upstreamFallback: false
  readonly release: null
}

export type Place = ReleasePlace | PlainPlace
