/** The guard's types, and how many requests it takes to judge a release. */
export { requestsNeeded } from '../guard/plan.js'
export type {
  GuardErrorOptions,
  GuardHardLimitOptions,
  GuardLatencyOptions,
  GuardOptions,
} from '../guard/guard-options.js'
export type { ArmCount, GuardReport, Verdict } from '../guard/report.js'
