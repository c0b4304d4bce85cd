import { randomUUID } from 'node:crypto'
import { type Draw, decide, fallenBack } from '../decision/decide.js'
import type { Decision, Outcome } from '../decision/decision.js'
import { type Explanation, explain } from '../decision/explain.js'
import { DescribedFacts, type Facts, type RequestDescription } from '../decision/facts.js'
import type { Plan } from '../decision/plan.js'
import { Rotation } from '../decision/rotation.js'
import { CanaryError } from '../errors.js'
import type { GuardReport } from '../guard/index.js'
import { differenceOf, shareOfSettings } from './difference.js'
import { edited } from './edit.js'
import { type Move, type ReleaseRecord, afterMove, moveBetween } from './lifecycle.js'
import { Listeners } from './listeners.js'
import type { PlacedRelease } from '../place.js'
import { runWith } from '../request-context.js'
import type { PlacedOptions, ReleaseOptions } from './options.js'
import type { ReleaseChange, ReleaseEvents } from './release-events.js'
import { type MakeGuard, ReleaseGuard, makeOwnGuard } from './release-guard.js'
import { type Release as PublicRelease, RELEASE, RELEASE_SHAPE } from './release-interface.js'
import { Reports } from './reports.js'
import { type RestartShare, checkRestartShare } from './restart.js'
import { restored } from './restored.js'
import { type GivenOptions, type ReleaseSettings, checkPartial, compileSettings, mergeOptions } from './settings.js'
import { Counts, type Inspect, type ReleaseStatus, inspectRelease } from './status.js'
import { Timeline } from './timeline.js'

const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/** A release, with what adapters and registries call besides. Users see its interface. */
export class Release implements PublicRelease, PlacedRelease {
  #input: GivenOptions
  readonly #isPlaced: boolean
  readonly #timeline: Timeline
  readonly #rotation: Rotation
  readonly #counts = new Counts()
  /** What its mounts tell too, so that each kind of problem is told once. */
  readonly reports = new Reports()
  readonly #listeners = new Listeners<ReleaseEvents>((error) => this.reports.reportOnce('listener', error))
  readonly #report = (kind: string, error: unknown) => this.reports.reportOnce(kind, error)
  readonly #guard: ReleaseGuard
  #closed = false
  /** One object for all requests: nothing is made anew for each. */
  readonly #draw: { -readonly [Key in keyof Draw]: Draw[Key] }
  readonly #completed = () => this.#changed('complete')

