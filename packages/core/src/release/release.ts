import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { type Draw, DrawnDecision, decide } from '../decision/decide.js'
import type { Decision, Outcome } from '../decision/decision.js'
import { type Explanation, explain } from '../decision/explain.js'
import { DescribedFacts, type Facts, type RequestDescription } from '../decision/facts.js'
import type { Plan } from '../decision/plan.js'
import { Rotation } from '../decision/rotation.js'
import { elapsedUntil } from '../decision/schedule.js'
import { CanaryError } from '../errors.js'
import type { Guard, GuardReport, Ticket } from '../guard/index.js'
import {
  type Move,
  type ReleaseRecord,
  type ReleaseState,
  afterMove,
  moveBetween,
  restarted,
  restored,
} from './lifecycle.js'
import { Listeners, attempt } from './listeners.js'
import { optionError } from './option-error.js'
import type { ReleaseOptions } from './options.js'
import { type Ramp, bucketsOfRamp, compileRamp, crossingOf, shareOf, standingOf } from './ramp.js'
import { type ReleaseSettings, compileSettings, mergeOptions } from './settings.js'
import { Counts, type ReleaseStatus } from './status.js'
import { guardOf } from './watched.js'

/** What changed a release: a person's or the guard's move, an update, or time that ran out. */
export interface ReleaseChange {
  readonly change: Move | 'update' | 'complete'
  readonly status: ReleaseStatus
}

export interface ReleaseEvents {
  change: ReleaseChange
  decision: Decision
  outcome: Outcome
}

type AnyOptions = ReleaseOptions

/**
 * One live canary. What it decides, and each change of it, is in force from the next request on.
 *
 * A release in code lives with its process: after a restart it is what its options say. Give `state: status` of an
 * earlier one to carry its moves on.
 */
export class Release {
  #input: AnyOptions
  #settings: ReleaseSettings
  #record: ReleaseRecord
  #ramp: Ramp
  /** What decides: the ramp, or all or nothing where the rules are not asked. */
  #share: Ramp
  /** The latest time decided by: bucketsOnB never falls while a ramp runs, also when the clock steps back. */
  #latest = Number.NEGATIVE_INFINITY
  /** bucketsOnB of the ramp's last decision. */
  #reached = 0
  #completed = false
  readonly #rotation: Rotation
  readonly #counts = new Counts()
  readonly #listeners = new Listeners<ReleaseEvents>((error) => this.reportOnce('listener', error))
  readonly #reported = new Set<string>()
  /** Decisions that were counted as failed, so that none counts twice. */
  readonly #failed = new WeakSet<Decision>()
  #guard: Guard | null
  #closed = false
  readonly #host = {
    now: () => this.#settings.clock(),
    standing: () => {
      const { state, bucketsOnB, steps } = this.status()
      return { state, bucketsOnB, steps, ramping: this.#settings.start !== null }
    },
    pause: (reason: string) => this.#move('pause', reason, 'guard'),
    resume: (reason: string) => this.#move('resume', reason, 'guard'),
    rollback: (reason: string) => this.#move('rollback', reason, 'guard'),
    log: (message: string) => this.#settings.logger.warn(`canary release ${this.name}: ${message}`),
    onError: (error: unknown) => this.reportOnce('guard', error),
  }
  readonly #draw: { -readonly [Key in keyof Draw]: Draw[Key] }

  /** @throws {CanaryError} ERR_CANARY_OPTION */
  constructor(options: AnyOptions) {
    this.#input = options
    this.#settings = compileSettings(options)
    this.#record = restored(this.#settings.state, this.#settings.start)
    this.#ramp = compileRamp(this.#settings, this.#record)
    const standing = standingOf(this.#settings, this.#record)
    const { steps, random } = this.#settings
    this.#share = shareOf(this.#ramp, standing, steps)
    this.#rotation = new Rotation(steps, random())
    this.#draw = {
      standing,
      bucketsOnB: 0,
      nextBucket: (bucketsOnB) => this.#rotation.next(bucketsOnB),
      newId: randomUUID,
    }
    this.#guard = guardOf(this.#settings, this.#host)
  }

