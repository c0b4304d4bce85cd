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
  /** The process's number on its host. */
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

/** The answer to a delta. */
export interface Published {
  /** What became of it. */
  readonly kind: PublishedKind
  /** The member's number in this run, from 1; 0 where it has none. */
  readonly ordinal: number
  /** The last tick of the run that is closed. */
  readonly closed: number
  /** Why it was refused, for people; else `null`. */
  readonly reason: string | null
}

/** What a member counted in a tick. */
export interface OrdinalDelta {
  /** The member's number in the run. */
  readonly ordinal: number
  /** Its counts. */
  readonly delta: PublishedDelta
}

/** A tick that is closed, with the counts of all that took part. Ascending by `ordinal`. */
export interface ClosedTick {
  /** What the entry is. */
  readonly kind: 'tick'
  /** Its number, by the store's clock. */
  readonly tick: number
  /** What each member counted in it. */
  readonly deltas: readonly OrdinalDelta[]
}

/** From `tick` on evidence begins anew. The stages of a run share its α. */
export interface BegunStage {
  /** What the entry is. */
  readonly kind: 'stage'
  /** From 1. */
  readonly stage: number
  /** The first tick of the stage. */
  readonly tick: number
  /** Of the options by which it is judged: {@link PublishedDelta.hash}. */
  readonly hash: string
  /** Why it began. `lost`: a member expired or was refused, so that its counts are missing. */
  readonly why: 'start' | 'lost' | 'options'
}

/** An entry of a run's log. */
export type LogEntry = ClosedTick | BegunStage

/** What is closed of a run. */
export interface RunPage {
  /** The last tick that is closed. */
  readonly closed: number
  /** What was closed after the asked tick, or after the checkpoint where that is later, in order. */
  readonly entries: readonly LogEntry[]
  /** Only where the log does not reach back to the asked tick. */
  readonly checkpoint: Checkpoint | null
  /** The verdict; `null` if there is none. */
  readonly verdict: StoredVerdict | null
  /** Requests of the run that all members decided so far. */
  readonly requests: number
  /** Those of them that are not scored and will not be. */
  readonly unscored: number
}

/** A breach that was concluded, once in a run. */
export interface StoredVerdict {
  /** By which rule: the merged evidence, the hard limit, or a member that judged alone while the store was away. */
  readonly kind: 'evidence' | 'hard-limit' | 'local'
  /** The tick after which it was found. */
  readonly tick: number
  /** The stage of the run in which it was found. */
  readonly stage: number
  /** The natural logarithm of the evidence. */
  readonly evidence: number
  /** The natural logarithm of the evidence that is needed. */
  readonly needed: number
  /** A whole sentence for people. */
  readonly reason: string
  /** Who found it. */
  readonly member: string
}

/** Requests of both arms. */
export interface ArmTotals {
  /** Those to A. */
  readonly A: ArmTotal
  /** Those to B. */
  readonly B: ArmTotal
}

/** What all processes know of a release together. */
export interface FleetReport {
  /** Which run. */
  readonly run: string
  /** Requests of each arm in the run, by all members; late ones included. */
  readonly totals: ArmTotals
  /** Those of them that came late and were not scored. */
  readonly late: number
  /** The members that take part in the run and are alive. */
  readonly members: readonly string[]
  /** The judge's last; `null` before the first. */
  readonly guard: GuardReport | null
}

/** Requests of an arm. */
export interface ArmTotal {
  /** How many were decided. */
  readonly n: number
  /** How many of them failed. */
  readonly k: number
}

/** What a judge says of a release. */
export interface JudgedRelease {
  /** The id of its plugin. */
  readonly release: string
  /** The run that is judged. */
  readonly run: string
  /** What the guard says. */
  readonly guard: GuardReport
}

/**
 * What a store carries between processes, so that their guards judge together. All of it settles within the store's
 * deadline: it rejects with ERR_CANARY_STORE where the store is away, and may be called again with the same arguments.
 *
 * The rules of a run are those of {@link RunRules}; an implementation may use them, or do the same in its own language.
 * One suite holds all implementations: `test/guard/shared-suite.ts`.
 */
export interface Shared {
  /**
   * Milliseconds since the epoch by the store's clock; never falls in this process, and goes on by its own clock while
   * the store is away. See {@link SharedClock}.
   */
  now(): number
  /** Takes part from now on. */
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
  /** Stores what judges say of releases, for all members. */
  report(reports: readonly JudgedRelease[]): Promise<void>
  /** What is known of releases; without those of which nothing is. */
  reports(releases: readonly string[]): Promise<ReadonlyMap<string, FleetReport>>
}
