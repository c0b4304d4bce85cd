import type { Plan } from '../decision/plan.js'
import type { Registry, ReleaseLookup } from '../registry/index.js'
import type { AnyHandler, MountOptions, ReleaseOptions } from '../release/options.js'
import { Release } from '../release/release.js'
import type { Upstream } from '../upstream.js'

/** A mount whose releases are records: what applies is looked up for each request. At least one of the three names. */
export interface RegistrySource<Request = never> extends MountOptions<Request> {
  readonly registry: Registry
  /** Id or name. */
  readonly service?: string | undefined
  /** Id or name; brings its service. */
  readonly route?: string | undefined
  /** Id or name of a legacy api. */
  readonly api?: string | undefined
}

/** What a mount is made from: a release, the options of one, or a place in a registry. */
export type CanarySource<Request = never, Handler extends AnyHandler = AnyHandler> =
  | Release
  | ReleaseOptions<Request, Handler>
  | RegistrySource<Request>

/** The release in force for one request, and where its two sides are; `release: null`: everything to A. */
export interface InForce {
  readonly release: Release | null
  readonly plan: Plan | null
  readonly A: Upstream
  readonly B: Upstream | null
  /** What the registry knows of the caller. */
  readonly consumer: { readonly id: string; readonly groups: readonly string[] } | null
}

/** Finds what is in force for a caller. */
export type Find = (caller: () => string) => InForce

/** A release in code is in force for everybody. One object until its options change. */
export function findRelease(release: Release): Find {
  let { options } = release
  let inForce = inForceOf(release)
  return () => {
    if (release.options !== options) {
      options = release.options
      inForce = inForceOf(release)
    }
    return inForce
  }
}

function inForceOf(release: Release): InForce {
  const { plan, upstreams } = release.options
  return { release, plan, A: upstreams.A, B: upstreams.B, consumer: null }
}

export function findInRegistry(lookup: ReleaseLookup): Find {
  return (caller) => {
    const { release, place, A, consumer } = lookup.find(caller())
    if (release === null) return { release, plan: null, A, B: null, consumer }
    return { release, plan: place.plan, A: place.A, B: place.B, consumer }
  }
}

export function isRegistrySource<Request, Handler extends AnyHandler>(
  source: CanarySource<Request, Handler>,
): source is RegistrySource<Request> {
  return !(source instanceof Release) && 'registry' in source
}
