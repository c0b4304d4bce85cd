import type { Decision, Outcome } from '../decision/decision.js'
import type { Explanation } from '../decision/explain.js'
import type { RequestDescription } from '../decision/facts.js'
import type { GuardReport } from '../guard/index.js'
import type { ReleaseOptions } from './options.js'
import type { ReleaseEvents } from './release-events.js'
import type { RestartShare } from './restart.js'
import type { ReleaseStatus } from './status.js'

/**
 * Marks releases for every copy of this package in the process: two copies have two classes, and `instanceof` knows one.
 * Not in the interface, as the types of two copies would disagree on it.
 */
export const RELEASE = Symbol.for('canary-release.release')

/** The shape that this copy gives its releases, and takes: another number is another major version. */
export const RELEASE_SHAPE = 1

/**
 * One live canary: what {@link createRelease} makes. What it decides, and each change of it, is in force from the next
 * request on.
 *
 * A release in code lives with its process: after a restart it is what its options say. Give `state: status` of an
 * earlier one to carry its moves on.
 */
export interface Release {
  /** The option `name`. */
  readonly name: string
  /** What watches the release; `null` if the option `guard` is off. */
  readonly guard: { report(): GuardReport } | null
  /** Tells releases from other values, in types. Two copies of this package agree on it. */
  readonly [Symbol.toStringTag]: 'Release'

  /** Decides one request and counts it. Never throws: what cannot be read of the request counts as missing. */
  decide(request?: RequestDescription): Decision

  /** Says which rules apply to a request, what they decide and when the request moves to B. Changes nothing. */
  explain(request?: RequestDescription): Explanation

  /**
   * Changes options: checked first, then applied whole. `percentage` and `start` remove each other.
   *
   * A release that was rolled back, promoted or is complete begins again by another `start` or location of B, and by
   * another `percentage` unless the guard rolled it back; the same value changes nothing. Of a release that runs or is
   * paused, another `percentage` or `start` is its share from now on. No other option ever lowers the share of a ramp:
   * of another `duration`, what remains is the fraction that remained.
   *
   * @throws {CanaryError} ERR_CANARY_OPTION, and nothing has changed; ERR_CANARY_CLOSED
   */
  update(partial: Partial<ReleaseOptions>): void

  /**
   * Sends all requests to A. Legal in every state.
   *
   * @param reason for logs, listeners and `status()`. Default: none
   * @param by who does it. Default: `'code'`
   * @throws {CanaryError} ERR_CANARY_CLOSED
   */
  rollback(reason?: string, by?: string): void

  /**
   * Sends all requests to B.
   *
   * @param reason for logs, listeners and `status()`. Default: none
   * @param by who does it. Default: `'code'`
   * @throws {CanaryError} ERR_CANARY_STATE after a rollback; ERR_CANARY_CLOSED
   */
  promote(reason?: string, by?: string): void

  /**
   * Freezes the share.
   *
   * @param reason for logs, listeners and `status()`. Default: none
   * @param by who does it. Default: `'code'`
   * @throws {CanaryError} ERR_CANARY_STATE unless scheduled or running; ERR_CANARY_CLOSED
   */
  pause(reason?: string, by?: string): void

  /**
   * Goes on from where the pause began.
   *
   * @param by who does it. Default: `'code'`
   * @throws {CanaryError} ERR_CANARY_STATE unless paused; ERR_CANARY_CLOSED
   */
  resume(by?: string): void

  /**
   * Begins again: a ramp from bucket 0, a fixed percentage at once. The guard begins a new run, without the evidence of
   * before; counts go on.
   *
   * @param reason for logs, listeners and `status()`. Default: none
   * @param by who does it. Default: `'code'`
   * @param share another percentage, or start and duration; it waits for a start to come. Default: the present one
   * @throws {CanaryError} ERR_CANARY_STATE while scheduled; ERR_CANARY_OPTION, and nothing has changed;
   * ERR_CANARY_CLOSED
   */
  restart(reason?: string, by?: string, share?: RestartShare): void

  /** What the release is and does at this instant, as JSON. Given as the option `state` it carries moves on. */
  status(): ReleaseStatus

  /**
   * Calls `listener` at each event: `change`, `decision` or `outcome`. A listener that throws is reported once and
   * disturbs nobody else.
   *
   * @returns a function that removes the listener; calling it again does nothing
   */
  on<Name extends keyof ReleaseEvents>(name: Name, listener: (event: ReleaseEvents[Name]) => void): () => void

  /** Counts how a decided request ended. Adapters call it; an application that forwards by itself may too. */
  record(outcome: Outcome): void

  /** Counts a decided request as failed although its status does not say so: the application knows better. */
  fail(decision: Decision, reason: string): void

  /** Ends what the release runs by itself. It still decides; changing it throws ERR_CANARY_CLOSED. */
  close(): void

  /** {@link Release.close}, for `using`. */
  [Symbol.dispose](): void
}
