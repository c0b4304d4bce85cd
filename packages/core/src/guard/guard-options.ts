import type { Outcome } from '../decision/decision.js'
import type { GuardReport } from './report.js'

/** When failures of B count as worse than A's. */
export interface GuardErrorOptions {
  /**
   * How many times A's odds of failing B's may be, 1 … 100.
   *
   * @default 1.25
   */
  readonly tolerate?: number | undefined
  /**
   * Failures of B below which nothing is concluded, 1 … 1 000 000.
   *
   * @default 5
   */
  readonly minFailures?: number | undefined
  /**
   * What counts as a failure, instead of a 5xx, a connection error or a timeout. The guard does not ask it about clients
   * that left. It must not be async. `null`: those.
   *
   * @default null
   */
  readonly isFailure?: ((outcome: Outcome) => boolean) | null | undefined
}

/** When B counts as slower than A. */
export interface GuardLatencyOptions {
  /**
   * How many times A's latency B's may be, 1 … 100, in steps of 4.4 %.
   *
   * @default 1.19
   */
  readonly tolerate?: number | undefined
  /**
   * A's quantiles above which a request is slow: one to five numbers, 0.5 … 0.999, ascending.
   *
   * @default [0.5, 0.75, 0.9, 0.99]
   */
  readonly quantiles?: readonly number[] | undefined
  /**
   * Latency below which requests do not differ: milliseconds, 0.5 … 60 000.
   *
   * @default 5
   */
  readonly floorMs?: number | undefined
}

/** The limit that holds without a comparison, and without a guarantee: for when A fails together with B. */
export interface GuardHardLimitOptions {
  /**
   * The part of B's last requests that must fail, above 0 and at most 1.
   *
   * @default 0.5
   */
  readonly failureRate?: number | undefined
  /**
   * How many of B's last requests are looked at, 1 … 1 000 000.
   *
   * @default 50
   */
  readonly over?: number | undefined
}

/** The options of a guard, which compares B with A and rolls the release back if B is worse. */
export interface GuardOptions {
  /**
   * The probability of ever rolling back a B that is no worse than tolerated: above 0, at most 0.5.
   *
   * @default 0.01
   */
  readonly alpha?: number | undefined
  /**
   * Evidence at which a ramp pauses until it falls below again or a person decides, 1 … 10¹².
   *
   * @default 10
   */
  readonly pauseEvidence?: number | undefined
  /**
   * What happens at a breach: `rollback`, `pause`, or a function that gets the report and decides; it may be async.
   *
   * @default 'rollback'
   */
  readonly onBreach?: 'rollback' | 'pause' | ((report: GuardReport) => void) | undefined
  /**
   * True keeps a ramp from advancing before B has had the requests that it takes to judge it.
   *
   * @default false
   */
  readonly hold?: boolean | undefined
  /**
   * What is independent of each other: single requests, or identities. `null`: as the release's `hash` says.
   *
   * @default 'identity' if the hash keeps an identity on one side, else 'request'
   */
  readonly unit?: 'request' | 'identity' | null | undefined
  /**
   * When failures count.
   *
   * @default { tolerate: 1.25, minFailures: 5 }
   */
  readonly errors?: GuardErrorOptions | undefined
  /**
   * When latency counts; `false`: only failures are judged.
   *
   * @default { tolerate: 1.19, quantiles: [0.5, 0.75, 0.9, 0.99], floorMs: 5 }
   */
  readonly latency?: false | GuardLatencyOptions | undefined
  /**
   * Time from look to look: milliseconds, 50 … 60 000.
   *
   * @default 1000
   */
  readonly tickMs?: number | undefined
  /**
   * How many processes judge the same release apart from each other, 1 … 1 000 000: each needs that many times the
   * evidence.
   *
   * @default 1
   */
  readonly judges?: number | undefined
  /**
   * Stands for the functions among these options if processes share a store: the same string in all that count alike,
   * another one when `errors.isFailure` changes. Required there with `errors.isFailure`; without effect elsewhere. 1 to
   * 100 characters.
   *
   * @default null
   */
  readonly version?: string | null | undefined
  /**
   * The limit without a guarantee; `false`: none.
   *
   * @default { failureRate: 0.5, over: 50 }
   */
  readonly hardLimit?: false | GuardHardLimitOptions | undefined
}
