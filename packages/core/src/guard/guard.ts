import type { Decision, Outcome } from '../decision/decision.js'
import type { Ticket } from '../decision/ticket.js'
import type { LifeState } from '../release-state.js'
import type { GuardReport } from './report.js'

/** Where the release stands, as its guard needs to know it. */
export interface ReleaseView {
  readonly state: LifeState
  /** Whether time moves the share on, or would, were it not paused: only a ramp is paused on evidence. */
  readonly ramping: boolean
  /** The share at this instant: 0 where rolled back, `steps` where promoted. */
  readonly bucketsOnB: number
  readonly steps: number
}

/** What a guard asks and tells the release that it watches. Moves are made in the guard's name. */
export interface GuardHost {
  /** Milliseconds since the epoch, by the release's own clock. */
  now(): number
  view(): ReleaseView
  /** The reason is a whole sentence: `paused: B failed …`. May throw where the move is not legal any more. */
  pause(reason: string): void
  resume(reason: string): void
  rollback(reason: string): void
  /** What a person should read although the release did not move: a ramp is held, a breach was left to a function. */
  log(message: string): void
  onError(error: unknown): void
}

/**
 * Watches one release. For each request that is decided: `admit`, then `observe` with what `admit` gave (or `withdraw`,
 * where it was never tried). A failed attempt at B is observed as B's; the request that A then serves is not admitted.
 */
export interface Guard {
  /**
   * Counts a request as decided; `null` for those that count for neither arm (override, group, disabled …). `identity`
   * is what was hashed; `null` where nothing was.
   */
  admit(decision: Decision, identity: string | null): Ticket | null
  /** Takes a request back that was never tried on its upstream. Without effect after its outcome. */
  withdraw(ticket: Ticket | null): void
  /** Counts how a request ended: the first time only. */
  observe(ticket: Ticket | null, outcome: Outcome): void
  /** Counts a request as failed although its status does not say so; before or after its outcome, once. */
  fail(ticket: Ticket | null, reason: string): void
  /** Scores what was counted since the last tick and acts on it. Called by the guard's own timer and by `admit`. */
  tick(): void
  /** Begins anew: other upstreams, or a release that restarts. Requests under way count no more. */
  reset(): void
  report(): GuardReport
  /**
   * How many buckets may be on B where a ramp has `from` of them there and would have `to`. Below `to` it must stay, and
   * that time does not count (option `hold`). Does not ask the host.
   */
  mayReach(from: number, to: number, steps: number): number
  /** Why the ramp is held and for about how long; `null` where it may advance. */
  holding(): string | null
  /** Ticks on a timer that keeps no process alive. */
  start(): void
  close(): void
}
