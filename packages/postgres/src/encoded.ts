import type {
  AuditEntry,
  Commit,
  EntityKind,
  Position,
  Proposal,
  Row,
  RowChange,
  RowContent,
} from '@canary-release/core/registry'
import { ENTITY_KINDS } from '@canary-release/core/registry/internal'
import { StoreFault } from './faults.js'

// What is stored is JSON; keys and ids that are compared in SQL are text, which knows neither NUL nor half a surrogate
// pair.

const UNSTORABLE = /[\0\\\ud800-\udfff]/

/** A string as PostgreSQL can compare it: two different ones stay different. */
export function comparable(text: string): string {
  return UNSTORABLE.test(text) ? JSON.stringify(text).slice(1, -1) : text
}

/** The arguments of `canary_save`. */
export function saveArguments({ id, base, reads, writes, changes, audit }: Proposal): readonly unknown[] {
  const rows = new Map(changes.map((change) => [`${change.kind}/${change.id}`, change]))
  const last = [...rows.values()]
  const plugins = audit.changes.filter(({ kind }) => kind === 'plugins').map((change) => comparable(change.id))
  return [
    id,
    base.epoch,
    base.version,
    base.id,
    reads.map(comparable),
    writes.map(comparable),
    last.map(({ kind }) => kind),
    last.map((change) => comparable(change.id)),
    last.map(({ row }) => (row === null ? null : JSON.stringify({ entity: row.entity, release: row.release }))),
    JSON.stringify({ id, writes, changes, audit }),
    JSON.stringify(audit),
    comparable(audit.by),
    plugins,
  ]
}

export function readPosition(epoch: unknown, version: unknown, id: unknown): Position {
  const position = { epoch, version: readVersion(version), id }
  if (isPosition(position)) return position
  throw new StoreFault('the position that is stored is damaged: restore the tables from a backup')
}

function isPosition(value: { epoch: unknown; version: number; id: unknown }): value is Position {
  return typeof value.epoch === 'string' && value.epoch !== '' && typeof value.id === 'string'
}

/** A bigint, which comes as a string. */
export function readVersion(value: unknown): number {
  const version = Number(value)
  if (typeof value === 'string' && Number.isSafeInteger(version) && version >= 0) return version
  throw new StoreFault('a version that is stored is damaged: restore the tables from a backup')
}

/** One row as it is stored; what it says is the registry's to check. */
export function readRow(kind: unknown, id: unknown, revision: unknown, content: unknown): Row {
  const { entity, release } = parsedRecord(content)
  const row = { kind, entity, revision: readVersion(revision), release }
  if (!isRow(row) || comparable(row.entity.id) !== id) throw damaged()
  return row
}

/** One entry of the log. */
export function readCommit(version: number, prev: unknown, body: unknown): Commit {
  const { id, writes, changes, audit } = parsedRecord(body)
  if (
    typeof prev !== 'string' ||
    typeof id !== 'string' ||
    !Array.isArray(writes) ||
    !Array.isArray(changes) ||
    !changes.every(isChange) ||
    !isAudit(audit)
  ) {
    throw damaged()
  }
  return { id, prev, version, writes: writes.map(String), changes, audit: { ...audit, version } }
}

export function readAudit(version: unknown, entry: unknown): AuditEntry {
  const audit = parsedRecord(entry)
  if (!isAudit(audit)) throw damaged()
  return { ...audit, version: readVersion(version) }
}

function damaged(cause?: unknown): StoreFault {
  return new StoreFault('a record that is stored is damaged: restore the tables from a backup', { cause })
}

function parsedRecord(text: unknown): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(String(text))
  } catch (error) {
    throw damaged(error)
  }
  if (!isRecord(value)) throw damaged()
  return value
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isKind(value: unknown): value is EntityKind {
  return ENTITY_KINDS.some((kind) => kind === value)
}

function isRelease(value: unknown): boolean {
  return value === null || (isRecord(value) && typeof value['state'] === 'string')
}

function isChange(value: unknown): value is RowChange {
  if (!isRecord(value) || !isKind(value['kind']) || typeof value['id'] !== 'string') return false
  const { kind, id, row } = value
  return row === null || (isRecord(row) && isContent(row) && row.kind === kind && row.entity.id === id)
}

function isRow(value: Record<string, unknown> & { readonly revision: number }): value is typeof value & Row {
  return isContent(value)
}

function isContent(value: Record<string, unknown>): value is Record<string, unknown> & RowContent {
  return (
    isKind(value['kind']) &&
    isRecord(value['entity']) &&
    typeof value['entity']['id'] === 'string' &&
    isRelease(value['release'])
  )
}

function isAudit(value: unknown): value is Omit<AuditEntry, 'version'> {
  return (
    isRecord(value) &&
    typeof value['id'] === 'string' &&
    typeof value['at'] === 'number' &&
    typeof value['by'] === 'string' &&
    typeof value['what'] === 'string' &&
    Array.isArray(value['changes']) &&
    typeof value['more'] === 'number'
  )
}
