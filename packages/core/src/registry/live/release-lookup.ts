import type { PlainPlace, ReleasePlace } from '../../place.js'
import type { Release } from '../../release/release.js'
import type { UrlUpstream } from '../../upstream.js'

/** A consumer that the registry knows, as a decision needs it. */
export interface KnownConsumer {
  /** What is hashed, however the caller was named. */
  readonly id: string
  /** The groups that it is in. */
  readonly groups: readonly string[]
}

/** What requests of a mount belong to, by id or name. `api` stands alone; a route brings its service. */
export interface MountScope {
  /**
   * Id or name of a service.
   *
   * @default the route's
   */
  readonly service?: string | undefined
  /**
   * Id or name of a route.
   *
   * @default none
   */
  readonly route?: string | undefined
  /**
   * Id or name of a legacy api.
   *
   * @default none
   */
  readonly api?: string | undefined
}

/**
 * Where the requests of one mount go. A release on a consumer, or a global one, has as many places as there are
 * locations; without a release, all goes to A.
 */
export type LocatedPlace = LocatedReleasePlace | LocatedPlainPlace

export interface LocatedReleasePlace extends ReleasePlace {
  readonly A: UrlUpstream
  readonly B: UrlUpstream
  readonly release: Release
}

export interface LocatedPlainPlace extends PlainPlace {
  readonly A: UrlUpstream
}

/** What a mount finds for one caller. */
export interface Found {
  readonly place: LocatedPlace
  /** Who the registry says that the caller is: hash `consumer.id`; `null` where it does not know the caller. */
  readonly consumer: KnownConsumer | null
}

/** Finds which release is in force for the requests of one mount. Compiled once. */
export interface ReleaseLookup {
  /**
   * In O(1) for each request.
   *
   * @param caller as the framework's authentication established it: an id, username, custom_id or key; '' for nobody
   * @throws {CanaryError} ERR_CANARY_SERVICE where the registry does not know (any more) what the mount names
   */
  find(caller: string): Found
}
