import { optionError } from '../option-error.js'

/** What a restart may change: the share that the release begins again with. */
export interface RestartShare {
  /**
   * B's share in percent, 0 … 100. It replaces a ramp.
   *
   * @default the present one
   */
  readonly percentage?: number | undefined
  /**
   * When the ramp begins: a Date, an ISO date or epoch seconds. It replaces a percentage.
   *
   * @default the present one
   */
  readonly start?: Date | string | number | undefined
  /**
   * Length of the ramp: seconds, or text such as `'90m'`.
   *
   * @default the present one
   */
  readonly duration?: number | string | undefined
}

const NAMES: readonly string[] = ['percentage', 'start', 'duration'] satisfies (keyof RestartShare)[]

/** @throws {CanaryError} ERR_CANARY_OPTION where it says anything else; what it says is checked with the other options */
export function checkRestartShare(share: RestartShare): void {
  if (typeof share !== 'object' || share === null) throw optionError('share', 'must be an object', share)
  const unknown = Object.keys(share).find((name) => !NAMES.includes(name))
  if (unknown !== undefined)
    throw optionError(unknown, `cannot be changed by a restart: only ${NAMES.join(', ')}`, Reflect.get(share, unknown))
}
