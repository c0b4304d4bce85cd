import type { Standing } from '../decision/decide.js'
import { type RampSize, bucketsOfElapsed, elapsedAfterEdit, elapsedUntil } from '../decision/schedule.js'
import { durationMsOf } from './duration.js'
import type { LifeState } from '../release-state.js'
import { type ReleaseRecord, elapsedMsAt, secondsAt } from './lifecycle.js'
import { type Ramp, bucketsOfRamp, compileRamp, crossingOf, elapsedOfRamp, shareOf, standingOf } from './ramp.js'
import type { ReleaseSettings } from './settings.js'
import type { ReleaseStatus } from './status.js'

/** How many buckets a ramp that has `from` on B, and would have `to`, may have there: what a guard says. */
export type MayReach = (from: number, to: number, steps: number) => number

/** Where a release stands in time: the one place that knows its settings, its record and the clock together. */
export class Timeline {
  settings: ReleaseSettings
  record: ReleaseRecord
  standing: Standing
  #ramp: Ramp
  /** What decides: the ramp, or all or nothing where the rules are not asked. */
  #share: Ramp
  /**
   * Milliseconds of the ramp that were reached: whatever the clock, an edit or another process says, it goes on from
   * there.
   */
  #leastMs = Number.NEGATIVE_INFINITY
  /** bucketsOnB of the ramp's last decision. */
  #reached = 0
  #completed = false
  /** Milliseconds since the record was written in which the ramp was held: they do not count. */
  #heldMs = 0

  constructor(settings: ReleaseSettings, record: ReleaseRecord) {
    this.settings = settings
    this.record = record
    this.standing = standingOf(settings, record)
    this.#ramp = compileRamp(settings, record)
    this.#share = shareOf(this.#ramp, this.standing, settings.steps)
  }

