/** The guard's types, how many requests it takes to judge a release, and what a store does for the guards of several processes. */
export { requestsNeeded } from '../guard/plan.js'
export type {
  GuardErrorOptions,
  GuardHardLimitOptions,
  GuardLatencyOptions,
  GuardOptions,
} from '../guard/guard-options.js'
export type { PublishedDelta } from '../guard/fleet/published-delta.js'
export type {
  ArmTotal,
  ArmTotals,
  BegunStage,
  Checkpoint,
  ClosedTick,
  FleetReport,
  JudgedRelease,
  KnownMember,
  LogEntry,
  MemberSays,
  Membership,
  OrdinalDelta,
  Published,
  PublishedKind,
  RunPage,
  Shared,
  StoredVerdict,
} from '../guard/fleet/shared.js'
export type { ArmCount, GuardReport, Verdict } from '../guard/report.js'
