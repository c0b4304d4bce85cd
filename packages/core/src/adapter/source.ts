import type { Registry } from '../registry/index.js'
import type { AnyHandler, MountOptions, ReleaseOptions } from '../release/options.js'
import type { Release as PublicRelease } from '../release/release-interface.js'
import { isRelease } from './given-release.js'

/** A mount whose releases are records: what applies is looked up for each request. At least one of the three names. */
export interface RegistrySource<Request = never> extends MountOptions<Request> {
  /** Required. What `createRegistry` made. */
  readonly registry: Registry
  /**
   * Id or name of the service that requests of this mount belong to.
   *
   * @default the route's
   */
  readonly service?: string | undefined
  /**
   * Id or name of the route; it brings its service.
   *
   * @default none
   */
  readonly route?: string | undefined
  /**
   * Id or name of a legacy api, instead of service and route.
   *
   * @default none
   */
  readonly api?: string | undefined
}

/** What a mount is made from: a release, the options of one, or a place in a registry. */
export type CanarySource<Request = never, Handler extends AnyHandler = AnyHandler> =
  | PublicRelease
  | ReleaseOptions<Request, Handler>
  | RegistrySource<Request>

export function isRegistrySource<Request, Handler extends AnyHandler>(
  source: CanarySource<Request, Handler>,
): source is RegistrySource<Request> {
  return !isRelease(source) && 'registry' in source
}