  /** Milliseconds of the ramp that counted until now; `null` for a fixed percentage. */
  elapsedMs(): number | null {
    return elapsedOfRamp(this.#ramp, this.settings.clock(), this.#leastMs)
  }

  /**
   * The record as moves go on from it and as another process may: with what only this process knows of the time that
   * counted. That is time in which the ramp was held, or a clock that has stepped back.
   */
  carried(): ReleaseRecord {
    const { record, settings } = this
    const { start, enabled } = settings
    const nowMs = settings.clock()
    const elapsedMs = elapsedOfRamp(this.#ramp, nowMs, this.#leastMs)
    if (elapsedMs === null || start === null || this.standing === 'rolled-back' || this.standing === 'promoted') {
      return record
    }
    if (elapsedMs === elapsedMsAt(record, { start, enabled }, nowMs) || !Number.isFinite(elapsedMs)) return record
    return { ...record, elapsed: elapsedMs / 1000, at: secondsAt(nowMs) }
  }

  /** Another record, after a move of what was {@link carried}. */
  move(record: ReleaseRecord): void {
    this.#heldMs = 0
    this.#put(this.settings, record)
  }

  /** Other settings. `anew`: the share is counted from other times, and may fall; else a ramp goes on from where it is. */
  replace(settings: ReleaseSettings, record: ReleaseRecord, anew: boolean): void {
    const reachedMs = this.elapsedMs()
    if (anew || (isOver(this.record) && !isOver(record))) {
      this.#leastMs = Number.NEGATIVE_INFINITY
      this.#reached = 0
      this.#heldMs = 0
    } else if (reachedMs !== null) {
      const [was, is] = [sizeOf(this.settings), sizeOf(settings)]
      const isResized = was.durationMs !== is.durationMs || was.steps !== is.steps
      this.#leastMs = reachedMs > 0 ? elapsedAfterEdit(reachedMs, was, is) : Number.NEGATIVE_INFINITY
      if (isResized && this.#reached > 0) this.#reached = bucketsOfElapsed(this.#leastMs, is.durationMs, is.steps)
      if (!isSameMoment(record, this.record)) this.#heldMs = 0
    }
    this.#put(settings, record)
    this.#completed &&= this.state() === 'complete'
  }

  #put(settings: ReleaseSettings, record: ReleaseRecord): void {
    this.settings = settings
    this.record = record
    this.standing = standingOf(settings, record)
    this.#ramp = compileRamp(settings, record, this.#heldMs, this.#leastMs)
    this.#share = shareOf(this.#ramp, this.standing, settings.steps)
  }

  /** The present number of buckets on B; changes nothing. */
  bucketsOnB(): number {
    return bucketsOfRamp(this.#share, this.settings.clock(), this.#leastMs)
  }

  /**
   * The present number of buckets on B, for a request: time goes on. Calls `completed` once, when all are there: it may
   * change the release, and that holds already.
   */
  advance(mayReach: MayReach | null, completed: () => void): number {
    const share = this.#share
    if (share.kind !== 'timed') return share.bucketsOnB
    let elapsedMs = Math.floor(this.settings.clock()) - share.startMs
    if (!(elapsedMs > this.#leastMs)) elapsedMs = this.#leastMs
    if (elapsedMs > share.mostMs) elapsedMs = share.mostMs
    const buckets = bucketsOfElapsed(elapsedMs, share.durationMs, share.steps)
    if (mayReach !== null && this.#isHeld(buckets, mayReach)) return this.#hold(elapsedMs)
    this.#leastMs = elapsedMs
    this.#reached = buckets
    if (buckets !== share.steps || this.#completed) return buckets
    this.#completed = true
    completed()
    return this.bucketsOnB()
  }

  /** Time that passes without a request: where the ramp may not advance, it does not count either. */
  wait(mayReach: MayReach | null): void {
    const share = this.#share
    if (mayReach === null || share.kind !== 'timed') return
    const elapsedMs = elapsedOfRamp(share, this.settings.clock(), this.#leastMs)
    if (elapsedMs === null) return
    const buckets = bucketsOfElapsed(elapsedMs, share.durationMs, share.steps)
    if (this.#isHeld(buckets, mayReach)) this.#hold(elapsedMs)
  }

  /** Whether the ramp may not have as many buckets on B as its time says; it has reached what it may. */
  #isHeld(buckets: number, mayReach: MayReach): boolean {
    if (buckets <= this.#reached || this.#reached === 0) return false
    const most = mayReach(this.#reached, buckets, this.settings.steps)
    if (most >= buckets) return false
    this.#reached = most
    return true
  }

  /** Keeps a ramp at the share it has reached: the time until it may go on does not count. */
  #hold(elapsedMs: number): number {
    const { steps, durationMs } = sizeOf(this.settings)
    const endOfBucket = elapsedUntil(this.#reached, durationMs, steps) - 1
    this.#heldMs += elapsedMs - endOfBucket
    this.#leastMs = endOfBucket
    this.#put(this.settings, this.record)
    return this.#reached
  }

  /** What the release is doing, or would be were it enabled. */
  state(): LifeState {
    const { state } = this.record
    if (state === 'paused' || state === 'rolled-back' || state === 'promoted') return state
    const ramp = this.#ramp
    const nowMs = this.settings.clock()
    if (bucketsOfRamp(ramp, nowMs, this.#leastMs) === this.settings.steps) return 'complete'
    const elapsedMs = elapsedOfRamp(ramp, nowMs, this.#leastMs)
    if (elapsedMs === null || elapsedMs > 0) return 'running'
    // One that is disabled before its start has no time that could be below 0.
    const isYetToStart = ramp.kind === 'timed' ? elapsedMs < 0 : nowMs / 1000 < (this.settings.start ?? 0)
    return isYetToStart ? 'scheduled' : 'running'
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

  /** What was said of a ramp holds as what was decided does: it is not taken back. */
  #keep(): void {
    const share = this.#share
    if (share.kind !== 'timed') return
    this.#leastMs = elapsedOfRamp(share, this.settings.clock(), this.#leastMs) ?? this.#leastMs
    if (this.#reached > 0) this.#reached = bucketsOfElapsed(this.#leastMs, share.durationMs, share.steps)
  }

  /** What the release is and does at this instant. */
  status(counts: ReleaseStatus['counts']): ReleaseStatus {
    this.#keep()
    const { name, percentage, steps, start, duration, enabled } = this.settings
    const { reason, by, at, elapsed } = this.carried()
    const state = this.state()
    const outlasts = state === 'paused' || state === 'rolled-back' || state === 'promoted'
    return {
      name,
      state: enabled || outlasts ? state : 'disabled',
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

/** Whether a release only begins again, and does not go on. */
function isOver({ state }: ReleaseRecord): boolean {
  return state === 'rolled-back' || state === 'promoted'
}

/** Whether two records say the same of the time that counted. */
function isSameMoment(a: ReleaseRecord, b: ReleaseRecord): boolean {
  return a.at === b.at && a.state === b.state && a.elapsed === b.elapsed
}

function sizeOf({ duration, steps }: ReleaseSettings): RampSize {
  return { durationMs: durationMsOf(duration), steps }
}
