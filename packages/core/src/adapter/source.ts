import type { Registry } from '../registry/index.js'
import type { AnyHandler, MountOptions, ReleaseOptions } from '../release/options.js'
import { Release } from '../release/release.js'

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

export function isRegistrySource<Request, Handler extends AnyHandler>(
  source: CanarySource<Request, Handler>,
): source is RegistrySource<Request> {
  return !(source instanceof Release) && 'registry' in source
}
