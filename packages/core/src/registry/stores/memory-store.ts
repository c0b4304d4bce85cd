import { randomUUID } from 'node:crypto'
import { CanaryError } from '../../errors.js'
import { selected, withEntry } from '../records/audit.js'
import { CommitLog, commitOf } from '../records/commit-log.js'
import { type Row, rowOf } from '../records/rows.js'
import type {
  AuditEntry,
  AuditQuery,
  Position,
  Proposal,
  SaveResult,
  Store,
  StoreEvent,
  StoredState,
} from '../records/store.js'
import { Watchers } from './watchers.js'

/** A store that lives with its process: for tests, and for registries whose records come from code or a file each time. */
export function memoryStore(): Store {
  const rows = new Map<string, Row>()
  const log = new CommitLog({ epoch: randomUUID(), version: 0, id: '' })
  const state = (): StoredState | null => (log.head.version === 0 ? null : { at: log.head, rows: [...rows.values()] })
  const watchers = new Watchers(log, state)
  let audit: readonly AuditEntry[] = []

  return {
    load: async () => state(),
    async save(proposal: Proposal, signal?: AbortSignal): Promise<SaveResult> {
      if (signal?.aborted === true) {
        throw new CanaryError('ERR_CANARY_STORE', 'the change was given up', { outcome: 'not-written' })
      }
      const judged = log.judge(proposal)
      if (judged.kind !== 'free') return judged
      const commit = commitOf(proposal, log.head)
      for (const change of commit.changes) {
        const row = rowOf(change, commit.version)
        if (row === null) rows.delete(`${change.kind}/${change.id}`)
        else rows.set(`${change.kind}/${change.id}`, row)
      }
      audit = withEntry(audit, commit.audit)
      log.append(commit)
      const at = log.head
      watchers.tell()
      return { kind: 'saved', at, missed: judged.missed }
    },
    watch: (from: Position | null, listener: (event: StoreEvent) => void) => watchers.add(from, listener),
    audit: async (query: AuditQuery) => selected(audit, query),
    shared: null,
    close: async () => watchers.clear(),
  }
}
