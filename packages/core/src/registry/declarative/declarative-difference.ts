import type { SyncedRecord, SyncReport } from '../change/sync-report.js'

/** How many records a sentence names. */
const NAMED = 5

/** In words, how the records of a store differ from a file's; `null` if they do not. */
export function describeDifference({ created, updated, deleted }: SyncReport): string | null {
  const parts = [
    ...phrase(
      updated.map((record) => `${nameOf(record)} (${record.fields.join(', ')})`),
      'differ',
    ),
    ...phrase(created.map(nameOf), 'are only in the file'),
    ...phrase(deleted.map(nameOf), 'are only in the store'),
  ]
  return parts.length === 0 ? null : parts.join('; ')
}

function phrase(names: readonly string[], what: string): string[] {
  if (names.length === 0) return []
  const more = names.length > NAMED ? `, and ${names.length - NAMED} more` : ''
  return [`${names.length} ${what}: ${names.slice(0, NAMED).join(', ')}${more}`]
}

function nameOf({ kind, name, id }: SyncedRecord): string {
  return `${kind} ${name ?? id}`
}
