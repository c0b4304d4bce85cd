import { randomUUID } from 'node:crypto'
import { type Draw, DrawnDecision, type Standing, decide } from '../decision/decide.js'
import type { Decision, Outcome } from '../decision/decision.js'
import { type Explanation, explain } from '../decision/explain.js'
import { DescribedFacts, type Facts, type RequestDescription } from '../decision/facts.js'
import { Rotation } from '../decision/rotation.js'
import { CanaryError } from '../errors.js'
import { type Move, type ReleaseRecord, type ReleaseState, UNTOUCHED, afterMove } from './lifecycle.js'
import { Listeners } from './listeners.js'
import { optionError } from './option-error.js'
import type { ReleaseOptions } from './options.js'
import { type Ramp, bucketsOfRamp, compileRamp, crossingOf } from './ramp.js'
import { type ReleaseSettings, compileSettings, mergeOptions } from './settings.js'
import { Counts, type ReleaseStatus } from './status.js'

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
  /** bucketsOnB never falls while a ramp runs, also when the clock steps back. */
  #highest = 0
  readonly #rotation: Rotation
  readonly #counts = new Counts()
  readonly #listeners = new Listeners<ReleaseEvents>((error) => this.reportOnce('listener', error))
  readonly #reported = new Set<string>()
  #closed = false
  readonly #draw: { -readonly [Key in keyof Draw]: Draw[Key] }

  /** @throws {CanaryError} ERR_CANARY_OPTION */
  constructor(options: AnyOptions) {
    this.#input = options
    this.#settings = compileSettings(options)
    this.#record = restored(this.#settings)
    this.#ramp = compileRamp(this.#settings, this.#record)
    const { steps, random } = this.#settings
    this.#rotation = new Rotation(steps, random())
    this.#draw = {
      standing: standingOf(this.#settings, this.#record),
      bucketsOnB: 0,
      nextBucket: (bucketsOnB) => this.#rotation.next(bucketsOnB),
      newId: randomUUID,
    }
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

  /** Decides by facts that are read only as far as a rule needs them. */
  decideBy(facts: Facts): Decision {
    const draw = this.#draw
    draw.bucketsOnB = this.#currentBuckets()
    const decision = decide(this.#settings.plan, draw, facts)
    if (decision.upstream === 'A') this.#counts.requestsA += 1
    else this.#counts.requestsB += 1
    if (this.#listeners.has('decision')) this.#listeners.emit('decision', decision)
    return decision
  }

  /** Says which rules were looked at for a request, what was decided and when it goes over to B. Changes nothing. */
  explain(request: RequestDescription = {}): Explanation {
    return this.explainBy(new DescribedFacts(request))
  }

  explainBy(facts: Facts): Explanation {
    const draw = { ...this.#draw, bucketsOnB: this.#bucketsAt(), nextBucket: (on: number) => this.#rotation.peek(on) }
    const { plan } = this.#settings
    return explain(plan, draw, facts, (bucket) => {
      const crossing = draw.standing === 'open' ? crossingOf(this.#ramp, bucket) : null
      return crossing === null ? null : isoDate(crossing)
    })
  }

  /**
   * Changes options: checked first, then applied whole. `percentage` and `start` remove each other, and restart a
   * release that was rolled back or promoted. Other options leave such a release where it is.
   *
   * @throws {CanaryError} ERR_CANARY_OPTION, and nothing has changed; ERR_CANARY_CLOSED
   */
  update(partial: Partial<AnyOptions>): void {
    this.#refuseClosed()
    for (const name of ['name', 'state'] as const) {
      if (partial[name] !== undefined)
        throw optionError(name, 'must stay as it was when the release was built', partial[name])
    }
    const input = mergeOptions(this.#input, partial)
    const settings = compileSettings({ ...input, state: undefined })
    const restarts = partial.percentage !== undefined || partial.start !== undefined
    const moved = restarts || partial.duration !== undefined || partial.steps !== undefined
    if (moved) this.#highest = 0
    this.#rotation.rescale(settings.steps)
    this.#input = input
    this.#put(settings, restarts ? restarted(this.#record, settings) : this.#record)
    this.#changed('update')
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
    const ramp = this.#ramp
    const standing = this.#draw.standing
    const buckets = this.#bucketsAt()
    const bucketsOnB = standing === 'open' ? buckets : standing === 'promoted' ? steps : 0
    return {
      name,
      state: this.#stateAt(),
      percentage,
      bucketsOnB,
      steps,
      start,
      duration: start === null ? null : duration,
      endsAt: ramp.kind === 'timed' && standing === 'open' ? (ramp.startMs + ramp.durationMs) / 1000 : null,
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
    if (failed) {
      if (outcome.decision.upstream === 'A') this.#counts.failuresA += 1
      else this.#counts.failuresB += 1
    }
    if (this.#listeners.has('outcome')) this.#listeners.emit('outcome', outcome)
  }

  /** The decision instead of one for B that A must serve. */
  fallback(decision: Decision): Decision {
    this.#counts.fallback += 1
    return new DrawnDecision(
      this.#settings.plan,
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
    if (this.#reported.has(kind)) return
    this.#reported.add(kind)
    const { onError, logger, name } = this.#settings
    try {
      if (onError === null) logger.error(`canary release ${name}: ${kind}: ${String(error)}`)
      else onError(error)
    } catch {
      // A reporter that throws has nobody left to report to.
    }
  }

  /** Ends what the release runs by itself. It still decides; changing it is refused. */
  close(): void {
    this.#closed = true
    this.#listeners.clear()
  }

  #move(move: Move, reason: string | undefined, by: string): void {
    this.#refuseClosed()
    const context = {
      state: this.#stateAt(),
      now: this.#settings.clock() / 1000,
      start: this.#settings.start,
      reason: reason ?? null,
      by,
    }
    this.#put(this.#settings, afterMove(this.#record, move, context))
    this.#settings.logger.info(
      `canary release ${this.name}: ${move} by ${by}${reason === undefined ? '' : `: ${reason}`}`,
    )
    this.#changed(move)
  }

  #put(settings: ReleaseSettings, record: ReleaseRecord): void {
    this.#settings = settings
    this.#record = record
    this.#ramp = compileRamp(settings, record)
    this.#draw.standing = standingOf(settings, record)
  }

  #changed(change: ReleaseChange['change']): void {
    if (this.#listeners.has('change')) this.#listeners.emit('change', { change, status: this.status() })
  }

  #bucketsAt(): number {
    const ramp = this.#ramp
    const buckets = ramp.kind === 'fixed' ? ramp.bucketsOnB : bucketsOfRamp(ramp, this.#settings.clock())
    return this.#settings.fixedBuckets === null && buckets < this.#highest ? this.#highest : buckets
  }

  #currentBuckets(): number {
    const buckets = this.#bucketsAt()
    if (buckets > this.#highest) {
      this.#highest = buckets
      if (buckets === this.#settings.steps && this.#ramp.kind === 'timed') this.#changed('complete')
    }
    return buckets
  }

  #stateAt(): ReleaseState {
    const { state } = this.#record
    if (state === 'paused' || state === 'rolled-back' || state === 'promoted') return state
    if (this.#bucketsAt() === this.#settings.steps) return 'complete'
    const ramp = this.#ramp
    return ramp.kind === 'timed' && this.#settings.clock() < ramp.startMs ? 'scheduled' : 'running'
  }

  #refuseClosed(): void {
    if (this.#closed) throw new CanaryError('ERR_CANARY_CLOSED', `release ${this.name} is closed`)
  }
}

function standingOf(settings: ReleaseSettings, record: ReleaseRecord): Standing {
  if (!settings.enabled) return 'disabled'
  return record.state === 'rolled-back' || record.state === 'promoted' ? record.state : 'open'
}

/** The record of an earlier process. What follows from the options and the clock is worked out anew. */
function restored({ state }: ReleaseSettings): ReleaseRecord {
  if (state === null) return UNTOUCHED
  const { reason, by, at, elapsed } = state
  return { state: state.state, reason, by, at, elapsed }
}

/** The record after a new `percentage` or `start`: a pause stays, all else begins anew. */
function restarted(record: ReleaseRecord, { start, clock }: ReleaseSettings): ReleaseRecord {
  if (record.state !== 'paused') return UNTOUCHED
  return { ...record, elapsed: start === null ? null : Math.max(0, clock() / 1000 - start) }
}

function isoDate(milliseconds: number): string | null {
  return Math.abs(milliseconds) <= 8.64e15 ? new Date(milliseconds).toISOString() : null
}

/**
 * Makes a release from its options.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION that says the option, what was expected and what was given
 */
export function createRelease<Request = never>(options: ReleaseOptions<Request>): Release {
  return new Release(options)
}
