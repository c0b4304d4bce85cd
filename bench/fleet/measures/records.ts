import { randomUUID } from 'node:crypto'
import { NOWHERE, type Position, type Proposal, type RowChange, type Store } from '@canary-release/core/registry'

// Records as a registry stores them, made without one: what is measured is the store.

const NOW = 1_800_000_000

export function id(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
}

/** A service whose host says which change wrote it last. */
export function serviceChange(number: number, host: string): RowChange {
  const timeouts = { connect_timeout: 60_000, write_timeout: 60_000, read_timeout: 60_000 }
  const place = { protocol: 'http' as const, host, port: 80, path: null }
  const times = { created_at: NOW, updated_at: NOW }
  const rest = { name: `service-${number}`, retries: 5, enabled: true, tags: null }
  const entity = { id: id(number), ...rest, ...place, ...timeouts, ...times }
  return { kind: 'services', id: entity.id, row: { kind: 'services', entity, release: null } }
}

export function proposalOf(base: Position, changes: readonly RowChange[], by: string): Proposal {
  const keys = changes.map((change) => `${change.kind}/${change.id}`)
  const commit = randomUUID()
  const [first] = changes
  const shown = changes.length === 1 && first?.row !== null ? [{ kind: 'services', id: first?.id ?? '', before: first?.row?.entity ?? null, after: first?.row?.entity ?? null } as const] : [] // prettier-ignore
  const audit = { id: commit, at: NOW, by, what: `update ${keys[0] ?? 'nothing'}`, changes: shown, more: 0 }
  return { id: commit, base, reads: keys, writes: keys, changes, audit }
}

/** Fills a store that nobody else writes. */
export async function fill(store: Store, changes: readonly RowChange[], atOnce = 5_000): Promise<Position> {
  let at = (await store.load())?.at ?? NOWHERE
  for (let i = 0; i < changes.length; i += atOnce) {
    // oxlint-disable-next-line no-await-in-loop -- each is made on the one before
    const result = await store.save(proposalOf(at, changes.slice(i, i + atOnce), 'fill'), AbortSignal.timeout(60_000))
    if (result.kind !== 'saved') throw new Error(`not saved: ${result.kind}`)
    at = result.at
  }
  return at
}
