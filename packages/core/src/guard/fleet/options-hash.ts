import { hashPrefix, hashWithPrefix } from '../../decision/murmur3.js'
import { CanaryError } from '../../errors.js'
import type { ResolvedGuardOptions } from '../options.js'

/** Of the deltas: processes with another one are not judged together. */
const WIRE_FORMAT = 1

const HALVES = ['a', 'b'].map((half) => hashPrefix(`guard\u0000options ${half}\u0000`))

/**
 * A hash of what must be equal for counts to be judged together: the guard's options, the release's hash and the wire
 * format. Functions enter it by `guard.version`. What is done about a breach, and who says so, does not.
 *
 * @param hash what the release hashes, as JSON
 * @throws {CanaryError} ERR_CANARY_OPTION where a store is shared and `guard.judges` is not 1, or `guard.errors.isFailure`
 *   is given without `guard.version`
 */
export function optionsHash(options: ResolvedGuardOptions, hash: unknown): string {
  const { judges, errors, version } = options
  if (judges !== 1) {
    throw new CanaryError(
      'ERR_CANARY_OPTION',
      `guard.judges must be 1 where the processes share a store, which judges once for all of them; got ${judges}`,
    )
  }
  if (errors.isFailure !== null && version === null) {
    throw new CanaryError(
      'ERR_CANARY_OPTION',
      'guard.version must be given with guard.errors.isFailure where the processes share a store: the same string in all that count alike',
    )
  }
  return hashOf(options, hash)
}

/** The same without the checks, for what one process saves for itself. */
export function hashOf(options: ResolvedGuardOptions, hash: unknown): string {
  const { judges, errors, version } = options
  const { alpha, pauseEvidence, hold, unit, latency, tickMs, hardLimit, sticky, chosen } = options
  const { tolerate, minFailures } = errors
  const equal = [WIRE_FORMAT, version, alpha, pauseEvidence, hold, unit, tolerate, minFailures, latency, tickMs]
  const text = JSON.stringify([...equal, judges, hardLimit, sticky, chosen, hash], byName)
  return HALVES.map((half) => (hashWithPrefix(half, text) >>> 0).toString(16).padStart(8, '0')).join('')
}

/** Objects with their fields in one order. */
function byName(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
