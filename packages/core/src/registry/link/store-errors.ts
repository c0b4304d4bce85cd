import { CanaryError } from '../../errors.js'
import type { Position } from '../records/store.js'

/** What a store failed with. It promises an `outcome`; where it says none, anything may have happened. */
export function outcomeOf(error: unknown): 'not-written' | 'unknown' {
  return error instanceof CanaryError && error.outcome === 'not-written' ? 'not-written' : 'unknown'
}

export function unread(cause: unknown): CanaryError {
  if (cause instanceof CanaryError) return cause
  return new CanaryError('ERR_CANARY_STORE', "the registry's store could not be read", { cause })
}

export function notWritten(message: string, cause?: unknown): CanaryError {
  return new CanaryError('ERR_CANARY_STORE', message, {
    outcome: 'not-written',
    ...(cause === undefined ? {} : { cause }),
  })
}

/** The error of a change that the store may have made all the same. */
export function unknownOutcome(commit: string, cause: unknown): CanaryError {
  return new CanaryError(
    'ERR_CANARY_STORE',
    `the registry's store did not say whether the change was made: the audit trail has ${commit} if it was`,
    { outcome: 'unknown', commit, cause },
  )
}

/** The error of a store that has lost what was known of it. */
export function rewoundError(known: Position, stored: Position): CanaryError {
  const message = `the store was emptied, put back or failed over: here is ${positionText(known)}, stored is ${positionText(stored)}. What was known stays in force and changes are refused until the stored state is accepted`
  return new CanaryError('ERR_CANARY_STORE', message, { outcome: 'not-written' })
}

/** The error of accepting what is not stored. */
export function notStored(wanted: Position, stored: Position): CanaryError {
  return new CanaryError('ERR_CANARY_STATE', `stored is ${positionText(stored)}, not ${positionText(wanted)}`)
}

function positionText({ epoch, version, id }: Position): string {
  return version === 0 ? 'nothing' : `version ${version} (${id}) of ${epoch || 'an unknown history'}`
}
