import { type RampSize, elapsedAfterEdit } from '../decision/schedule.js'
import type { LifeState } from '../release-state.js'
import {
  type RampTime,
  type ReleaseRecord,
  UNTOUCHED,
  begunAgain,
  elapsedMsAt,
  isAhead,
  isByGuard,
  secondsAt,
  standsStill,
} from './lifecycle.js'

/** What says how large a release's share is. */
export interface Share extends RampSize {
  /** Goes before the ramp. */
  readonly percentage: number | null
  /** Of the ramp, in seconds since the epoch. */
  readonly start: number | null
  readonly enabled: boolean
}

/** In what an edit differs from what was there, as far as a release may begin again by it. */
export interface Difference {
  /** Also from a ramp to a percentage, or back. */
  readonly percentage: boolean
  /** False where the edit does not say one: it is the one that is there. */
  readonly start: boolean
  /** Of B: host, port, uri. */
  readonly location: boolean
}

/** A release after an edit of its options. */
export interface Edited {
  readonly record: ReleaseRecord
  /** Whether it begins again: with a new run of its guard. */
  readonly begins: boolean
  /** Whether another percentage was stored and nothing more, as the guard has rolled the release back. */
  readonly stays: boolean
}

/**
 * What an edit of its options makes of a release. One that is rolled back, promoted or complete begins again by another
 * start or location of B, and by another percentage unless the guard rolled it back. One that runs or is paused takes
 * another percentage or start as its share. Any other edit never lowers the share of a ramp.
 */
export function edited(
  present: { readonly record: ReleaseRecord; readonly state: LifeState },
  before: Share,
  after: Share,
  differs: Difference,
  nowMs: number,
): Edited {
  const { record, state } = present
  if (state === 'rolled-back' || state === 'promoted' || state === 'complete') {
    const byGuard = state === 'rolled-back' && isByGuard(record)
    if (differs.start || differs.location || (differs.percentage && !byGuard)) {
      return { record: begunAgain(rampStart(after), nowMs, null, null), begins: true, stays: false }
    }
    if (state !== 'complete') return { record, begins: false, stays: byGuard && differs.percentage }
  }
  const anew = differs.percentage || differs.start
  const kept = anew ? withNewShare(record, after, nowMs) : withSameShare(record, before, after, nowMs)
  return { record: kept, begins: false, stays: false }
}

/** The record of a release that is built: where it is disabled, the time of its ramp stands still from then on. */
export function recordOfNew(share: Share, nowMs: number): ReleaseRecord {
  return withSameShare(UNTOUCHED, { ...share, enabled: true }, share, nowMs)
}

/** The record after an edit of duration, steps or `enabled`: the same one where nothing is to be written down. */
export function withSameShare(record: ReleaseRecord, before: Share, after: Share, nowMs: number): ReleaseRecord {
  const start = rampStart(after)
  if (start === null || rampStart(before) === null || isSameTime(before, after)) return record
  if (record.state === 'rolled-back' || record.state === 'promoted') return record
  const was = { start, enabled: before.enabled }
  const is = { start, enabled: after.enabled }
  const elapsedMs = elapsedAfterEdit(elapsedMsAt(record, was, nowMs), before, after)
  const at = secondsAt(nowMs)
  if (elapsedMs <= 0 && !standsStill(record, after.enabled) && isAhead(is, nowMs))
    return { ...record, at, elapsed: null }
  const elapsed = Math.max(0, elapsedMs) / 1000
  // While it was and is paused, another `enabled` changes nothing.
  if (record.elapsed === elapsed && standsStill(record, before.enabled) && standsStill(record, after.enabled)) {
    return record
  }
  return { ...record, at, elapsed }
}

/** The record after another percentage or start: a ramp is as far as its start says. */
function withNewShare(record: ReleaseRecord, after: Share, nowMs: number): ReleaseRecord {
  const start = rampStart(after)
  if (start !== null && standsStill(record, after.enabled)) {
    const elapsedMs = elapsedMsAt(UNTOUCHED, { start, enabled: true }, nowMs)
    return { ...record, at: secondsAt(nowMs), elapsed: Math.max(0, elapsedMs) / 1000 }
  }
  return record.elapsed === null ? record : { ...record, elapsed: null }
}

function isSameTime(a: Share, b: Share): boolean {
  return a.durationMs === b.durationMs && a.steps === b.steps && a.enabled === b.enabled
}

/** The record after an edit of any of these: of a release that does not begin again by it. */
export function withOtherShare(record: ReleaseRecord, before: Share, after: Share, nowMs: number): ReleaseRecord {
  const anew = before.percentage !== after.percentage || before.start !== after.start
  return anew ? withNewShare(record, after, nowMs) : withSameShare(record, before, after, nowMs)
}

/** The ramp's time; `null` where a percentage goes before it. */
export function rampOf(share: Share): RampTime | null {
  const start = rampStart(share)
  return start === null ? null : { start, enabled: share.enabled }
}

/** When the ramp starts; `null` where a percentage goes before it. */
export function rampStart({ percentage, start }: Pick<Share, 'percentage' | 'start'>): number | null {
  return percentage === null ? start : null
}
