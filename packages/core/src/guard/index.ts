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
export { MOST_CHARACTERS, type PublishedDelta, checkedDelta, requestsIn } from './fleet/published-delta.js'
export { pageOf } from './fleet/run-log.js'
export { RunRules, type SavedMember, type TickCounts } from './fleet/run-rules.js'
export type { RunState } from './fleet/run-state.js'
export { SharedClock } from './fleet/shared-clock.js'
export {
  type BegunStage,
  type Checkpoint,
  type ClosedTick,
  FORGOTTEN_MS,
  type FleetReport,
  type JudgedRelease,
  type KnownMember,
  type LogEntry,
  type MemberSays,
  type Membership,
  type Published,
  type RunPage,
  SILENT_MS,
  type Shared,
  type StoredVerdict,
} from './fleet/shared.js'
