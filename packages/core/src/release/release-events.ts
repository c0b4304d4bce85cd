import type { Decision, Outcome } from '../decision/decision.js'
import type { Move } from './lifecycle.js'
import type { ReleaseStatus } from './status.js'

/** What changed a release: a person's or the guard's move, an update, or time that ran out. */
export interface ReleaseChange {
  readonly change: Move | 'update' | 'complete'
  readonly status: ReleaseStatus
}

export interface ReleaseEvents {
  change: ReleaseChange
  decision: Decision
  outcome: Outcome
}
