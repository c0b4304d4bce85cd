import { withEntry } from '../records/audit.js'
import type { AuditEntry, Commit, Row, Store, StoreEvent, StoredState } from '../records/store.js'

/** A store that lives with its process: for tests, and for registries whose records come from code or a file each time. */
export function memoryStore(): Store {
  const rows = new Map<string, Row>()
  const listeners = new Set<(event: StoreEvent) => void>()
  let audit: readonly AuditEntry[] = []
  let version = 0

  return {
    async load(): Promise<StoredState | null> {
      return version === 0 ? null : { version, rows: [...rows.values()], audit }
    },
    async save(commit: Commit, expected: number) {
      if (expected !== version) return 'conflict'
      for (const { kind, id, row } of commit.changes) {
        if (row === null) rows.delete(`${kind}/${id}`)
        else rows.set(`${kind}/${id}`, row)
      }
      audit = withEntry(audit, commit.audit)
      version = commit.version
      for (const listener of listeners) listener({ kind: 'commit', commit })
      return 'saved'
    },
    watch(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async close() {
      listeners.clear()
    },
  }
}
