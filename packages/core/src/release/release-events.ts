import type { Decision, Outcome } from '../decision/decision.js'
import type { Move } from './lifecycle.js'
import type { ReleaseStatus } from './status.js'

/** What changed a release: a person's or the guard's move, an update, or time that ran out. */
export interface ReleaseChange {
  /** What was done, or `complete`: all buckets are on B. */
  readonly change: Move | 'update' | 'complete'
  /** The release after it. */
  readonly status: ReleaseStatus
}

/** The events of a release, by their names. */
export interface ReleaseEvents {
  /** The release has changed. */
  change: ReleaseChange
  /** A request was decided. */
  decision: Decision
  /** A decided request has ended. */
  outcome: Outcome
}
