import type { GuardReport } from '../report.js'
import type { Checkpoint } from '../saved/checkpoint.js'
import type { PublishedDelta } from './published-delta.js'

export type { Checkpoint }

/** Milliseconds after which a member that was not heard of counts as dead for choosing the judge. */
export const SILENT_MS = 2_000
/** Milliseconds after which a member that was not heard of is not listed any more. */
export const FORGOTTEN_MS = 60_000
/** Milliseconds that a tick waits for a member that has not published it, from when another one has. */
export const EXPIRY_MS = 10_000

/** A process that shares a store, from `join` to `leave`. */
export interface Membership {
  /** A UUID. */
  readonly member: string
  /** 1 for the first that ever joined. */
  readonly ordinal: number
}

/** What a process says of itself with each heartbeat. */
export interface MemberSays {
  /** The host's name. */
  readonly host: string
  readonly pid: number
  /** Of this package. */
  readonly version: string
  /** When it last took part in a tick that was published: milliseconds since the epoch; `null` if it has not yet. */
  readonly tickedAt: number | null
  /** Releases of which it counts nothing, as what it published was refused. */
  readonly refused: number
  /** Releases that it has to enter again, as it was left behind. */
  readonly expired: number
}

/** A process as the store knows it. */
export interface KnownMember extends MemberSays {
  /** As `join` named it. */
  readonly member: string
  /** Milliseconds since it was heard of, by the store's clock. */
  readonly ageMs: number
}

/**
 * What became of a delta. `taken`: counted, and scored when its tick is closed. `known`: it was there already. `late`:
 * the member does not take part (any more): counted in the totals only, marked late, never scored; it must enter again.
 * `waiting`: the run is judged with other options at present, and what the member counts is not used. `stale-run`: the
 * run is over. `refused`: it is not valid; the member takes part no more before it enters again.
 */
export type PublishedKind = 'taken' | 'known' | 'late' | 'waiting' | 'stale-run' | 'refused'

export interface Published {
  readonly kind: PublishedKind
  /** The member's number in this run, from 1; 0 where it has none. */
  readonly ordinal: number
  /** The last tick of the run that is closed. */
  readonly closed: number
  /** Why it was refused, for people; else `null`. */
  readonly reason: string | null
}

/** A tick that is closed, with the counts of all that took part. Ascending by `ordinal`. */
export interface ClosedTick {
  readonly kind: 'tick'
  readonly tick: number
  readonly deltas: readonly { readonly ordinal: number; readonly delta: PublishedDelta }[]
}

/** From `tick` on evidence begins anew. The stages of a run share its α. */
export interface BegunStage {
  readonly kind: 'stage'
  /** From 1. */
  readonly stage: number
  /** The first tick of the stage. */
  readonly tick: number
  /** Of the options by which it is judged: {@link PublishedDelta.hash}. */
  readonly hash: string
  /** `lost`: a member expired or was refused, so that its counts are missing. */
  readonly why: 'start' | 'lost' | 'options'
}

export type LogEntry = ClosedTick | BegunStage

/** What is closed of a run. */
export interface RunPage {
  readonly closed: number
  /** What was closed after the asked tick, or after the checkpoint where that is later, in order. */
  readonly entries: readonly LogEntry[]
  /** Only where the log does not reach back to the asked tick. */
  readonly checkpoint: Checkpoint | null
  readonly verdict: StoredVerdict | null
  /** Requests of the run that all members decided so far, and those of them that are not scored and will not be. */
  readonly requests: number
  readonly unscored: number
}

/** A breach that was concluded, once in a run. */
export interface StoredVerdict {
  readonly kind: 'evidence' | 'hard-limit' | 'local'
  /** The tick after which it was found. */
  readonly tick: number
  readonly stage: number
  /** Natural logarithms. */
  readonly evidence: number
  readonly needed: number
  /** A whole sentence for people. */
  readonly reason: string
  /** Who found it. */
  readonly member: string
}

/** What all processes know of a release together. */
export interface FleetReport {
  readonly run: string
  /** Requests of each arm in the run that were decided (`n`) and that failed (`k`), by all members; late ones included. */
  readonly totals: { readonly A: ArmTotal; readonly B: ArmTotal }
  /** Those of them that came late and were not scored. */
  readonly late: number
  /** The members that take part in the run and are alive. */
  readonly members: readonly string[]
  /** The judge's last; `null` before the first. */
  readonly guard: GuardReport | null
}

export interface ArmTotal {
  readonly n: number
  readonly k: number
}

/** What a judge says of a release. */
export interface JudgedRelease {
  readonly release: string
  readonly run: string
  readonly guard: GuardReport
}

/**
 * What a store carries between processes, so that their guards judge together. All of it settles within the store's
 * deadline: it rejects with ERR_CANARY_STORE where the store is away, and may be called again with the same arguments.
 *
 * The rules of a run are those of {@link RunLog}; an implementation may keep one as its state, or do the same in its
 * own language. One suite holds all implementations: `test/guard/shared-suite.ts`.
 */
export interface Shared {
  /**
   * Milliseconds since the epoch by the store's clock; never falls in this process, and goes on by its own clock while
   * the store is away. See {@link SharedClock}.
   */
  now(): number
  join(): Promise<Membership>
  /** Says that a member is alive, and what it says of itself: every 500 ms. Gives all that were heard of in the last 2 s. */
  beat(member: string, says: MemberSays): Promise<readonly string[]>
  /** All that have not left and were heard of in the last minute. */
  members(): Promise<readonly KnownMember[]>
  /** The member ends. Without it, it is silent after 2 s, and expires in its runs. */
  leave(member: string): Promise<void>
  /** One answer for each, in order. Deltas of one member and run are given in the order of their ticks. */
  publish(deltas: readonly PublishedDelta[]): Promise<readonly Published[]>
  /** Closes the ticks of a run that are whole, and gives what is closed after tick `after` (−1: from the start). */
  closeTick(run: string, after: number): Promise<RunPage>
  /** Stores a verdict, if the run has none. */
  conclude(run: string, verdict: StoredVerdict): Promise<'first' | StoredVerdict>
  /** Takes a checkpoint that is later than the stored one, of a tick that is closed, and trims the log up to it. */
  checkpoint(run: string, checkpoint: Checkpoint): Promise<boolean>
  report(reports: readonly JudgedRelease[]): Promise<void>
  /** Without those that are not known. */
  reports(releases: readonly string[]): Promise<ReadonlyMap<string, FleetReport>>
}
