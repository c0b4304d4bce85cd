import type { KeyauthCredential } from '../entities/entities.js'
import { type RowChange, type RowContent, isOf } from './rows.js'
import { AUDIT_LIMIT, type AuditEntry, type AuditQuery, type AuditedChange } from './store.js'

const LISTED = 100
const MAX_WORDS = 1000

/** The audit entry of a change. `before` finds a row as it was. */
export function auditEntry(
  context: { readonly id: string; readonly by: string; readonly at: number },
  what: readonly string[],
  changes: readonly RowChange[],
  before: (change: RowChange) => RowContent | null,
): Omit<AuditEntry, 'version'> {
  const { id, by, at } = context
  const words = what.slice(0, LISTED).join('; ')
  return {
    id,
    at,
    by,
    what: words.length > MAX_WORDS ? `${words.slice(0, MAX_WORDS)}…` : words,
    changes: changes.slice(0, LISTED).map((change) => audited(change, before(change))),
    more: Math.max(0, changes.length - LISTED),
  }
}

function audited(change: RowChange, before: RowContent | null): AuditedChange {
  const { kind, id, row } = change
  return { kind, id, before: shown(before), after: shown(row) }
}

/** An entity without what must not be told, a plugin with its release's record. */
function shown(row: RowContent | null): object | null {
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

/** The entries that a query asks for, of all from the oldest on. */
export function selected(
  entries: readonly AuditEntry[],
  { limit, before = Infinity, plugin, by }: AuditQuery,
): readonly AuditEntry[] {
  const isPlugin = ({ kind, id }: AuditedChange) => kind === 'plugins' && id === plugin
  return entries
    .filter(({ version }) => version < before)
    .filter((entry) => by === undefined || entry.by === by)
    .filter(({ changes }) => plugin === undefined || changes.some(isPlugin))
    .toReversed()
    .slice(0, limit)
}
