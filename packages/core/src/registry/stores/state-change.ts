import { isDeepStrictEqual } from 'node:util'
import { isByGuard } from '../../release/lifecycle.js'
import { withEntry } from '../records/audit.js'
import type { Commit, Row, StoredRecord, StoredState } from '../records/store.js'

const nodeOf = ({ kind, entity }: Row) => `${kind}/${entity.id}`

/** A whole state after one change. */
export function stateAfter(before: StoredState | null, { version, changes, audit }: Commit): StoredState {
  const rows = new Map((before?.rows ?? []).map((row) => [nodeOf(row), row]))
  for (const { kind, id, row } of changes) {
    if (row === null) rows.delete(`${kind}/${id}`)
    else rows.set(`${kind}/${id}`, row)
  }
  return { version, rows: [...rows.values()], audit: withEntry(before?.audit ?? [], audit) }
}

/**
 * A state that was edited by hand: its version is a new one, and so are the revisions of what was edited. Others may
 * write such a file too: what they wrote has a newer revision.
 */
export function following(before: StoredState | null, read: StoredState): StoredState {
  if (before === null) return read
  const version = Math.max(read.version, before.version + 1)
  const known = new Map(before.rows.map((row) => [nodeOf(row), row]))
  const rows = read.rows.map((row) => {
    const was = known.get(nodeOf(row))
    if (was === undefined || row.revision > was.revision) return row
    const edited = { ...row, release: keptRecord(was, row), revision: was.revision }
    return isDeepStrictEqual(was, edited) ? was : { ...edited, revision: version }
  })
  return { version, rows, audit: read.audit }
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
