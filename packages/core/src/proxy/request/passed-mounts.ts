import { CanaryError } from '../../errors.js'

/** Tells the mounts that a request has passed, each by its id. */
export const PASSED_MOUNTS = 'x-canary-via'

/** Longer, it says nothing: anybody can send it, and it grows with each mount. */
const LONGEST = 1024
const IDS = /^[\da-f]{8}(?:, ?[\da-f]{8})*$/
/** An upstream may ask its gateway for something with the headers that it got: once is no loop. */
const MOST_PASSES = 2

/**
 * What {@link PASSED_MOUNTS} says behind the mount `own`. Nothing else is made of what the client says there.
 *
 * @throws {CanaryError} ERR_CANARY_LOOP where the request is at that mount for the third time
 */
export function passedMounts(sent: string | undefined, own: string): string {
  if (sent === undefined || sent.length > LONGEST || !IDS.test(sent)) return own
  let passes = 0
  for (let at = sent.indexOf(own); at !== -1; at = sent.indexOf(own, at + own.length)) passes += 1
  if (passes < MOST_PASSES) return `${sent},${own}`
  throw new CanaryError('ERR_CANARY_LOOP', 'the request came by here for the third time: an upstream leads back here')
}