  /**
   * @param isPlaced whether it is a registry's, and has its upstreams at its places
   * @param makeGuard by default a guard of this process alone
   * @throws {CanaryError} ERR_CANARY_OPTION
   */
  constructor(options: GivenOptions, isPlaced = false, makeGuard: MakeGuard = makeOwnGuard) {
    this.#isPlaced = isPlaced
    const settings = this.#compile(options)
    this.reports.tellTo(settings)
    this.#input = options
    this.#timeline = new Timeline(settings, restored(settings, settings.clock()))
    this.#rotation = new Rotation(settings.steps, settings.random())
    this.#draw = {
      standing: this.#timeline.standing,
      bucketsOnB: 0,
      nextBucket: (bucketsOnB) => this.#rotation.next(bucketsOnB),
      newId: randomUUID,
    }
    const move = (what: 'pause' | 'resume' | 'rollback', reason: string) => this.#move(what, reason, 'guard')
    this.#guard = new ReleaseGuard({ timeline: this.#timeline, reports: this.reports, move }, makeGuard)
    this.#guard.begin(settings)
  }

  get name(): string {
    return this.options.name
  }

  /** The options in force, compiled: a new object after each change. */
  get options(): ReleaseSettings {
    return this.#timeline.settings
  }

  decide(request: RequestDescription = {}): Decision {
    return this.decideBy(new DescribedFacts(request))
  }

  /**
   * Decides by facts that are read only as far as a rule needs them. A registry's release may stand at several places:
   * `plan` is this release's with the origins of one of them.
   */
  decideBy(facts: Facts, plan: Plan = this.#timeline.settings.plan): Decision {
    const draw = this.#draw
    draw.bucketsOnB = this.#timeline.advance(this.#guard.mayReach, this.#completed)
    draw.standing = this.#timeline.standing
    const decision = decide(plan, draw, facts)
    this.#counts.decided(decision)
    this.#guard.admit(decision)
    if (this.#listeners.has('decision')) this.#tell(decision)
    return decision
  }

  explain(request: RequestDescription = {}): Explanation {
    return this.explainBy(new DescribedFacts(request))
  }

  explainBy(facts: Facts, plan: Plan = this.options.plan): Explanation {
    const timeline = this.#timeline
    const { standing } = timeline
    const nextBucket = (bucketsOnB: number) => this.#rotation.peek(bucketsOnB)
    const draw = { standing, bucketsOnB: timeline.bucketsOnB(), nextBucket, newId: randomUUID }
    return explain(plan, draw, facts, (bucket) => timeline.crossing(bucket))
  }

  update(partial: Partial<ReleaseOptions>): void {
    this.#refuseClosed()
    checkPartial(partial, this.name)
    const input = mergeOptions<GivenOptions>(this.#input, partial)
    const settings = this.#compile({ ...input, state: undefined })
    const before = this.options
    const differs = differenceOf({ input: this.#input, settings: before }, { input, settings })
    const [was, is] = [shareOfSettings(before), shareOfSettings(settings)]
    const { record, begins, stays } = edited(this.#standsAt(), was, is, differs, before.clock())
    this.#input = input
    this.#replace(settings, record, begins || differs.percentage || differs.start, begins)
    if (stays) this.reports.warn('still rolled back by the guard: begin again by restart()')
    this.#changed('update')
  }

  /**
   * Takes options and `state` whole, as a registry stores them, where {@link update} takes a part. Counts, the order of
   * `hash: 'none'` and listeners stay.
   *
   * @param begins whether this is the record of a release that begins again: with a new run of its guard
   * @param moved whether its places are others, so that what its guard has judged is no more
   * @throws {CanaryError} ERR_CANARY_OPTION, and nothing has changed; ERR_CANARY_CLOSED
   */
  adopt(options: PlacedOptions, begins = false, moved = false): void {
    this.#refuseClosed()
    const settings = this.#compile(options)
    const record = restored(settings, settings.clock())
    const move = begins ? beginningOf(record) : moveBetween(this.#timeline.record, record)
    const { percentage, start } = this.options
    this.#input = options
    const isOtherShare = percentage !== settings.percentage || start !== settings.start
    this.#replace(settings, record, begins || isOtherShare, begins || moved)
    if (move !== 'update') this.reports.moved(move, record)
    this.#changed(move)
  }

  /** What of the release's state is to be stored: as of now, with what only this process knows of a ramp's time. */
  carried(): ReleaseRecord {
    this.#timeline.wait(this.#guard.mayReach)
    return this.#timeline.carried()
  }

  rollback(reason?: string, by = 'code'): void {
    this.#move('rollback', reason, by)
  }

  promote(reason?: string, by = 'code'): void {
    this.#move('promote', reason, by)
  }

  pause(reason?: string, by = 'code'): void {
    this.#move('pause', reason, by)
  }

  resume(by = 'code'): void {
    this.#move('resume', undefined, by)
  }

  restart(reason?: string, by = 'code', share: RestartShare = {}): void {
    this.#refuseClosed()
    checkRestartShare(share)
    const input = mergeOptions(this.#input, share)
    const settings = this.#compile({ ...input, state: undefined })
    const record = this.#after('restart', settings, reason, by)
    this.#input = input
    this.#replace(settings, record, true, true)
    this.#moved('restart')
  }

  status(): ReleaseStatus {
    this.#timeline.wait(this.#guard.mayReach)
    return this.#timeline.status(this.#counts.snapshot())
  }

  on<Name extends keyof ReleaseEvents>(name: Name, listener: (event: ReleaseEvents[Name]) => void): () => void {
    return this.#listeners.add(name, listener)
  }

  record(outcome: Outcome): void {
    const failed = !outcome.aborted && (outcome.error !== null || (outcome.status !== null && outcome.status >= 500))
    if (failed) this.#counts.failed(outcome.decision)
    this.#guard.observe(outcome)
    if (this.#listeners.has('outcome')) this.#listeners.emit('outcome', outcome)
  }

  fail(decision: Decision, reason: string): void {
    this.#counts.failed(decision)
    this.#guard.fail(decision, reason)
  }

  get guard(): { report(): GuardReport } | null {
    return this.#guard.guard
  }

  /** The decision instead of one for B that A must serve. */
  fallback(decision: Decision, plan: Plan = this.options.plan): Decision {
    this.#counts.fellBack()
    this.#guard.withdraw(decision)
    return fallenBack(decision, plan)
  }

  close(): void {
    this.#closed = true
    this.#guard.close()
    this.#listeners.clear()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  get [RELEASE](): number {
    return RELEASE_SHAPE
  }

  get [Symbol.toStringTag](): 'Release' {
    return 'Release'
  }

  /** What `console.log` prints. */
  [INSPECT](depth: number, options: object, inspect: Inspect): string {
    // A proxy of one is printed with itself as `this`.
    return #timeline in this ? inspectRelease(this.status(), depth, options, inspect) : 'Release {}'
  }

  #compile(input: GivenOptions): ReleaseSettings {
    return compileSettings(input, this.#report, this.#isPlaced)
  }

  #move(move: Exclude<Move, 'restart'>, reason: string | undefined, by: string): void {
    this.#refuseClosed()
    this.#timeline.move(this.#after(move, this.options, reason, by))
    this.#moved(move)
  }

  #after(move: Move, { start, enabled, clock }: ReleaseSettings, reason: string | undefined, by: string) {
    const ramp = start === null ? null : { start, enabled }
    const { record, state } = this.#standsAt()
    const elapsedMs = this.#timeline.elapsedMs()
    return afterMove(record, move, { state, nowMs: clock(), ramp, elapsedMs, reason: reason ?? null, by })
  }

  #moved(move: Move): void {
    this.reports.moved(move, this.#timeline.record)
    this.#changed(move)
  }

  #standsAt() {
    const timeline = this.#timeline
    timeline.wait(this.#guard.mayReach)
    return { record: timeline.carried(), state: timeline.state() }
  }

  /** `anew`: the share may fall; `isNewRun`: of the guard. */
  #replace(settings: ReleaseSettings, record: ReleaseRecord, anew: boolean, isNewRun: boolean): void {
    const before = this.options
    this.reports.tellTo(settings)
    this.#timeline.wait(this.#guard.mayReach)
    this.#rotation.rescale(settings.steps)
    this.#timeline.replace(settings, record, anew)
    this.#guard.replace(before, settings, isNewRun)
  }

  #tell(decision: Decision): void {
    runWith(decision, () => this.#listeners.emit('decision', decision))
  }

  #changed(change: ReleaseChange['change']): void {
    if (this.#listeners.has('change')) this.#listeners.emit('change', { change, status: this.status() })
  }

  #refuseClosed(): void {
    if (this.#closed) throw new CanaryError('ERR_CANARY_CLOSED', `release ${this.name} is closed`)
  }
}

/**
 * Makes a release from its options.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION that says the option, what was expected and what was given
 */
export function createRelease<Request = never>(options: ReleaseOptions<Request>): PublicRelease {
  return new Release(options)
}

/** A record that somebody made begins by a move; else it is that of an edit. */
function beginningOf({ by }: ReleaseRecord): 'restart' | 'update' {
  return by === null ? 'update' : 'restart'
}
