import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collected: unknown = runInNewContext('gc')

const EVERY = 10 * 1_048_576

/** Measures, each time that ten more megabytes went by, how many bytes of buffers are still needed. */
export function watchHeldMemory(): { readonly passed: (bytes: number) => void; readonly most: () => number } {
  const before = heldNow()
  let since = 0
  let most = 0
  return {
    passed: (bytes) => {
      since += bytes
      if (since < EVERY) return
      since = 0
      most = Math.max(most, heldNow() - before)
    },
    most: () => most,
  }
}

/** Without what waits for its collection: how long that takes is up to the version of Node. */
function heldNow(): number {
  if (typeof collected !== 'function') throw new TypeError('this Node collects nothing on demand')
  collected()
  // The first one's buffers may still be freed by another thread; the next collection waits for that.
  collected()
  return process.memoryUsage().arrayBuffers
}
