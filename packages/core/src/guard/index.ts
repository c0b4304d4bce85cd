export { type CollectorOptions, Collector, isFailure } from './collector.js'
export type { Ticket } from '../decision/ticket.js'
export { type Cell, type Delta, type Latencies, type Pair, createDelta, mergeDeltas } from './delta.js'
export {
  addFailures,
  addIdentityFailures,
  addIdentityLatency,
  addTo,
  cellOf,
  createLatencies,
  packLatency,
} from './delta.js'
export type { Guard, GuardHost, ReleaseView } from './guard.js'
export { hashIdentity } from './identity-filter.js'
export { type Finding, type JudgeOptions, type LnEvidence, Judge } from './judge.js'
export { latencyBucket } from './latency.js'
export type { GuardErrorOptions, GuardHardLimitOptions, GuardLatencyOptions, GuardOptions } from './guard-options.js'
export { type ResolvedGuardOptions, guardOptionsSchema, resolveGuardOptions } from './options.js'
export { requestsNeeded } from './plan.js'
export type { ArmCount, GuardReport, Verdict } from './report.js'
export { createGuard } from './watcher.js'
