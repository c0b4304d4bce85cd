import { shareOfSettings } from './difference.js'
import { durationMsOf } from './duration.js'
import { type Share, recordOfNew, withSameShare } from './edit.js'
import type { ReleaseRecord } from './lifecycle.js'
import type { ReleaseSettings } from './settings.js'

/**
 * The record of a release that is built: that of an earlier process, where the option `state` says one. What follows
 * from the options and the clock is worked out anew; another duration, or other steps, than the state was said with
 * lower the share no more than an edit does.
 */
export function restored(settings: ReleaseSettings, nowMs: number): ReleaseRecord {
  const { state, start } = settings
  const share = shareOfSettings(settings)
  if (state === null) return recordOfNew(share, nowMs)
  const record = understood(state, start, nowMs / 1000)
  const before = shareSaid(state, share)
  return before === null ? record : withSameShare(record, before, share, nowMs)
}

type StateOption = NonNullable<ReleaseSettings['state']>

function understood(state: StateOption, start: number | null, now: number): ReleaseRecord {
  const { reason, by, at } = state
  const isHeld = state.state === 'paused' || state.state === 'rolled-back' || state.state === 'promoted'
  const name = isHeld ? state.state : 'running'
  const still = state.state === 'paused' || state.state === 'disabled'
  // What was written down with a fixed percentage says nothing of a ramp.
  const elapsed = typeof state.percentage === 'number' ? null : state.elapsed
  // Time that passed since an unknown instant says nothing; a ramp that stands still had come as far as its instant.
  if (!still) return { state: name, reason, by, at, elapsed: at === null ? null : elapsed }
  const from = at ?? (state.state === 'paused' ? start : now)
  const reached = start === null || from === null ? null : Math.max(0, from - start)
  return { state: name, reason, by, at, elapsed: elapsed ?? reached }
}

/** The share that a `status()` was said with; `null` where it was another one, so that nothing can be kept of it. */
function shareSaid(state: StateOption, share: Share): Share | null {
  const { percentage, start, duration, steps } = state
  if (typeof percentage === 'number' || (typeof start === 'number' && start !== share.start)) return null
  return {
    ...share,
    durationMs: typeof duration === 'number' && duration > 0 ? durationMsOf(duration) : share.durationMs,
    steps: typeof steps === 'number' && Number.isInteger(steps) && steps > 0 ? steps : share.steps,
    enabled: state.state !== 'disabled',
  }
}
