import type { Standing } from '../decision/decide.js'
import { type RampSize, bucketsOfElapsed, elapsedUntil } from '../decision/schedule.js'
import { durationMsOf } from './duration.js'
import { rampStart } from './edit.js'
import { type ReleaseRecord, elapsedMsAt, standsStill } from './lifecycle.js'
import type { ReleaseSettings } from './settings.js'

/** Where a release's share comes from, compiled from its settings and record: one clock reading and one division a request. */
export type Ramp =
  | { readonly kind: 'fixed'; readonly bucketsOnB: number }
  /** A ramp whose time does not count now. */
  | { readonly kind: 'still'; readonly elapsedMs: number; readonly bucketsOnB: number }
  /** `mostMs`: it goes no further before another record says so. */
  | {
      readonly kind: 'timed'
      readonly startMs: number
      readonly durationMs: number
      readonly steps: number
      readonly mostMs: number
    }

/** The ramp of a release, or where it stands still. `heldMs` of its time do not count; it never stands below `leastMs`. */
export function compileRamp(settings: ReleaseSettings, record: ReleaseRecord, heldMs = 0, leastMs = -Infinity): Ramp {
  const { fixedBuckets, steps, enabled } = settings
  const durationMs = durationMsOf(settings.duration)
  const start = rampStart(settings)
  if (fixedBuckets !== null || start === null) return { kind: 'fixed', bucketsOnB: fixedBuckets ?? 0 }
  const mostMs = mostMsOf(settings.gate, { durationMs, steps })
  if (standsStill(record, enabled)) {
    const elapsedMs = Math.min(Math.max(leastMs, elapsedMsAt(record, { start, enabled }, 0)), mostMs)
    return { kind: 'still', elapsedMs, bucketsOnB: bucketsOfElapsed(elapsedMs, durationMs, steps) }
  }
  // The instant at which the ramp would have begun, had it never been paused or held.
  const startMs = -elapsedMsAt(record, { start, enabled }, 0) + heldMs
  return { kind: 'timed', startMs, durationMs, steps, mostMs }
}

/** Whole milliseconds of a ramp that counted until `nowMs`; `null` for a fixed percentage. */
export function elapsedOfRamp(ramp: Ramp, nowMs: number, leastMs: number): number | null {
  if (ramp.kind === 'fixed') return null
  if (ramp.kind === 'still') return ramp.elapsedMs
  return elapsedOfTimed(ramp, nowMs, leastMs)
}

export function bucketsOfRamp(ramp: Ramp, nowMs: number, leastMs: number): number {
  if (ramp.kind !== 'timed') return ramp.bucketsOnB
  return bucketsOfElapsed(elapsedOfTimed(ramp, nowMs, leastMs), ramp.durationMs, ramp.steps)
}

function elapsedOfTimed({ startMs, mostMs }: Extract<Ramp, { kind: 'timed' }>, nowMs: number, leastMs: number): number {
  return Math.min(Math.max(Math.floor(nowMs) - startMs, leastMs), mostMs)
}

/** How far the time of a ramp may count that may have `gate` buckets on B; without a gate, without end. */
export function mostMsOf(gate: number | null, { durationMs, steps }: RampSize): number {
  return gate === null || gate >= steps ? Infinity : elapsedUntil(gate, durationMs, steps) - 1
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
  if (ramp.kind !== 'timed') return null
  const milliseconds = ramp.startMs + elapsedUntil(bucket, ramp.durationMs, ramp.steps)
  return Math.abs(milliseconds) <= 8.64e15 ? new Date(milliseconds).toISOString() : null
}
