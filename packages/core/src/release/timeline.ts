import type { Standing } from '../decision/decide.js'
import { elapsedUntil } from '../decision/schedule.js'
import { type ReleaseRecord, type ReleaseState, elapsedAt } from './lifecycle.js'
import { type Ramp, bucketsOfRamp, compileRamp, crossingOf, shareOf, standingOf } from './ramp.js'
import type { ReleaseSettings } from './settings.js'
import type { ReleaseStatus } from './status.js'

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
  /** Milliseconds since the record's move in which the ramp was held: they do not count. */
  #heldMs = 0

  constructor(settings: ReleaseSettings, record: ReleaseRecord) {
    this.settings = settings
    this.record = record
    this.standing = standingOf(settings, record)
    this.#ramp = compileRamp(settings, record)
    this.#share = shareOf(this.#ramp, this.standing, settings.steps)
  }

  /** The record as moves go on from it and as another process may: with the time that was held taken off. */
  carried(): ReleaseRecord {
    const { record, settings } = this
    if (this.#heldMs === 0 || settings.start === null) return record
    const at = this.now() / 1000
    return { ...record, elapsed: elapsedAt(record, settings.start, at) - this.#heldMs / 1000, at }
  }

  /** Another record, after a move of what was {@link carried}. */
  move(record: ReleaseRecord): void {
    this.#heldMs = 0
    this.#put(this.settings, record)
  }

  /** Other settings. `anew`: the share is counted from other times, and may fall. */
  replace(settings: ReleaseSettings, record: ReleaseRecord, anew: boolean): void {
    if (anew) this.#latest = Number.NEGATIVE_INFINITY
    if (anew || settings.steps !== this.settings.steps) this.#reached = 0
    if (anew || record.at !== this.record.at || record.state !== this.record.state) this.#heldMs = 0
    this.#put(settings, record)
    this.#completed &&= this.state() === 'complete'
  }

  #put(settings: ReleaseSettings, record: ReleaseRecord): void {
    this.settings = settings
    this.record = record
    this.standing = standingOf(settings, record)
    this.#ramp = compileRamp(settings, record, this.#heldMs)
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
    if (mayAdvance !== null && this.#isHeld(buckets, mayAdvance)) return this.#hold(share.startMs, now)
    this.#latest = now
    this.#reached = buckets
    if (buckets !== share.steps || this.#completed) return buckets
    this.#completed = true
    completed()
    return bucketsOfRamp(this.#share, now)
  }

  /** Time that passes without a request: where the ramp may not advance, it does not count either. */
  wait(mayAdvance: MayAdvance | null): void {
    const share = this.#share
    if (mayAdvance === null || share.kind === 'fixed') return
    const now = this.now()
    if (this.#isHeld(bucketsOfRamp(share, now), mayAdvance)) this.#hold(share.startMs, now)
  }

  #isHeld(buckets: number, mayAdvance: MayAdvance): boolean {
    return buckets > this.#reached && this.#reached > 0 && !mayAdvance(this.#reached, this.settings.steps)
  }

  /** Keeps a ramp at the share it has reached: the time until it may go on does not count. */
  #hold(startMs: number, now: number): number {
    const { steps, duration } = this.settings
    const endOfBucket = elapsedUntil(this.#reached, Math.max(1, Math.round(duration * 1000)), steps) - 1
    this.#heldMs += Math.floor(now) - startMs - endOfBucket
    this.#put(this.settings, this.record)
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

  /** What the release is and does at this instant. */
  status(counts: ReleaseStatus['counts']): ReleaseStatus {
    const { name, percentage, steps, start, duration } = this.settings
    const { reason, by, at, elapsed } = this.carried()
    return {
      name,
      state: this.state(),
      percentage,
      bucketsOnB: this.bucketsOnB(),
      steps,
      start,
      duration: start === null ? null : duration,
      endsAt: this.endsAt(),
      counts,
      reason,
      by,
      at,
      elapsed,
    }
  }
}
