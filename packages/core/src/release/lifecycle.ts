import { CanaryError } from '../errors.js'
import type { LifeState, ReleaseState } from '../release-state.js'

/** What a person, the guard or code does with a release. */
export type Move = 'pause' | 'resume' | 'rollback' | 'promote' | 'restart'

/**
 * The part of a release's state that does not follow from its options and the clock: what a person or the guard did.
 * It is what survives a restart of the process. Times and lengths in seconds.
 */
export interface ReleaseRecord {
  /** What the release was doing when the record was written. */
  readonly state: ReleaseState
  /** Why the last move was made. */
  readonly reason: string | null
  /** Who made it: `guard`, or what the caller said. */
  readonly by: string | null
  /** When it was made, or when a ramp's `elapsed` was last written down, in seconds since the epoch. */
  readonly at: number | null
  /** How much of `duration` had passed at `at`; `null` where it follows from `start`. */
  readonly elapsed: number | null
}

export const UNTOUCHED: ReleaseRecord = { state: 'running', reason: null, by: null, at: null, elapsed: null }

/** A ramp as its time is counted. */
export interface RampTime {
  /** Seconds since the epoch. */
  readonly start: number
  /** False: time stands still. */
  readonly enabled: boolean
}

/** Whether the time of a ramp stands still: what was reached is what `elapsed` says. */
export function standsStill({ state }: ReleaseRecord, enabled: boolean): boolean {
  return !enabled || state === 'paused'
}

/** Whole milliseconds of a ramp that counted until `nowMs`: neither paused nor disabled. Below 0 before it starts. */
export function elapsedMsAt(record: ReleaseRecord, { start, enabled }: RampTime, nowMs: number): number {
  const { at, elapsed } = record
  const still = standsStill(record, enabled)
  if (elapsed === null) return still && at !== null ? toMs(at - start) : Math.floor(nowMs) - toMs(start)
  return still || at === null ? toMs(elapsed) : Math.floor(nowMs) - toMs(at - elapsed)
}

function toMs(seconds: number): number {
  return Math.round(seconds * 1000)
}

/** An instant for a record, in seconds. Whole milliseconds, so that no rounding takes a bucket back. */
export function secondsAt(nowMs: number): number {
  return Math.floor(nowMs) / 1000
}

/** What a move is made with. */
export interface MoveContext {
  readonly state: LifeState
  readonly nowMs: number
  /** The ramp's time; `null` for a fixed percentage. */
  readonly ramp: RampTime | null
  /** Milliseconds of the ramp that counted until now; `null` for a fixed percentage. */
  readonly elapsedMs: number | null
  readonly reason: string | null
  readonly by: string
}

const LEGAL: Record<Move, readonly LifeState[]> = {
  pause: ['scheduled', 'running'],
  resume: ['paused'],
  rollback: ['scheduled', 'running', 'complete', 'paused', 'rolled-back', 'promoted'],
  promote: ['scheduled', 'running', 'complete', 'paused', 'promoted'],
  restart: ['running', 'complete', 'paused', 'rolled-back', 'promoted'],
}

/** Whether a move may be made on a record that is in `state`. */
export function isLegal(record: ReleaseRecord, move: Move, { state, by }: Pick<MoveContext, 'state' | 'by'>): boolean {
  return LEGAL[move].includes(state) && !(move === 'resume' && by === 'guard' && record.by !== 'guard')
}

/**
 * The record after a move.
 *
 * @throws {CanaryError} ERR_CANARY_STATE where the move is not legal in the present state, or where the guard would
 * lift a person's pause
 */
export function afterMove(record: ReleaseRecord, move: Move, context: MoveContext): ReleaseRecord {
  const { state, nowMs, ramp, elapsedMs, reason, by } = context
  if (!isLegal(record, move, context)) throw illegal(move, state)
  const at = secondsAt(nowMs)
  const elapsed = elapsedMs === null ? null : Math.max(0, elapsedMs) / 1000
  switch (move) {
    case 'pause':
      return { state: 'paused', reason, by, at, elapsed }
    case 'resume':
      // Before its start a release has nothing to go on from: `start` says when it begins.
      return { state: 'running', reason, by, at, elapsed: ramp !== null && isAhead(ramp, nowMs) ? null : elapsed }
    case 'rollback':
      // A person's rollback on top of the guard's must not make it one that another percentage lifts.
      return isByGuard(record) ? record : { state: 'rolled-back', reason, by, at, elapsed }
    case 'promote':
      return { state: 'promoted', reason, by, at, elapsed }
    case 'restart':
      return begunAgain(ramp?.start ?? null, nowMs, reason, by)
  }
}

function illegal(move: Move, state: LifeState): CanaryError {
  const legal = LEGAL[move]
  return new CanaryError(
    'ERR_CANARY_STATE',
    legal.includes(state)
      ? 'the guard cannot resume a release that a person paused'
      : `cannot ${move} a release that is ${state}: legal where it is ${legal.join(', ')}`,
  )
}

/** Whether a ramp that runs is yet to start. */
export function isAhead({ start, enabled }: RampTime, nowMs: number): boolean {
  return enabled && nowMs < toMs(start)
}

/** Whether the guard rolled a release back: another percentage alone does not begin it again. */
export function isByGuard({ state, by }: ReleaseRecord): boolean {
  return state === 'rolled-back' && by === 'guard'
}

/** The record of a release that begins again: from bucket 0, at once or when its start comes. */
export function begunAgain(
  start: number | null,
  nowMs: number,
  reason: string | null,
  by: string | null,
): ReleaseRecord {
  const elapsed = start !== null && toMs(start) > nowMs ? null : 0
  return { state: 'running', reason, by, at: secondsAt(nowMs), elapsed }
}

/** The move that lies between two records of a release in one run; `update` where none does. */
export function moveBetween(before: ReleaseRecord, after: ReleaseRecord): Move | 'update' {
  const { state } = after
  if (state === before.state && after.by === before.by && after.reason === before.reason) return 'update'
  if (state === 'paused') return 'pause'
  if (state === 'rolled-back') return 'rollback'
  if (state === 'promoted') return 'promote'
  return before.state === 'paused' && after.at !== null ? 'resume' : 'update'
}
