import { isDeepStrictEqual } from 'node:util'
import { withEntry } from '../records/audit.js'
import type { Commit, Row, StoredState } from '../records/store.js'

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

/** A state that was edited by hand: its version is a new one, and so are the revisions of what was edited. */
export function following(before: StoredState | null, read: StoredState): StoredState {
  if (before === null) return read
  const version = Math.max(read.version, before.version + 1)
  const known = new Map(before.rows.map((row) => [nodeOf(row), row]))
  const rows = read.rows.map((row) => {
    const was = known.get(nodeOf(row))
    const edited = was !== undefined && was.revision === row.revision && !isDeepStrictEqual(was, row)
    return edited ? { ...row, revision: version } : row
  })
  return { version, rows, audit: read.audit }
}
