import type { Decision, Outcome } from '../../decision/decision.js'
import type { Ticket } from '../../decision/ticket.js'
import { Collector, compileFailure } from '../collector.js'
import type { Guard } from '../guard.js'
import type { ResolvedGuardOptions } from '../options.js'
import type { GuardReport } from '../report.js'
import { countText, timeText } from '../words.js'
import type { FleetHost, FleetView } from './fleet-host.js'
import { Judging, callBreach } from './judging.js'
import { type FoundAlone, LocalRun } from './local-run.js'
import { optionsHash } from './options-hash.js'
import { Participation } from './participation.js'
import type { PublishedDelta } from './published-delta.js'
import type { FleetReport, JudgedRelease, Published, Shared } from './shared.js'

/** What names the release of a guard among all that share the store. */
export interface FleetRelease {
  /** The same in all processes, for good: the plugin's id. */
  readonly release: string
  /** What the release hashes, as JSON. */
  readonly hash: unknown
}

/** A guard of a fleet, as the process that ticks it sees it. */
export interface FleetParticipant {
  readonly release: string
  /** Why its counts are not used at present, if something is wrong. */
  readonly trouble: 'refused' | 'expired' | null
  /** The process has joined under a name. */
  join(member: string, now: number): void
  /** Ends the open tick where its time is over. Without I/O. */
  count(now: number, away: boolean): void
  prepare(): PublishedDelta[]
  answered(delta: PublishedDelta, answer: Published): void
  /** Judges, if it is this process's turn. */
  judge(shared: Shared, alive: readonly string[]): Promise<JudgedRelease | null>
  hear(report: FleetReport): void
  /** Ends its part in the run: what it has still to publish says so. */
  leave(): void
}

/** Without a member there is nobody to publish for: counts of these requests are local only. */
const NOBODY = ''

/**
 * The guard of a release whose processes share a store. It counts, publishes tick by tick, takes its turn as judge and
 * makes of a verdict a move on the run; while the store is away it judges alone. A request only increments counters.
 *
 * All that takes time is done by a {@link FleetMember}, which ticks the guards of its process.
 */
export class FleetGuard implements Guard, FleetParticipant {
  readonly release: string
  readonly #options: ResolvedGuardOptions
  readonly #hash: string
  readonly #host: FleetHost
  readonly #collector: Collector
  readonly #register: (guard: FleetParticipant) => () => void
  #unregister: (() => void) | null = null
  #member = NOBODY
  #participation: Participation | null = null
  #judging: Judging | null = null
  #local: LocalRun
  /** The release is rolled back, promoted or disabled: there is nothing to publish. */
  #resting = false
  /** Whether the open tick began while the store was known to be away. */
  #alone = false
  /** The tick in which it last took a turn. */
  #turnAt = -1
  #fleet: FleetReport | null = null
  #report: GuardReport | null = null

  /**
   * @param register makes a process tick the guard, until the returned function is called
   * @throws {CanaryError} ERR_CANARY_OPTION: see {@link optionsHash}
   */
  constructor(
    options: ResolvedGuardOptions,
    { release, hash }: FleetRelease,
    host: FleetHost,
    register: (guard: FleetParticipant) => () => void,
  ) {
    this.#hash = optionsHash(options, hash)
    this.release = release
    this.#options = options
    this.#host = host
    this.#register = register
    const { unit, latency, sticky, errors } = options
    const isFailure = compileFailure(errors.isFailure, (error) => host.onError(error))
    this.#collector = new Collector({ unit, latency, sticky, isFailure }, 0, 0)
    this.#local = new LocalRun(options)
  }

  admit(decision: Decision, identity: string | null): Ticket | null {
    return this.#collector.admit(decision, identity)
  }

  withdraw(ticket: Ticket | null): void {
    if (ticket !== null) this.#collector.withdraw(ticket)
  }

  observe(ticket: Ticket | null, outcome: Outcome): void {
    if (ticket !== null) this.#collector.observe(ticket, outcome)
  }

  fail(ticket: Ticket | null, reason: string): void {
    if (ticket !== null) this.#collector.fail(ticket, reason)
  }

  /** Without effect: ticks are the store's clock's. */
  tick(): void {}

  /** Without effect: a run begins when the record says so. */
  reset(): void {}

