import type { EntityKind } from '../entities/entities.js'
import { type Reference, referencesOf, uniqueKeysOf } from '../entities/keys.js'
import { type UniqueKey, keyText } from '../entities/violation.js'
import type { RowContent } from './rows.js'

// What changes depend on, as the texts that a store compares. A change that another one is in the way of reads a key
// that the other wrote.

/** The whole state: every commit writes it. */
export const WHOLE = '*'

/** One row. */
export function rowKey(kind: EntityKind, id: string): string {
  return `${kind}/${id}`
}

/** What refers to a row: written by who makes or takes away one of these, read by who lists them. */
export function childrenKey(kind: EntityKind, id: string): string {
  return `children:${kind}/${id}`
}

/** What only one row may have, whether or not one has it: a name, what a plugin is on, the group of a consumer. */
export function uniqueKey(kind: EntityKind, key: UniqueKey): string {
  const [field, ...others] = Object.keys(key)
  const value = field === undefined ? null : key[field]
  if (field !== undefined && others.length === 0 && typeof value === 'string') return `unique:${kind}/${field}=${value}`
  return kind === 'plugins' ? `scope:${keyText(key)}` : `unique:${kind}/${keyText(key)}`
}

/** What a change of one row writes. */
export function writtenKeys(
  kind: EntityKind,
  id: string,
  before: RowContent | null,
  after: RowContent | null,
): string[] {
  return [
    rowKey(kind, id),
    ...differing(namesOf(before), namesOf(after)),
    ...differing(parentsOf(before), parentsOf(after)),
  ]
}

function namesOf(row: RowContent | null): string[] {
  return row === null ? [] : uniqueKeysOf(row.kind, row.entity).map((key) => uniqueKey(row.kind, key))
}

function parentsOf(row: RowContent | null): string[] {
  return row === null ? [] : referencesOf(row.kind, row.entity).map(({ kind, id }: Reference) => childrenKey(kind, id))
}

function differing(before: readonly string[], after: readonly string[]): string[] {
  return [...before.filter((key) => !after.includes(key)), ...after.filter((key) => !before.includes(key))]
}
