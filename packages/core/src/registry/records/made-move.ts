import { isDeepStrictEqual } from 'node:util'
import { type Move, type ReleaseRecord, UNTOUCHED, isByGuard, isLegal } from '../../release/lifecycle.js'
import type { RestartShare } from '../../release/restart.js'
import { lifeStateOf } from './record-release.js'
import type { Row, StoredRecord } from './store.js'

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
}

/** The run that a plugin's release is in. */
export function runOf({ release }: Row<'plugins'>): number {
  return release?.run ?? 0
}

/** Whether a move still stands on what is stored now: its run goes on, and nobody made one that it is not legal after. */
export function stillStands({ move, record, row, base }: MadeMove, stored: Row<'plugins'>): boolean {
  if (runOf(stored) !== runOf(row)) return false
  if (isDeepStrictEqual(base, stored.release)) return true
  const present = stored.release ?? UNTOUCHED
  if (move === 'rollback' && isByGuard(present)) return false
  // It is stored already.
  if (present.state === record.state && present.by === record.by) return false
  const state = lifeStateOf(stored.entity, present, (record.at ?? 0) * 1000)
  return isLegal(present, move, { state, by: record.by ?? 'code' })
}
