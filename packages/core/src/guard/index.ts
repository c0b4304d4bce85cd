export { type CollectorOptions, type Ticket, Collector, isFailure } from './collector.js'
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
export { type GuardOptions, type ResolvedGuardOptions, guardOptionsSchema, resolveGuardOptions } from './options.js'
export { requestsNeeded } from './plan.js'
export type { ArmCount, GuardReport, Verdict } from './report.js'
export { createGuard } from './watcher.js'
export { MOST_CHARACTERS, type PublishedDelta, checkedDelta } from './fleet/published-delta.js'
export { SharedClock } from './fleet/shared-clock.js'
export type {
  BegunStage,
  Checkpoint,
  ClosedTick,
  FleetReport,
  JudgedRelease,
  LogEntry,
  Membership,
  Published,
  RunPage,
  Shared,
  StoredVerdict,
} from './fleet/shared.js'
