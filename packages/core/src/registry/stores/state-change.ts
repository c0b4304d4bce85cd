import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { isByGuard } from '../../release/lifecycle.js'
import { withEntry } from '../records/audit.js'
import { type Row, type StoredRecord, rowOf } from '../records/rows.js'
import type { Commit, Position } from '../records/store.js'
import type { FileState } from './state-file.js'

const nodeOf = ({ kind, entity }: Row) => `${kind}/${entity.id}`

/** The history of a file that was written by hand. */
const BY_HAND = 'by-hand'

/** A whole state after one change. */
export function stateAfter(before: FileState | null, { changes, audit }: Commit, at: Position): FileState {
  const rows = new Map((before?.rows ?? []).map((row) => [nodeOf(row), row]))
  for (const change of changes) {
    const row = rowOf(change, at.version)
    if (row === null) rows.delete(`${change.kind}/${change.id}`)
    else rows.set(`${change.kind}/${change.id}`, row)
  }
  return { at, rows: [...rows.values()], audit: withEntry(before?.audit ?? [], audit) }
}

/**
 * What was read from a file, as it follows on what was read before. Of an edit by hand, the version is a new one, and so
 * are the revisions of what was edited. Others may write such a file too: what they wrote has a newer revision.
 */
export function following(before: FileState | null, read: FileState, text: string): FileState {
  const { epoch, version, id } = read.at
  const named = { epoch: epoch || (before?.at.epoch ?? BY_HAND), version, id: id || nameOf(text) }
  if (before === null || named.epoch !== before.at.epoch) return { ...read, at: named }
  const at = version > before.at.version ? named : { ...named, version: before.at.version + 1, id: nameOf(text) }
  const known = new Map(before.rows.map((row) => [nodeOf(row), row]))
  const rows = read.rows.map((row) => {
    const was = known.get(nodeOf(row))
    if (was === undefined || row.revision > was.revision) return row
    const edited = { ...row, release: keptRecord(was, row), revision: was.revision }
    return isDeepStrictEqual(was, edited) ? was : { ...edited, revision: at.version }
  })
  return { at, rows, audit: read.audit }
}

/** A name for an edit by hand, which is the same in every process that reads it. */
function nameOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

/**
 * The release's record of an edited row. An editor that was opened before a move was made saves the record of before,
 * and nobody may lift the guard's rollback by it.
 */
function keptRecord(was: Row, row: Row): StoredRecord | null {
  const isOld = row.revision < was.revision
  const lifts = was.release !== null && isByGuard(was.release) && row.release?.state !== 'rolled-back'
  return isOld || lifts ? was.release : row.release
}
