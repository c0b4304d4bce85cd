import type { Standing } from '../decision/decide.js'
import { elapsedUntil } from '../decision/schedule.js'
import type { ReleaseRecord, ReleaseState } from './lifecycle.js'
import { type Ramp, bucketsOfRamp, compileRamp, crossingOf, shareOf, standingOf } from './ramp.js'
import type { ReleaseSettings } from './settings.js'

/** Whether a ramp may leave `bucketsOnB`: what a guard says. */
export type MayAdvance = (bucketsOnB: number, steps: number) => boolean

/** Where a release stands in time: the one place that knows its settings, its record and the clock together. */
export class Timeline {
  settings: ReleaseSettings
  record: ReleaseRecord
  standing: Standing
  #ramp: Ramp
  /** What decides: the ramp, or all or nothing where the rules are not asked. */
  #share: Ramp
  /** The latest time decided by: bucketsOnB never falls while a ramp runs, also when the clock steps back. */
  #latest = Number.NEGATIVE_INFINITY
  /** bucketsOnB of the ramp's last decision. */
  #reached = 0
  #completed = false

  constructor(settings: ReleaseSettings, record: ReleaseRecord) {
    this.settings = settings
    this.record = record
    this.standing = standingOf(settings, record)
    this.#ramp = compileRamp(settings, record)
    this.#share = shareOf(this.#ramp, this.standing, settings.steps)
  }

  /** Another record, after a move. */
  move(record: ReleaseRecord): void {
    this.#put(this.settings, record)
  }

  /** Other settings. `anew`: the share is counted from other times, and may fall. */
  replace(settings: ReleaseSettings, record: ReleaseRecord, anew: boolean): void {
    if (anew) this.#latest = Number.NEGATIVE_INFINITY
    this.#reached = 0
    this.#put(settings, record)
    this.#completed &&= this.state() === 'complete'
  }

  #put(settings: ReleaseSettings, record: ReleaseRecord): void {
    this.settings = settings
    this.record = record
    this.standing = standingOf(settings, record)
    this.#ramp = compileRamp(settings, record)
    this.#share = shareOf(this.#ramp, this.standing, settings.steps)
  }

  /** Milliseconds: the clock, but never before a time already decided by. */
  now(): number {
    const now = this.settings.clock()
    return now > this.#latest ? now : this.#latest
  }

  /** The present number of buckets on B; changes nothing. */
  bucketsOnB(): number {
    return bucketsOfRamp(this.#share, this.now())
  }

  /**
   * The present number of buckets on B, for a request: time goes on. Calls `completed` once, when all are there: it may
   * change the release, and that holds already.
   */
  advance(mayAdvance: MayAdvance | null, completed: () => void): number {
    const share = this.#share
    if (share.kind === 'fixed') return share.bucketsOnB
    const now = this.now()
    const buckets = bucketsOfRamp(share, now)
    if (mayAdvance !== null && this.#isHeld(buckets, mayAdvance)) return this.#hold(now)
    this.#latest = now
    this.#reached = buckets
    if (buckets !== share.steps || this.#completed) return buckets
    this.#completed = true
    completed()
    return bucketsOfRamp(this.#share, now)
  }

  /** Time that passes without a request: where the ramp may not advance, it does not count either. */
  wait(mayAdvance: MayAdvance | null): void {
    if (mayAdvance === null || this.#share.kind === 'fixed') return
    const now = this.now()
    if (this.#isHeld(bucketsOfRamp(this.#share, now), mayAdvance)) this.#hold(now)
  }

  #isHeld(buckets: number, mayAdvance: MayAdvance): boolean {
    return buckets > this.#reached && this.#reached > 0 && !mayAdvance(this.#reached, this.settings.steps)
  }

  /** Keeps a ramp at the share it has reached: the time until it may go on does not count. */
  #hold(now: number): number {
    const { steps, duration } = this.settings
    const elapsedMs = elapsedUntil(this.#reached, Math.round(duration * 1000), steps) - 1
    this.move({ ...this.record, elapsed: elapsedMs / 1000, at: now / 1000 })
    this.#latest = now
    return this.#reached
  }

  state(): ReleaseState {
    const { state } = this.record
    if (state === 'paused' || state === 'rolled-back' || state === 'promoted') return state
    const ramp = this.#ramp
    const now = this.now()
    if (bucketsOfRamp(ramp, now) === this.settings.steps) return 'complete'
    return ramp.kind === 'timed' && now < ramp.startMs ? 'scheduled' : 'running'
  }

  /** When all buckets are on B, in seconds since the epoch; `null` where time does not bring them there. */
  endsAt(): number | null {
    const share = this.#share
    return share.kind === 'timed' ? (share.startMs + share.durationMs) / 1000 : null
  }

  /** When a bucket goes over to B, an ISO date; `null` likewise. */
  crossing(bucket: number): string | null {
    return crossingOf(this.#share, bucket)
  }
}
