import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { isByGuard } from '../../release/lifecycle.js'
import { auditEntry, withEntry } from '../records/audit.js'
import { type Row, type RowChange, type StoredRecord, rowOf } from '../records/rows.js'
import type { AuditEntry, Commit, Position } from '../records/store.js'
import type { FileState, ReadState } from './state-file.js'

const nodeOf = ({ kind, entity }: Row) => `${kind}/${entity.id}`

/** The history of a file that was written by hand. */
const BY_HAND = 'by-hand'
/** Who edited a file is not known. */
const EDITOR = 'hand edit'
/** How many commits are kept for the file; of them, it takes as many as fit. */
const KEPT = 100

/** A whole state after one change. */
export function stateAfter(before: FileState | null, commit: Commit, epoch: string): FileState {
  const { version, id, changes, audit } = commit
  const rows = new Map((before?.rows ?? []).map((row) => [nodeOf(row), row]))
  for (const change of changes) {
    const row = rowOf(change, version)
    if (row === null) rows.delete(`${change.kind}/${change.id}`)
    else rows.set(`${change.kind}/${change.id}`, row)
  }
  return {
    at: { epoch, version, id },
    rows: [...rows.values()],
    audit: withEntry(before?.audit ?? [], audit),
    log: [...(before?.log ?? []).slice(1 - KEPT), commit],
  }
}

/** What was read, as it follows on what was known. */
export interface Followed {
  readonly state: FileState
  /** What led there from what was known; `null` where that is not known, or no commits did. */
  readonly commits: readonly Commit[] | null
  /** Whether it was edited by hand: the file has neither its version nor its audit entry yet. */
  readonly isEdited: boolean
}

/** The text of a file, and when it was written: seconds since the epoch. */
interface Source {
  readonly text: string
  readonly at: number
}

/**
 * What was read from a file, as it follows on what was known before. Stores of other processes write it too: their commits
 * stand in it. An edit by hand has a version of its own, which is the same in every process that reads it.
 */
export function followed(before: FileState | null, read: ReadState, source: Source): Followed {
  const { epoch, version, id } = read.at
  const at = { epoch: epoch || (before?.at.epoch ?? BY_HAND), version, id: id || nameOf(source.text) }
  const state: FileState = { at, rows: read.rows, audit: read.audit, log: read.log }
  const isSame = before !== null && at.epoch === before.at.epoch
  if (read.origin !== 'edited') {
    if (!isSame || version > before.at.version) {
      return { state, commits: isSame ? commitsAfter(read.log, before.at) : null, isEdited: false }
    }
    // The adopted edit of one who read it before others.
    if (read.origin === 'store' && version === before.at.version && at.id === before.at.id) {
      return { state, commits: [], isEdited: false }
    }
  }
  // An older state was put in the file's place by hand, as it was or edited.
  const known = isSame ? broughtForward(before, read) : null
  return { state: edited(known, { ...state, at }, source), commits: null, isEdited: true }
}

function commitsAfter(log: readonly Commit[], at: Position): readonly Commit[] | null {
  const index = log.findIndex(({ prev, version }) => version === at.version + 1 && prev === at.id)
  return index === -1 ? null : log.slice(index)
}

/** What was known, with what others committed before the edit. */
function broughtForward(before: FileState, { log }: ReadState): FileState {
  const commits = commitsAfter(log, before.at) ?? []
  return commits.reduce<FileState>((state, commit) => stateAfter(state, commit, state.at.epoch), before)
}

/** The version is a new one, and so are the revisions of what was edited. */
function edited(known: FileState | null, read: FileState, { text, at: seconds }: Source): FileState {
  const { epoch } = read.at
  const at = { epoch, version: Math.max(read.at.version, known?.at.version ?? 0) + 1, id: nameOf(text) }
  const before = new Map(known?.rows.map((row) => [nodeOf(row), row]))
  const rows = read.rows.map((row) => {
    const was = before.get(nodeOf(row))
    if (was === undefined) return known === null ? row : { ...row, revision: at.version }
    const now = { ...row, release: keptRecord(was, row), revision: was.revision }
    return isDeepStrictEqual(was, now) ? was : { ...now, revision: at.version }
  })
  const entry = { ...editEntry(known, rows, { id: at.id, at: seconds }), version: at.version }
  // The trail is no record that is edited: what an editor saves is what it had when it was opened.
  return { at, rows, audit: withEntry(known?.audit ?? read.audit, entry), log: [] }
}

function editEntry(
  known: FileState | null,
  rows: readonly Row[],
  made: { readonly id: string; readonly at: number },
): Omit<AuditEntry, 'version'> {
  const context = { ...made, by: EDITOR }
  if (known === null)
    return auditEntry(context, ['the file was edited by hand while nobody had it open'], [], () => null)
  const before = new Map(known.rows.map((row) => [nodeOf(row), row]))
  const after = new Set(rows.map(nodeOf))
  const changes: RowChange[] = [
    ...rows.filter((row) => before.get(nodeOf(row)) !== row).map((row) => ({ kind: row.kind, id: row.entity.id, row })),
    ...known.rows.filter((row) => !after.has(nodeOf(row))).map(({ kind, entity: { id } }) => ({ kind, id, row: null })),
  ]
  const words = changes.map(({ kind, id, row }) => {
    const verb = row === null ? 'delete' : before.has(`${kind}/${id}`) ? 'update' : 'create'
    return `${verb} ${kind} ${id}: in the file, by hand`
  })
  return auditEntry(context, words, changes, ({ kind, id }) => before.get(`${kind}/${id}`) ?? null)
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
