import { isDeepStrictEqual } from 'node:util'
import { rampOf, withOtherShare } from '../../release/edit.js'
import {
  type Move,
  type ReleaseRecord,
  UNTOUCHED,
  afterMove,
  elapsedMsAt,
  isByGuard,
  isLegal,
} from '../../release/lifecycle.js'
import type { RestartShare } from '../../release/restart.js'
import { heldRecord } from './gate.js'
import { shareOfPlugin } from './plugin-edit.js'
import { lifeStateOf } from './record-release.js'
import type { Row, StoredRecord } from './rows.js'

/** A move of a live release, the guard's or one of code, that is in force here and on its way to the store. */
export interface MadeMove {
  readonly move: Move
  /** What it made of the release. */
  readonly record: ReleaseRecord
  /** The plugin as it was known when the move was made. */
  readonly row: Row<'plugins'>
  /** What was stored when the first of the moves was made that are not stored yet. */
  readonly base: StoredRecord | null
  /** Of a restart: the share that the release begins again with. */
  readonly share: RestartShare
  /** Whether it is the guard's pause for a breach. */
  readonly breach: boolean
  /** The runs that its attempts to be stored began, if it begins one. One of them at most is stored. */
  readonly runs: string[]
}

/** The run that a plugin's release is in. */
export function runOf({ release }: Row<'plugins'>): string | null {
  return release?.run ?? null
}

/** How guards that judge together name it; the run of a plugin that was written by hand has the plugin's id. */
export function nameOfRun(row: Row<'plugins'>): string {
  return runOf(row) ?? row.entity.id
}

/** Whether a release goes on where it is in another run: only its place is another one, or it was resumed. */
export function goesOn(before: Row<'plugins'>, after: Row<'plugins'>): boolean {
  const [was, is] = [withoutRun(before), withoutRun(after)]
  const isResumed = was.state === 'paused' && is.state === 'running'
  if (isResumed && (is.elapsed === was.elapsed || is.elapsed === null)) return true
  return isDeepStrictEqual(was, is)
}

/** What is stored of a release after a move. `breach`: it is the guard's pause for one; `commit`: the id of what stores it. */
export function afterStoredMove(
  stored: StoredRecord,
  record: ReleaseRecord,
  move: Move,
  breach: boolean,
  commit: string,
): StoredRecord {
  const { state, reason, by, at, elapsed } = record
  const { gate } = stored
  const begins = move === 'restart' || (move === 'resume' && stored.breach === true)
  const run = begins ? commit : stored.run
  return {
    state,
    reason,
    by,
    at,
    elapsed,
    ...(run === undefined ? {} : { run }),
    ...(breach ? { breach } : {}),
    ...(begins || gate === undefined ? {} : { gate }),
  }
}

function withoutRun({ release }: Row<'plugins'>): StoredRecord {
  return { ...UNTOUCHED, ...release, run: undefined }
}

/** Whether a move still stands on what is stored now: its run goes on, and nobody made one that it is not legal after. */
export function stillStands({ move, record, row, base }: MadeMove, stored: Row<'plugins'>, nowMs: number): boolean {
  if (runOf(stored) !== runOf(row)) return false
  if (isDeepStrictEqual(base, stored.release)) return true
  const present = stored.release ?? UNTOUCHED
  if (move === 'rollback' && isByGuard(present)) return false
  // It is stored already.
  if (present.state === record.state && present.by === record.by) return false
  const state = lifeStateOf(stored.entity, present, nowMs)
  return isLegal(present, move, { state, by: record.by ?? 'code' })
}

/** What a move that {@link stillStands} makes of the release as it is stored now. */
export function recordOn(stored: Row<'plugins'>, made: MadeMove, nowMs: number): ReleaseRecord {
  const { move, record, row, base } = made
  // It was made on this record, though perhaps on another share.
  if (isDeepStrictEqual(base, stored.release)) {
    return withOtherShare(record, shareOfPlugin(row.entity), shareOfPlugin(stored.entity), nowMs)
  }
  const present = heldRecord(stored.entity, stored.release ?? UNTOUCHED, nowMs)
  const ramp = rampOf(shareOfPlugin(stored.entity))
  const elapsedMs = ramp === null ? null : elapsedMsAt(present, ramp, nowMs)
  const { reason, by } = record
  const state = lifeStateOf(stored.entity, present, nowMs)
  return afterMove(present, move, { state, nowMs, ramp, elapsedMs, reason, by: by ?? 'code' })
}
