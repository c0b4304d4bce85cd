import type { Standing } from '../decision/decide.js'
import { bucketsOfElapsed, elapsedUntil } from '../decision/schedule.js'
import { type ReleaseRecord, elapsedAt } from './lifecycle.js'
import type { ReleaseSettings } from './settings.js'

/** Where a release's share comes from, compiled from its settings and record: one clock reading and one division a request. */
export type Ramp =
  | { readonly kind: 'fixed'; readonly bucketsOnB: number }
  | { readonly kind: 'timed'; readonly startMs: number; readonly durationMs: number; readonly steps: number }

/** The ramp of a release, or its frozen share while it is paused. `heldMs` of its time do not count. */
export function compileRamp(settings: ReleaseSettings, record: ReleaseRecord, heldMs = 0): Ramp {
  const { fixedBuckets, start, duration, steps } = settings
  if (fixedBuckets !== null || start === null) return { kind: 'fixed', bucketsOnB: fixedBuckets ?? 0 }
  const durationMs = Math.max(1, Math.round(duration * 1000))
  if (record.state === 'paused') {
    return { kind: 'fixed', bucketsOnB: bucketsOfElapsed(Math.round((record.elapsed ?? 0) * 1000), durationMs, steps) }
  }
  // The instant at which the ramp would have begun, had it never been paused or held.
  const startMs = Math.round(-elapsedAt(record, start, 0) * 1000) + heldMs
  return { kind: 'timed', startMs, durationMs, steps }
}

export function bucketsOfRamp(ramp: Ramp, nowMs: number): number {
  return ramp.kind === 'fixed'
    ? ramp.bucketsOnB
    : bucketsOfElapsed(Math.floor(nowMs) - ramp.startMs, ramp.durationMs, ramp.steps)
}

/** Whether the rules are asked at all. */
export function standingOf(settings: ReleaseSettings, record: ReleaseRecord): Standing {
  if (!settings.enabled) return 'disabled'
  return record.state === 'rolled-back' || record.state === 'promoted' ? record.state : 'open'
}

/** Where a release's share comes from while it stands like that. */
export function shareOf(ramp: Ramp, standing: Standing, steps: number): Ramp {
  return standing === 'open' ? ramp : { kind: 'fixed', bucketsOnB: standing === 'promoted' ? steps : 0 }
}

/** When a bucket goes over to B, an ISO date; `null` where time does not bring it there. */
export function crossingOf(ramp: Ramp, bucket: number): string | null {
  if (ramp.kind === 'fixed') return null
  const milliseconds = ramp.startMs + elapsedUntil(bucket, ramp.durationMs, ramp.steps)
  return Math.abs(milliseconds) <= 8.64e15 ? new Date(milliseconds).toISOString() : null
}
