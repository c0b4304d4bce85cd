import { describe, expect, it } from 'vitest'
import {
  AUDIT_LIMIT,
  type Commit,
  type Row,
  type Store,
  type StoreEvent,
  createRegistry,
} from '@canary-release/core/registry'
import { mountOn } from '@canary-release/core/registry/internal'
import { CANARY, SILENT, T0, clockAt, disposable } from '../registry/harness.js'

/** A place where stores are kept: each `open` is a process of its own. */
export interface StoreHarness extends AsyncDisposable {
  open(): Store
}

const ID = '11111111-2222-3333-4444-555555555555'

function service(id: string, version: number, host: string): Row<'services'> {
  const entity = {
    id,
    name: null,
    protocol: 'http' as const,
    host,
    port: 80,
    path: null,
    retries: 5,
    connect_timeout: 60_000,
    write_timeout: 60_000,
    read_timeout: 60_000,
    enabled: true,
    tags: null,
    created_at: T0,
    updated_at: T0,
  }
  return { kind: 'services', entity, revision: version, release: null }
}

/** A change that writes one service. */
export function commitOf(version: number, host = `host-${version}`, id = ID): Commit {
  const row = service(id, version, host)
  const audit = { version, at: T0, by: 'suite', what: `update services ${id}`, changes: [], more: 0 }
  return { version, changes: [{ kind: 'services', id, row }], audit }
}

/** What every store must do. `extras` are what one store does besides. */
export function runStoreSuite(
  name: string,
  harness: () => Promise<StoreHarness>,
  extras: () => void = () => undefined,
): void {
  describe(`the ${name} store`, () => {
    it('is nothing at first, not an empty state', async () => {
      await using place = await harness()
      const store = place.open()
      expect(await store.load()).toBeNull()
      await store.close()
    })

    it('gives back what was saved, also to another process', async () => {
      await using place = await harness()
      const store = place.open()
      await store.load()
      const first = commitOf(1)
      expect(await store.save(first, 0)).toBe('saved')
      const state = { version: 1, rows: [first.changes[0]?.row], audit: [first.audit] }
      expect(await store.load()).toEqual(state)
      const other = place.open()
      expect(await other.load()).toEqual(state)
      await store.close()
      await other.close()
    })

    it('makes one change on each version, and leaves no trace of the other', async () => {
      await using place = await harness()
      const store = place.open()
      await store.load()
      await store.save(commitOf(1), 0)
      const before = await store.load()
      expect(await store.save(commitOf(1, 'late'), 0)).toBe('conflict')
      expect(await store.save(commitOf(3, 'early'), 2)).toBe('conflict')
      expect(await store.load()).toEqual(before)
      expect(await Promise.all([store.save(commitOf(2), 1), store.save(commitOf(2), 1)])).toEqual(['saved', 'conflict'])
      await store.close()
    })

    it('takes rows away', async () => {
      await using place = await harness()
      const store = place.open()
      await store.load()
      await store.save(commitOf(1), 0)
      await store.save({ ...commitOf(2), changes: [{ kind: 'services', id: ID, row: null }] }, 1)
      expect((await store.load())?.rows).toEqual([])
      await store.close()
    })

    it('keeps the newest audit entries', async () => {
      await using place = await harness()
      const store = place.open()
      await store.load()
      const many = AUDIT_LIMIT + 5
      for (let version = 1; version <= many; version += 1) {
        await store.save(commitOf(version), version - 1)
      }
      const audit = (await store.load())?.audit
      expect(audit).toHaveLength(AUDIT_LIMIT)
      expect(audit?.at(-1)?.version).toBe(many)
      await store.close()
    })

    it('tells watchers of each change, in order, until they leave', async () => {
      await using place = await harness()
      const store = place.open()
      await store.load()
      const versions: number[] = []
      const off = store.watch((event: StoreEvent) => {
        if (event.kind === 'commit') versions.push(event.commit.version)
      })
      await store.save(commitOf(1), 0)
      await store.save(commitOf(2), 1)
      off()
      await store.save(commitOf(3), 2)
      expect(versions).toEqual([1, 2])
      await store.close()
    })

    it('tells watchers of other processes', async () => {
      await using place = await harness()
      const [writer, reader] = [place.open(), place.open()]
      await writer.load()
      await writer.save(commitOf(1), 0)
      await reader.load()
      const heard = new Promise<number>((resolve) => {
        reader.watch((event) => {
          if (event.kind === 'commit') resolve(event.commit.version)
          if (event.kind === 'state') resolve(event.state.version)
        })
      })
      await writer.save(commitOf(2), 1)
      expect(await heard).toBe(2)
      expect((await reader.load())?.rows[0]?.entity).toMatchObject({ host: 'host-2' })
      await reader.close()
      await writer.close()
    })

    it('keeps a registry through restarts: entities, releases, audit', async () => {
      await using place = await harness()
      const clock = clockAt(T0)
      const open = async () => disposable(await createRegistry({ store: place.open(), clock, logger: SILENT }), {})
      const first = await open()
      const id = await first.change('ops', (draft) => {
        draft.create('services', { name: 'orders', url: 'http://orders' })
        draft.create(
          'routes',
          { name: 'r', paths: ['/r'], headers: { 'x-a': ['1'] } },
          { kind: 'services', key: 'orders' },
        )
        draft.create('apis', { name: 'old', upstream_url: 'http://old' })
        draft.create('consumers', { username: 'alice' })
        draft.create('keyauth_credentials', { key: 'k' }, { kind: 'consumers', key: 'alice' })
        draft.create('acls', { group: 'testers' }, { kind: 'consumers', key: 'alice' })
        return draft.create('plugins', CANARY, { kind: 'services', key: 'orders' }).entity.id
      })
      await first.move(id, 'rollback', 'broken', 'ops')
      const before = first.snapshot()
      await first.close()
      await using second = await open()
      const byId = (state: typeof before) => new Map(state.rows.map((row) => [row.entity.id, row]))
      expect(byId(second.snapshot())).toEqual(byId(before))
      expect(second.audit()).toEqual(before.audit.toReversed())
      expect(second.version).toBe(2)
      expect(second.release(id)?.status()).toMatchObject({ state: 'rolled-back', reason: 'broken', by: 'ops', at: T0 })
      expect(second.findConsumer('k')?.groups).toEqual(['testers'])
      expect(mountOn(second, { service: 'orders' }).find('').place.release?.decide().upstream).toBe('A')
    })

    extras()
  })
}