  /** The whole fleet's evidence, as of the judge's last look. `lastFailure` is this process's. */
  report(): GuardReport {
    const report = this.#known()
    return { ...report, reason: report.reason ?? this.holding(), lastFailure: this.#collector.lastFailure }
  }

  /** The name under which its process has joined; empty before that. */
  get memberName(): string {
    return this.#member
  }

  /** The counts of all processes; `null` before they are known. */
  get fleet(): FleetReport | null {
    return this.#fleet
  }

  get trouble(): 'refused' | 'expired' | null {
    return this.#participation?.trouble ?? null
  }

  /** Without effect: the record says how far a ramp may go. */
  mayReach(_from: number, to: number, _steps: number): number {
    return to
  }

  holding(): string | null {
    if (!this.#options.hold) return null
    const { state, ramping, bucketsOnB, gate } = this.#host.view()
    if (state !== 'running' || !ramping || gate === null || bucketsOnB < gate) return null
    const { hold } = this.#known()
    if (hold === null) return 'held: no process has judged the present share yet'
    const { had, needed, seconds } = hold
    const time = seconds === null ? 'B has no traffic at present' : `about ${timeText(seconds)} at the present traffic`
    return `held: B has had ${countText(had)} of the ${countText(needed)} requests that it takes to judge it; ${time}`
  }

  start(): void {
    this.#unregister ??= this.#register(this)
  }

  close(): void {
    this.#unregister?.()
    this.#unregister = null
  }

  join(member: string, now: number): void {
    this.#member = member
    this.#resting = isResting(this.#host.view())
    if (!this.#resting) this.#begin(now)
  }

  count(now: number, away: boolean): void {
    const view = this.#host.view()
    const wasResting = this.#resting
    this.#resting = isResting(view)
    if (this.#resting) return this.#participation?.leave()
    if (this.#host.run() !== this.#participation?.run || wasResting) this.#begin(now)
    const participation = this.#participation
    const delta = participation?.count(now) ?? null
    if (participation === null || delta === null) return
    const alone = this.#alone
    this.#alone = away
    if (!alone) return
    const found = this.#local.score(delta, participation.ordinal, view)
    if (found !== null) this.#actAlone(found, participation.run)
  }

  prepare(): PublishedDelta[] {
    return this.#member === NOBODY ? [] : (this.#participation?.prepare() ?? [])
  }

  answered(delta: PublishedDelta, answer: Published): void {
    // A run that ended meanwhile.
    if (delta.run !== this.#participation?.run) return
    const words = this.#participation.answered(delta, answer)
    if (words !== null) this.#host.log(words)
  }

  async judge(shared: Shared, alive: readonly string[]): Promise<JudgedRelease | null> {
    const participation = this.#participation
    const judging = this.#judging
    if (participation === null || judging === null || !participation.isIn) return null
    if (participation.tick === this.#turnAt) return null
    this.#turnAt = participation.tick
    const bench = { shared, alive: this.#inRun(alive), participation, member: this.#member, host: this.#host }
    const report = await judging.turn(bench)
    this.#report = report
    return report === null ? null : { release: this.release, run: participation.run, guard: report }
  }

  hear(report: FleetReport): void {
    this.#fleet = report
  }

  leave(): void {
    this.#participation?.leave()
  }

  /** Who is alive may not have the release in use, and does not judge it then. */
  #inRun(alive: readonly string[]): readonly string[] {
    const fleet = this.#fleet
    if (fleet === null || fleet.run !== this.#participation?.run) return alive
    const known = new Set(fleet.members)
    const here = alive.filter((member) => member === this.#member || known.has(member))
    return here.length === 0 ? alive : here
  }

  #known(): GuardReport {
    return this.#report ?? this.#fleet?.guard ?? new Judging(this.#options, this.#hash).report(this.#host)
  }

  #begin(now: number): void {
    const { tickMs } = this.#options
    const sender = { member: this.#member, release: this.release, run: this.#host.run(), hash: this.#hash }
    const epoch = this.#participation?.epoch ?? 0
    this.#participation = new Participation(this.#collector, sender, tickMs, now, epoch)
    this.#judging = new Judging(this.#options, this.#hash)
    this.#local = new LocalRun(this.#options)
    this.#alone = false
    this.#fleet = this.#report = null
  }

  /** In force here at once; the others follow when the store is back. */
  #actAlone(found: FoundAlone, run: string): void {
    const { reason, report } = found
    const { onBreach } = this.#options
    this.#judging?.foundAlone(found)
    if (onBreach === 'rollback') this.#host.moveLocally('rollback', reason, run)
    else if (onBreach === 'pause') this.#host.moveLocally('pause', reason, run)
    else {
      this.#host.log(reason)
      callBreach(onBreach, report, this.#host)
    }
  }
}

function isResting({ state, enabled }: FleetView): boolean {
  return !enabled || state === 'rolled-back' || state === 'promoted'
}
