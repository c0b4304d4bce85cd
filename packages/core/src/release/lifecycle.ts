import { CanaryError } from '../errors.js'

/** What a release is doing. `complete`: all buckets are on B, time to finish. */
export type ReleaseState = 'scheduled' | 'running' | 'complete' | 'paused' | 'rolled-back' | 'promoted'

export type Move = 'pause' | 'resume' | 'rollback' | 'promote'

/**
 * The part of a release's state that does not follow from its options and the clock: what a person or the guard did.
 * It is what survives a restart. Times and lengths in seconds.
 */
export interface ReleaseRecord {
  readonly state: ReleaseState
  /** Why the last move was made. */
  readonly reason: string | null
  /** Who made it: `guard`, or what the caller said. */
  readonly by: string | null
  /** When it was made, in seconds since the epoch; of a ramp that was held, when this was read. */
  readonly at: number | null
  /** How much of `duration` had passed at `at`; `null` where it follows from `start`. */
  readonly elapsed: number | null
}

export const UNTOUCHED: ReleaseRecord = { state: 'running', reason: null, by: null, at: null, elapsed: null }

/** Seconds of the ramp that have passed at `now` (below 0 before it starts). */
export function elapsedAt(record: ReleaseRecord, start: number, now: number): number {
  if (record.elapsed === null) return now - start
  return record.state === 'paused' || record.at === null ? record.elapsed : record.elapsed + (now - record.at)
}

/** What a move is made with. Times in seconds. */
export interface MoveContext {
  readonly state: ReleaseState
  readonly now: number
  /** Of a timed release; `null` for a fixed percentage. */
  readonly start: number | null
  readonly reason: string | null
  readonly by: string
}

const LEGAL: Record<Move, readonly ReleaseState[]> = {
  pause: ['scheduled', 'running'],
  resume: ['paused'],
  rollback: ['scheduled', 'running', 'complete', 'paused', 'rolled-back', 'promoted'],
  promote: ['scheduled', 'running', 'complete', 'paused', 'promoted'],
}

/**
 * The record after a move.
 *
 * @throws {CanaryError} ERR_CANARY_STATE where the move is not legal in the present state, or where the guard would
 * lift a person's pause
 */
export function afterMove(record: ReleaseRecord, move: Move, context: MoveContext): ReleaseRecord {
  const { state, now, start, reason, by } = context
  if (!LEGAL[move].includes(state)) {
    throw new CanaryError(
      'ERR_CANARY_STATE',
      `cannot ${move} a release that is ${state}: legal where it is ${LEGAL[move].join(', ')}`,
    )
  }
  if (move === 'resume' && by === 'guard' && record.by !== 'guard') {
    throw new CanaryError('ERR_CANARY_STATE', 'the guard cannot resume a release that a person paused')
  }
  const passed = start === null ? null : Math.max(0, elapsedAt(record, start, now))
  switch (move) {
    case 'pause':
      return { state: 'paused', reason, by, at: now, elapsed: passed }
    case 'resume':
      // Before its start a release has nothing to go on from: `start` says when it begins.
      return { state: 'running', reason, by, at: now, elapsed: start === null || now < start ? null : passed }
    case 'rollback':
      return { state: 'rolled-back', reason, by, at: now, elapsed: passed }
    case 'promote':
      return { state: 'promoted', reason, by, at: now, elapsed: passed }
  }
}

/** The record of an earlier process. What follows from the options and the clock is worked out anew. */
export function restored(state: ReleaseRecord | null, start: number | null): ReleaseRecord {
  if (state === null) return UNTOUCHED
  const { reason, by, at } = state
  // Time that passed since an unknown instant says nothing; a ramp paused at a known one had come as far as that.
  const running = at === null && state.state !== 'paused'
  const reached = start === null ? null : Math.max(0, (at ?? start) - start)
  const elapsed = running ? null : (state.elapsed ?? (state.state === 'paused' ? reached : null))
  return { state: state.state, reason, by, at, elapsed }
}

/** The record after a new `percentage` or `start`: a pause stays, all else begins anew. */
export function restarted(record: ReleaseRecord, start: number | null, now: number): ReleaseRecord {
  if (record.state !== 'paused') return UNTOUCHED
  return { ...record, elapsed: start === null ? null : Math.max(0, now - start) }
}

/** The move that lies between two records of a release; `update` where none does. */
export function moveBetween(before: ReleaseRecord, after: ReleaseRecord): Move | 'update' {
  if (before.at === after.at && before.state === after.state) return 'update'
  if (after.state === 'paused') return 'pause'
  if (after.state === 'rolled-back') return 'rollback'
  if (after.state === 'promoted') return 'promote'
  return before.state === 'paused' && after.at !== null ? 'resume' : 'update'
}