  get name(): string {
    return this.#settings.name
  }

  /** The options in force, compiled: a new object after each change. */
  get options(): ReleaseSettings {
    return this.#settings
  }

  /** Decides one request. Never throws: what cannot be read of it counts as missing. */
  decide(request: RequestDescription = {}): Decision {
    return this.decideBy(new DescribedFacts(request))
  }

  /**
   * Decides by facts that are read only as far as a rule needs them. A registry's release may stand at several places:
   * `plan` is this release's with the origins of one of them.
   */
  decideBy(facts: Facts, plan: Plan = this.#settings.plan): Decision {
    const draw = this.#draw
    draw.bucketsOnB = this.#advance()
    const decision = decide(plan, draw, facts)
    if (decision.upstream === 'A') this.#counts.requestsA += 1
    else this.#counts.requestsB += 1
    if (this.#guard !== null) {
      DrawnDecision.giveTicket(decision, this.#guard.admit(decision, DrawnDecision.identityOf(decision)))
    }
    if (this.#listeners.has('decision')) this.#listeners.emit('decision', decision)
    return decision
  }

  /** Says which rules were looked at for a request, what was decided and when it goes over to B. Changes nothing. */
  explain(request: RequestDescription = {}): Explanation {
    return this.explainBy(new DescribedFacts(request))
  }

  explainBy(facts: Facts, plan: Plan = this.#settings.plan): Explanation {
    const bucketsOnB = bucketsOfRamp(this.#share, this.#now())
    const draw = { ...this.#draw, bucketsOnB, nextBucket: (on: number) => this.#rotation.peek(on) }
    return explain(plan, draw, facts, (bucket) => crossingOf(this.#share, bucket))
  }

  /**
   * Changes options: checked first, then applied whole. `percentage` and `start` remove each other, and restart a
   * release that was rolled back or promoted. Other options leave such a release where it is.
   *
   * @throws {CanaryError} ERR_CANARY_OPTION, and nothing has changed; ERR_CANARY_CLOSED
   */
  update(partial: Partial<AnyOptions>): void {
    this.#refuseClosed()
    if (typeof partial !== 'object' || partial === null) throw optionError('options', 'must be an object', partial)
    if (partial.name !== undefined && partial.name !== this.name) {
      throw optionError('name', 'must stay as it was when the release was built', partial.name)
    }
    if (partial.state !== undefined) {
      throw optionError('state', 'must be given when the release is built, not in an update', partial.state)
    }
    const input = mergeOptions(this.#input, partial)
    const settings = compileSettings({ ...input, state: undefined })
    const restarts = partial.percentage !== undefined || partial.start !== undefined
    if (restarts) this.#latest = Number.NEGATIVE_INFINITY
    this.#reached = 0
    this.#rotation.rescale(settings.steps)
    const before = this.#settings
    this.#input = input
    this.#put(settings, restarts ? restarted(this.#record, settings.start, settings.clock() / 1000) : this.#record)
    this.#completed &&= this.#state() === 'complete'
    this.#reguard(before)
    this.#changed('update')
  }

  /**
   * Takes options and `state` whole, as a registry stores them, where {@link update} takes a part. Counts, the order of
   * `hash: 'none'` and listeners stay.
   *
   * @throws {CanaryError} ERR_CANARY_OPTION, and nothing has changed; ERR_CANARY_CLOSED
   */
  adopt(options: AnyOptions): void {
    this.#refuseClosed()
    const settings = compileSettings(options)
    const before = this.#settings
    const record = restored(settings.state, settings.start)
    const move = moveBetween(this.#record, record)
    const restarts = before.percentage !== settings.percentage || before.start !== settings.start
    if (restarts) this.#latest = Number.NEGATIVE_INFINITY
    this.#rotation.rescale(settings.steps)
    this.#input = options
    this.#put(settings, record)
    this.#completed &&= this.#state() === 'complete'
    this.#reguard(before)
    if (move !== 'update') this.#log(move)
    this.#changed(move)
  }

  /** All requests to A. Legal in every state. */
  rollback(reason?: string, by = 'code'): void {
    this.#move('rollback', reason, by)
  }

  /**
   * All requests to B.
   *
   * @throws {CanaryError} ERR_CANARY_STATE after a rollback
   */
  promote(reason?: string, by = 'code'): void {
    this.#move('promote', reason, by)
  }

  /**
   * Freezes the share.
   *
   * @throws {CanaryError} ERR_CANARY_STATE unless scheduled or running
   */
  pause(reason?: string, by = 'code'): void {
    this.#move('pause', reason, by)
  }

  /**
   * Goes on from where the pause began.
   *
   * @throws {CanaryError} ERR_CANARY_STATE unless paused
   */
  resume(by = 'code'): void {
    this.#move('resume', undefined, by)
  }

  /** What the release is and does at this instant, as JSON. Given as the option `state` it carries moves on. */
  status(): ReleaseStatus {
    const { name, percentage, steps, start, duration } = this.#settings
    const share = this.#share
    return {
      name,
      state: this.#state(),
      percentage,
      bucketsOnB: bucketsOfRamp(share, this.#now()),
      steps,
      start,
      duration: start === null ? null : duration,
      endsAt: share.kind === 'timed' ? (share.startMs + share.durationMs) / 1000 : null,
      counts: this.#counts.snapshot(),
      reason: this.#record.reason,
      by: this.#record.by,
      at: this.#record.at,
      elapsed: this.#record.elapsed,
    }
  }

  on<Name extends keyof ReleaseEvents>(name: Name, listener: (event: ReleaseEvents[Name]) => void): this {
    this.#listeners.add(name, listener)
    return this
  }

  off<Name extends keyof ReleaseEvents>(name: Name, listener: (event: ReleaseEvents[Name]) => void): this {
    this.#listeners.remove(name, listener)
    return this
  }

  /** Counts how a decided request ended. Adapters call it; an application that forwards by itself may too. */
  record(outcome: Outcome): void {
    const failed = !outcome.aborted && (outcome.error !== null || (outcome.status !== null && outcome.status >= 500))
    if (failed) this.#countFailure(outcome.decision)
    this.#guard?.observe(ticketOf(outcome.decision), outcome)
    if (this.#listeners.has('outcome')) this.#listeners.emit('outcome', outcome)
  }

  /** Counts a decided request as failed although its status does not say so: the application knows better. */
  fail(decision: Decision, reason: string): void {
    this.#countFailure(decision)
    this.#guard?.fail(ticketOf(decision), reason)
  }

  /** What watches the release; `null` where the option `guard` is off. */
  get guard(): { report(): GuardReport } | null {
    return this.#guard
  }

  /** The decision instead of one for B that A must serve. */
  fallback(decision: Decision, plan: Plan = this.#settings.plan): Decision {
    this.#counts.fallback += 1
    // Without effect where B was tried: that counts as B's.
    this.#guard?.withdraw(ticketOf(decision))
    return new DrawnDecision(
      plan,
      decision.bucketsOnB,
      'A',
      'fallback',
      decision.hashedBy,
      decision.bucket,
      DrawnDecision.identityOf(decision),
    )
  }

  /** Tells `onError`, or the logger, of a problem that each request would repeat: once for each kind. */
  reportOnce(kind: string, error: unknown): void {
    const { onError, logger, name } = this.#settings
    this.once(kind, () =>
      onError === null ? logger.error(`canary release ${name}: ${kind}: ${String(error)}`) : onError(error),
    )
  }

  /** Calls `tell` the first time that a kind of problem comes up; what it throws is swallowed. */
  once(kind: string, tell: () => unknown): void {
    if (this.#reported.has(kind)) return
    this.#reported.add(kind)
    attempt(tell)
  }

  /** Ends what the release runs by itself. It still decides; changing it is refused. */
  close(): void {
    this.#closed = true
    this.#guard?.close()
    this.#listeners.clear()
  }

  #move(move: Move, reason: string | undefined, by: string): void {
    this.#refuseClosed()
    const context = {
      state: this.#state(),
      now: this.#now() / 1000,
      start: this.#settings.start,
      reason: reason ?? null,
      by,
    }
    this.#put(this.#settings, afterMove(this.#record, move, context))
    this.#log(move)
    this.#changed(move)
  }

  #log(move: Move): void {
    const { by, reason } = this.#record
    const { logger } = this.#settings
    attempt(() => {
      // A guard's reason is a whole sentence, and somebody is woken for it.
      if (by === 'guard') return logger.warn(`canary release ${this.name}: ${reason}`)
      return logger.info(`canary release ${this.name}: ${move} by ${by}${reason === null ? '' : `: ${reason}`}`)
    })
  }

  #put(settings: ReleaseSettings, record: ReleaseRecord): void {
    this.#settings = settings
    this.#record = record
    this.#ramp = compileRamp(settings, record)
    this.#draw.standing = standingOf(settings, record)
    this.#share = shareOf(this.#ramp, this.#draw.standing, settings.steps)
  }

  /** Another guard where its options changed; new evidence where what it judged is no more. */
  #reguard(before: ReleaseSettings): void {
    const { guard, hash, upstreams } = this.#settings
    if (!isDeepStrictEqual(before.guard, guard) || !isDeepStrictEqual(before.hash, hash)) {
      this.#guard?.close()
      this.#guard = guardOf(this.#settings, this.#host)
    } else if (!isDeepStrictEqual(before.upstreams, upstreams)) {
      this.#guard?.reset()
    }
  }

  #countFailure(decision: Decision): void {
    if (this.#failed.has(decision)) return
    this.#failed.add(decision)
    if (decision.upstream === 'A') this.#counts.failuresA += 1
    else this.#counts.failuresB += 1
  }

  #changed(change: ReleaseChange['change']): void {
    if (this.#listeners.has('change')) this.#listeners.emit('change', { change, status: this.status() })
  }

  /** The present number of buckets on B, for a request: time goes on. */
  #advance(): number {
    const share = this.#share
    if (share.kind === 'fixed') return share.bucketsOnB
    const now = this.#now()
    const buckets = bucketsOfRamp(share, now)
    if (buckets > this.#reached && this.#reached > 0 && this.#guard !== null) {
      if (!this.#guard.mayAdvance(this.#reached, share.steps)) return this.#hold(now)
    }
    this.#latest = now
    this.#reached = buckets
    if (buckets === share.steps && !this.#completed) {
      this.#completed = true
      this.#changed('complete')
      // A listener may have moved the release: that holds already.
      return bucketsOfRamp(this.#share, now)
    }
    return buckets
  }

  /** Keeps a ramp at the share it has reached: the time until it may go on does not count. */
  #hold(now: number): number {
    const { steps, duration } = this.#settings
    const elapsedMs = elapsedUntil(this.#reached, Math.round(duration * 1000), steps) - 1
    this.#put(this.#settings, { ...this.#record, elapsed: elapsedMs / 1000, at: now / 1000 })
    this.#latest = now
    return this.#reached
  }

  /** Milliseconds: the clock, but never before a time already decided by. */
  #now(): number {
    const now = this.#settings.clock()
    return now > this.#latest ? now : this.#latest
  }

  #state(): ReleaseState {
    const { state } = this.#record
    if (state === 'paused' || state === 'rolled-back' || state === 'promoted') return state
    const ramp = this.#ramp
    const now = this.#now()
    if (bucketsOfRamp(ramp, now) === this.#settings.steps) return 'complete'
    return ramp.kind === 'timed' && now < ramp.startMs ? 'scheduled' : 'running'
  }

  #refuseClosed(): void {
    if (this.#closed) throw new CanaryError('ERR_CANARY_CLOSED', `release ${this.name} is closed`)
  }
}

function ticketOf(decision: Decision): Ticket | null {
  // Nobody but a release's guard gives tickets, and no other release asks for them.
  return DrawnDecision.ticketOf(decision) as Ticket | null
}

/**
 * Makes a release from its options.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION that says the option, what was expected and what was given
 */
export function createRelease<Request = never>(options: ReleaseOptions<Request>): Release {
  return new Release(options)
}
