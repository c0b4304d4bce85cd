import type { KeyauthCredential } from '../entities/entities.js'
import { AUDIT_LIMIT, type AuditEntry, type AuditedChange, type Row, type RowChange, isOf } from './store.js'

const LISTED = 100
const MAX_WORDS = 1000

/** The audit entry of a change. `before` finds a row as it was. */
export function auditEntry(
  context: { readonly version: number; readonly by: string; readonly at: number },
  what: readonly string[],
  changes: readonly RowChange[],
  before: (change: RowChange) => Row | null,
): AuditEntry {
  const { version, by, at } = context
  const words = what.slice(0, LISTED).join('; ')
  return {
    version,
    at,
    by,
    what: words.length > MAX_WORDS ? `${words.slice(0, MAX_WORDS)}…` : words,
    changes: changes.slice(0, LISTED).map((change) => audited(change, before(change))),
    more: Math.max(0, changes.length - LISTED),
  }
}

function audited(change: RowChange, before: Row | null): AuditedChange {
  const { kind, id, row } = change
  return { kind, id, before: shown(before), after: shown(row) }
}

/** An entity without what must not be told, a plugin with its release's record. */
function shown(row: Row | null): object | null {
  if (row === null) return null
  if (isOf(row, 'keyauth_credentials')) return withoutKey(row.entity)
  return row.release === null ? row.entity : { ...row.entity, release: row.release }
}

/** A credential as it may be shown. */
export function withoutKey(credential: KeyauthCredential): Omit<KeyauthCredential, 'key'> {
  const { id, consumer, tags, ttl, created_at, updated_at } = credential
  return { id, consumer, tags, ttl, created_at, updated_at }
}

/** Entries with a new one, the oldest gone where there are too many. */
export function withEntry(entries: readonly AuditEntry[], entry: AuditEntry): readonly AuditEntry[] {
  return [...(entries.length < AUDIT_LIMIT ? entries : entries.slice(1 - AUDIT_LIMIT)), entry]
}
