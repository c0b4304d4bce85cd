import type { Plan } from '../../decision/plan.js'
import type { Release } from '../../release/release.js'
import type { UrlUpstream } from '../../upstream.js'

/** A consumer that the registry knows, as a decision needs it. */
export interface KnownConsumer {
  /** What is hashed, however the caller was named. */
  readonly id: string
  readonly groups: readonly string[]
}

/** What requests of a mount belong to, by id or name. `api` stands alone; a route brings its service. */
export interface MountScope {
  readonly service?: string | undefined
  readonly route?: string | undefined
  readonly api?: string | undefined
}

/**
 * A release at a location: where its two sides are for the requests of one mount. A release on a consumer, or a global
 * one, has as many places as there are locations.
 */
export interface Place {
  readonly A: UrlUpstream
  readonly B: UrlUpstream
  /** The release's plan with this place's origins: for `release.decideBy(facts, place.plan)`. */
  readonly plan: Plan
}

/** Which release is in force for a caller, and where it sends requests. */
export type Resolution = {
  /** Location A. */
  readonly A: UrlUpstream
  /** Who the registry says that the caller is: hash `consumer.id`; `null` where it does not know the caller. */
  readonly consumer: KnownConsumer | null
} & ({ readonly release: Release; readonly place: Place } | { readonly release: null; readonly place: null })

/** Finds which release is in force for the requests of one mount. Compiled once. */
export interface ReleaseLookup {
  /**
   * In O(1) for each request.
   *
   * @param caller as the framework's authentication established it: an id, username, custom_id or key; '' for nobody
   * @throws {CanaryError} ERR_CANARY_SERVICE where the registry does not know (any more) what the mount names
   */
  find(caller: string): Resolution
}
