import { CanaryError } from '../../errors.js'
import { FileLock } from './file-lock.js'
import { targetOf, unwritable } from './whole-file.js'

/** A change on its way. */
export interface Attempt {
  readonly signal: AbortSignal | undefined
  /** Whether it may be in the file from now on. */
  isWriting: boolean
  /** Who has the lock, in words. */
  waitsFor: string | null
}

/** A file that a store writes, for as long as it holds its lock. */
export interface Turn {
  readonly lock: FileLock
  readonly target: string
}

/**
 * Does what only one process at a time may do with the file of a path; again where its turn was taken away, so that
 * nothing was written.
 *
 * @param work resolves to `null` where its turn was taken away
 * @throws {CanaryError} ERR_CANARY_STORE with `outcome`
 */
export async function inTurn<Result>(
  path: string,
  attempt: Pick<Attempt, 'signal' | 'waitsFor'>,
  work: (turn: Turn) => Promise<Result | null>,
): Promise<Result> {
  const { signal } = attempt
  try {
    for (;;) {
      /* oxlint-disable no-await-in-loop -- one turn after another */
      const target = await targetOf(path)
      const lock = await FileLock.take(target, signal, (words) => (attempt.waitsFor = words))
      try {
        const result = await work({ lock, target })
        if (result !== null) return result
      } finally {
        await lock.release()
      }
      if (signal?.aborted === true) throw new CanaryError('ERR_CANARY_STORE', 'the turn to write it was taken away')
      /* oxlint-enable no-await-in-loop */
    }
  } catch (error) {
    throw error instanceof CanaryError && error.outcome !== undefined ? error : unwritable(path, error)
  }
}
