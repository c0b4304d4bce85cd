import { bucketsOfPercentage, leastSteps } from '../decision/percentage.js'
import { type Hash, type IdSeal, type Plan, compilePlan } from '../decision/plan.js'
import { signedIds } from '../request/signed-ids.js'
import { compileTrust } from '../request/trust.js'
import { optionError, parseOptions } from '../option-error.js'
import { givenNumber } from './given-number.js'
import type { PlacedOptions, ReleaseOptions } from './options.js'
import { type CheckedOptions, placedOptionsSchema, releaseOptionsSchema } from './options-schema.js'
import type { Upstream } from '../upstream.js'
import { compileUpstream, compileUpstreamB } from './upstream-options.js'

/** Both sides of a release in code. */
export interface Upstreams {
  readonly A: Upstream
  readonly B: Upstream
}

/** Options as they are given, to a release in code or to one of a registry. */
export type GivenOptions = PlacedOptions & { readonly upstreams?: ReleaseOptions['upstreams'] }

/** A release's options, checked whole and compiled: what runs. A new, frozen object after each change. */
export interface ReleaseSettings extends Omit<CheckedOptions, 'upstreams' | 'duration' | 'salt'> {
  readonly salt: string
  /** `null` for a release of a registry: its places say where they are. */
  readonly upstreams: Upstreams | null
  /** Seconds. */
  readonly duration: number
  /** bucketsOnB of a fixed percentage; `null` for a timed release. */
  readonly fixedBuckets: number | null
  /** How many buckets a ramp may have on B before another record says so; `null`: all. */
  readonly gate: number | null
  readonly plan: Plan
}

type GivenChecked = Omit<CheckedOptions, 'upstreams'> & {
  readonly upstreams?: CheckedOptions['upstreams']
  readonly gate?: number | undefined
}

const DEFAULT_DURATION_S = 3600

/**
 * Checks and compiles a release's options. `report` hears of functions among them that fail later.
 *
 * @param isPlaced whether it is a registry's, and has its upstreams at its places
 * @throws {CanaryError} ERR_CANARY_OPTION that names the option, what was expected and what was given
 */
export function compileSettings(
  input: GivenOptions,
  report: (kind: string, error: unknown) => void,
  isPlaced: boolean,
): ReleaseSettings {
  const options: GivenChecked = isPlaced
    ? parseOptions(placedOptionsSchema, input)
    : parseOptions(releaseOptionsSchema, input)
  checkTime(options)
  const upstreams = options.upstreams === undefined ? null : compileUpstreams(options.upstreams)
  // Compiled where requests are read; here only so that a bad entry is refused at once.
  if (options.trustedIps !== null) compileTrust(options.trustedIps)
  const salt = options.salt ?? options.name
  return Object.freeze({
    ...options,
    salt,
    clock: givenNumber('clock', options.clock, Date.now, report),
    random: givenNumber('random', options.random, Math.random, report),
    upstreams,
    duration: options.duration ?? DEFAULT_DURATION_S,
    gate: options.gate ?? null,
    fixedBuckets: options.percentage === null ? null : bucketsOf(options.percentage, options.steps),
    plan: compilePlan({ ...options, salt, seal: sealOf(options.hash) }, originOf(upstreams?.A), originOf(upstreams?.B)),
  })
}

function compileUpstreams(given: CheckedOptions['upstreams']): Upstreams {
  const A = compileUpstream('A', given.A)
  return Object.freeze({ A, B: compileUpstreamB(given.B, A) })
}

function originOf(upstream: Upstream | undefined): string | null {
  return upstream?.kind === 'url' ? upstream.origin : null
}

function sealOf(hash: Hash): IdSeal | null {
  const isSigned = typeof hash === 'object' && 'cookie' in hash && hash.secrets !== undefined
  return isSigned ? signedIds(hash.cookie, hash.secrets) : null
}

function checkTime({ percentage, start, duration }: Pick<CheckedOptions, 'percentage' | 'start' | 'duration'>): void {
  if (percentage !== null && start !== null) {
    throw optionError('start', 'must not be given beside percentage: a release has a fixed share or a ramp', start)
  }
  if (percentage === null && start === null) {
    throw optionError('percentage', 'must be given, or start for a linear release: neither is there', undefined)
  }
  if (percentage !== null && duration !== null) {
    throw optionError('duration', 'must be given with start only, not beside percentage', duration)
  }
}

function bucketsOf(percentage: number, steps: number): number {
  const buckets = bucketsOfPercentage(percentage, steps)
  if (percentage > 0 && buckets === 0) {
    throw optionError(
      'percentage',
      `must reach at least one of ${steps} steps: with steps ${leastSteps(percentage)} or more it would`,
      percentage,
    )
  }
  return buckets
}

/**
 * Refuses what an update cannot change.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function checkPartial(partial: Partial<ReleaseOptions>, name: string): void {
  if (typeof partial !== 'object' || partial === null) throw optionError('options', 'must be an object', partial)
  if (partial.name !== undefined && partial.name !== name) {
    throw optionError('name', 'must stay as it was when the release was built', partial.name)
  }
  if (partial.state !== undefined) {
    throw optionError('state', 'must be given when the release is built, not in an update', partial.state)
  }
}

const MAY_BE_NULL: ReadonlySet<string> = new Set(['percentage', 'start', 'duration'])

/**
 * An earlier input with a partial one over it. What is `undefined` counts as not said, and so does `null` for a time;
 * `percentage` and `start` remove each other.
 */
export function mergeOptions<Options extends PlacedOptions>(input: Options, partial: Partial<Options>): Options {
  const said = Object.fromEntries(
    Object.entries(partial).filter(
      ([name, value]) => value !== undefined && !(value === null && MAY_BE_NULL.has(name)),
    ),
  )
  const merged: Options = { ...input, ...said }
  if ('percentage' in said && !('start' in said)) return { ...merged, start: undefined, ...without(said, 'duration') }
  if ('start' in said && !('percentage' in said)) return { ...merged, percentage: undefined }
  return merged
}

function without(said: object, name: string): object {
  return name in said ? {} : { [name]: undefined }
}
