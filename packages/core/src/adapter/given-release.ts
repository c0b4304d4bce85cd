import { optionError } from '../option-error.js'
import { type Release as PublicRelease, RELEASE, RELEASE_SHAPE } from '../release/release-interface.js'
import type { Release } from '../release/release.js'

/** What adapters and registries call, besides what the public interface has. */
const METHODS = [
  'decideBy',
  'explainBy',
  'on',
  'record',
  'fallback',
  'fail',
  'close',
] as const satisfies readonly (keyof Release)[]

/** Whether a value says that it is a release, of this copy or another. */
export function isRelease(value: object): value is PublicRelease {
  return brandOf(value) !== undefined
}

/**
 * A release as adapters use it.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION if it is one of an incompatible version, or only looks like one
 */
export function releaseOf(value: PublicRelease): Release {
  const shape = brandOf(value)
  if (shape !== RELEASE_SHAPE) {
    throw optionError(
      'release',
      `must come from a compatible version of @canary-release/core: this one takes releases of shape ${RELEASE_SHAPE}`,
      shape,
    )
  }
  if (!hasShape(value)) throw optionError('release', 'must be what createRelease made, not an imitation', undefined)
  return value
}

function hasShape(value: object): value is Release {
  try {
    const options: unknown = Reflect.get(value, 'options')
    const reports: unknown = Reflect.get(value, 'reports')
    return (
      METHODS.every((name) => typeof Reflect.get(value, name) === 'function') &&
      hasAll(options, ['plan', 'upstreams', 'upstreamFallback']) &&
      hasAll(reports, ['reportOnce', 'warnOnce'])
    )
  } catch {
    return false
  }
}

function hasAll(value: unknown, names: readonly string[]): boolean {
  return typeof value === 'object' && value !== null && names.every((name) => name in value)
}

/** `undefined` for a value that has no brand; also for one that throws when it is asked. */
function brandOf(value: object): unknown {
  try {
    return Reflect.get(value, RELEASE)
  } catch {
    return undefined
  }
}
