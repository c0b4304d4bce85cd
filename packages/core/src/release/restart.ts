import { optionError } from '../option-error.js'
import type { ReleaseOptions } from './options.js'

/** What a restart may change: the share that the release begins again with. */
export interface RestartShare extends Pick<ReleaseOptions, 'percentage' | 'start' | 'duration'> {}

const NAMES: readonly string[] = ['percentage', 'start', 'duration'] satisfies (keyof RestartShare)[]

/** @throws {CanaryError} ERR_CANARY_OPTION where it says anything else; what it says is checked with the other options */
export function checkRestartShare(share: RestartShare): void {
  if (typeof share !== 'object' || share === null) throw optionError('share', 'must be an object', share)
  const unknown = Object.keys(share).find((name) => !NAMES.includes(name))
  if (unknown !== undefined)
    throw optionError(unknown, `cannot be changed by a restart: only ${NAMES.join(', ')}`, Reflect.get(share, unknown))
}
