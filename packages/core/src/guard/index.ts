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
export { FleetGuard, type FleetRelease } from './fleet/fleet-guard.js'
export type { FleetHost, FleetMove, FleetView, GuardMove } from './fleet/fleet-host.js'
export { FleetMember, type MemberAbout } from './fleet/fleet-member.js'
export { optionsHash } from './fleet/options-hash.js'
export type { Guard, GuardHost, ReleaseView } from './guard.js'
export { type RunName, type SavedGuard, asUnfinished, openGuard } from './saved/saved-guard.js'
export type { SavableGuard } from './watcher.js'
export { hashIdentity } from './identity-filter.js'
export { type Finding, type JudgeOptions, type LnEvidence, Judge } from './judge.js'
export { latencyBucket } from './latency.js'
export type { GuardErrorOptions, GuardHardLimitOptions, GuardLatencyOptions, GuardOptions } from './guard-options.js'
export { type ResolvedGuardOptions, guardOptionsSchema, resolveGuardOptions } from './options.js'
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
  KnownMember,
  LogEntry,
  MemberSays,
  Membership,
  Published,
  RunPage,
  Shared,
  StoredVerdict,
} from './fleet/shared.js'
