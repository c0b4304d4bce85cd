import { randomUUID } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  AUDIT_LIMIT,
  type Commit,
  type EntityKind,
  NOWHERE,
  type Position,
  type Proposal,
  type RowContent,
  type SaveResult,
  type Store,
  type StoreEvent,
  createRegistry,
} from '@canary-release/core/registry'
import { mountOn } from '@canary-release/core/registry/internal'
import { CANARY, SILENT, T0, clockAt, disposable } from '../registry/harness.js'

/** A place where nothing is stored yet. What is left open at the end, it closes itself. */
export interface StorePlace extends AsyncDisposable {
  readonly store: Store
  /** The store as another process has it, or this one after a restart. */
  another(): Promise<Store>
  /** Makes the store forget what it keeps for those who stand on a version before its head. @default 2 500 changes */
  trim?(): Promise<void>
}

/** Where stores are made, and what may be done to them. What a store has no such thing of is not tested. */
export interface StoreHarness<Place extends StorePlace = StorePlace> {
  open(): Promise<Place>
  /** Puts what is no row or state of these packages where they are kept. */
  readonly damage?: (place: Place) => Promise<void>
  /** Puts a row of {@link ID} there that no registry wrote: JSON, and good for nothing else. */
  readonly forge?: (place: Place, kind: EntityKind, content: object) => Promise<void>
  /** Ends what is connected to `place.store` and refuses it anew, until what it resolves to is called. */
  readonly cut?: (place: Place) => Promise<() => Promise<void>>
  /** Stops what `place.store` is connected to without a word, until what it resolves to is called. */
  readonly freeze?: (place: Place) => Promise<() => Promise<void>>
  /** Takes back all after a position, as a failover does that lost commits. */
  readonly rewind?: (place: Place, to: Position) => Promise<void>
}

export const ID = '11111111-2222-3333-4444-555555555555'

/** A UUID that is the same in every run. */
export const uuid = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`

export function service(id: string, host: string): RowContent<'services'> {
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
  return { kind: 'services', entity, release: null }
}

const UNTOUCHED = { state: 'running', reason: null, by: null, at: null, elapsed: null }

/** What a row must not be: kind, and what differs from a good one. */
const FORGED: readonly (readonly [what: string, kind: EntityKind, change: { entity?: object; release?: unknown }])[] = [
  ['no host', 'services', { entity: { host: undefined } }],
  ['a number as its host', 'services', { entity: { host: 5 } }],
  ['a line break in its host', 'services', { entity: { host: 'a\r\nb: c' } }],
  ['an impossible port', 'services', { entity: { port: 1e9 } }],
  ['a number as its tags', 'services', { entity: { tags: 5 } }],
  ['a field that nobody knows', 'services', { entity: { colour: 'red' } }],
  ['a release that it cannot have', 'services', { release: { state: 'running' } }],
  ['no configuration', 'plugins', { entity: { config: undefined } }],
  ['an impossible percentage', 'plugins', { entity: { config: { upstream_host: 'b', percentage: 1e300 } } }],
  ['a reference that is no record', 'plugins', { entity: { service: 'x' } }],
  ['an unknown state', 'plugins', { release: { state: 'nonsense' } }],
  ['a record of wrong types', 'plugins', { release: { ...UNTOUCHED, state: 'rolled-back', by: 5, reason: {} } }],
]

function forged(
  kind: EntityKind,
  { entity, release }: { readonly entity?: object; readonly release?: unknown },
): object {
  const good =
    kind === 'services'
      ? service(ID, 'host')
      : { entity: { id: ID, name: 'canary', config: { upstream_host: 'b', percentage: 5 } }, release: UNTOUCHED }
  return { entity: { ...good.entity, ...entity }, release: release === undefined ? good.release : release }
}

/** A change that writes one service. */
export function proposalOf(base: Position, more: Partial<Proposal> & { readonly host?: string } = {}): Proposal {
  const { host = 'host', ...rest } = more
  const id = more.id ?? randomUUID()
  const audit = { id, at: T0, by: 'suite', what: `update services ${ID}`, changes: [], more: 0 }
  const keys = [`services/${ID}`]
  const changes = [{ kind: 'services', id: ID, row: service(ID, host) }] as const
  return { id, base, reads: keys, writes: keys, changes, audit, ...rest }
}

/** The commit that a proposal has become. */
function committed({ id, writes, changes, audit }: Proposal, version: number, prev: string): Commit {
  return { id, prev, version, writes, changes, audit: { ...audit, version } }
}

/** Saves what nobody may be in the way of, and says where the store stands then. */
export async function saved(store: Store, proposal: Proposal): Promise<Position> {
  const result = await store.save(proposal)
  if (result.kind !== 'saved') throw new Error(`not saved: ${result.kind}`)
  return result.at
}

/** The position of what is stored. */
async function headOf(store: Store): Promise<Position> {
  return (await store.load())?.at ?? NOWHERE
}

/** What a watcher heard, and a way to wait until it heard something. */
export function listening(store: Store, from: Position | null) {
  const events: StoreEvent[] = []
  const waiting = new Set<() => void>()
  const stop = store.watch(from, (event) => {
    events.push(event)
    for (const look of waiting) look()
  })
  const until = (isThere: (events: readonly StoreEvent[]) => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!isThere(events)) return
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
    })
  const commits = () => events.flatMap((event) => (event.kind === 'commit' ? [event.commit] : []))
  /** The version that it was brought to. */
  const reached = () =>
    events.reduce((version, event) => {
      if (event.kind === 'commit') return event.commit.version
      return event.kind === 'state' ? event.state.at.version : version
    }, from?.version ?? 0)
  return { events, commits, reached, until, to: (version: number) => until(() => reached() >= version), stop }
}

/** What every store must do. `extras` are what one store does besides. */
export function runStoreSuite<Place extends StorePlace>(
  name: string,
  harness: StoreHarness<Place>,
  extras: () => void = () => undefined,
): void {
  describe(`the ${name} store`, () => {
    runFaults(harness)

    it('is nothing at first, not an empty state', async () => {
      await using place = await harness.open()
      expect(await place.store.load()).toBeNull()
      expect(await place.store.audit({ limit: 10 })).toEqual([])
    })

    it('gives back what was saved, also to another process', async () => {
      await using place = await harness.open()
      const { store } = place
      const first = proposalOf(NOWHERE)
      const at = await saved(store, first)
      expect(at).toEqual({ epoch: expect.stringMatching(/./), version: 1, id: first.id })
      const state = { at, rows: [{ ...first.changes[0]?.row, revision: 1 }] }
      expect(await store.load()).toEqual(state)
      const other = await place.another()
      expect(await other.load()).toEqual(state)
      const second = proposalOf(at, { host: 'other' })
      expect(await other.save(second)).toEqual({ kind: 'saved', at: { ...at, version: 2, id: second.id }, missed: [] })
      expect(await store.load()).toMatchObject({
        at: { version: 2 },
        rows: [{ revision: 2, entity: { host: 'other' } }],
      })
    })

    it('takes rows away', async () => {
      await using place = await harness.open()
      const at = await saved(place.store, proposalOf(NOWHERE))
      await saved(place.store, proposalOf(at, { changes: [{ kind: 'services', id: ID, row: null }] }))
      expect(await place.store.load()).toMatchObject({ at: { version: 2 }, rows: [] })
    })

    it('keeps the revision of a row that a commit leaves alone', async () => {
      await using place = await harness.open()
      const at = await saved(place.store, proposalOf(NOWHERE))
      const id = uuid(1)
      const keys = [`services/${id}`]
      const changes = [{ kind: 'services', id, row: service(id, 'b') }] as const
      await saved(place.store, proposalOf(at, { reads: keys, writes: keys, changes }))
      const revisions = new Map((await place.store.load())?.rows.map(({ entity, revision }) => [entity.id, revision]))
      expect(revisions).toEqual(new Map([[ID, 1], [id, 2]])) // prettier-ignore
    })

    it('finds a proposal again that it has committed already, and does not make it twice', async () => {
      await using place = await harness.open()
      const { store } = place
      const base = await saved(store, proposalOf(NOWHERE))
      const between = proposalOf(base, { reads: [], writes: ['services/x'], changes: [], host: 'x' })
      await saved(store, between)
      const proposal = proposalOf(base, { host: 'once' })
      const first = await store.save(proposal)
      expect(first).toMatchObject({ kind: 'saved', at: { version: 3 }, missed: [{ id: between.id, version: 2 }] })
      expect(await store.save(proposal)).toEqual(first)
      // Also by another process, and after somebody else was in the way.
      await saved(store, proposalOf(await headOf(store), { host: 'later' }))
      expect(await (await place.another()).save(proposal)).toEqual(first)
      expect(await store.load()).toMatchObject({ at: { version: 4 }, rows: [{ entity: { host: 'later' } }] })
      expect(await store.audit({ limit: 10 })).toHaveLength(4)
    })

    const KEYS = [
      `services/${ID}`,
      'unique:services/name=orders',
      'unique:keyauth_credentials/key=a/b "c" {d}=é\u{1f426}',
      `children:services/${ID}`,
      'scope:plugins {name="canary",service=null}',
    ]
    it.each(KEYS)('refuses what reads %s where a commit after its base wrote that', async (key) => {
      await using place = await harness.open()
      const { store } = place
      const base = await saved(store, proposalOf(NOWHERE))
      const harmless = proposalOf(base, { reads: [], writes: ['services/x'], changes: [] })
      const writer = proposalOf(base, { reads: [], writes: ['acls/1', key, 'acls/2'], changes: [] })
      await saved(store, harmless)
      await saved(store, writer)
      const reader = proposalOf(base, { reads: ['acls/3', key], writes: ['acls/3'] })
      expect(await store.save(reader)).toEqual({
        kind: 'conflict',
        missed: [committed(harmless, 2, base.id), committed(writer, 3, harmless.id)],
      })
      expect((await store.load())?.at.version).toBe(3)
      // Made anew on what is stored, it is taken; and so is what reads anything else.
      const head = await headOf(store)
      expect(await store.save({ ...reader, base: head })).toMatchObject({ kind: 'saved', missed: [] })
      const similar = [key.toUpperCase(), `${key}x`, key.slice(0, -1), 'services/y'].filter((each) => each !== key)
      const other = proposalOf(base, { reads: similar, writes: ['acls/4'], changes: [] })
      expect(await store.save(other)).toMatchObject({
        kind: 'saved',
        at: { version: 5 },
        missed: [{ version: 2 }, { version: 3 }, { version: 4 }],
      })
    })

    it('refuses what reads the whole state wherever anything was committed after its base', async () => {
      await using place = await harness.open()
      const { store } = place
      const base = await saved(store, proposalOf(NOWHERE))
      const whole = (on: Position) => proposalOf(on, { reads: ['*'], writes: [], changes: [] })
      expect(await store.save(whole(base))).toMatchObject({ kind: 'saved' })
      await saved(store, proposalOf(await headOf(store), { writes: [], changes: [] }))
      expect(await store.save(whole(base))).toMatchObject({
        kind: 'conflict',
        missed: [{ version: 2 }, { version: 3 }],
      })
    })

    it('begins a history once: of two that know of nothing, one is refused', async () => {
      await using place = await harness.open()
      const [store, other] = [place.store, await place.another()]
      await Promise.all([store.load(), other.load()])
      const results = await Promise.all([
        store.save(proposalOf(NOWHERE, { reads: [], writes: [] })),
        other.save(proposalOf(NOWHERE, { reads: [], writes: [] })),
      ])
      expect(results.map(({ kind }) => kind).toSorted()).toEqual(['conflict', 'saved'])
      expect((await store.load())?.at.version).toBe(1)
    })

    it('makes of changes at the same instant one after another, each on the one before', async () => {
      await using place = await harness.open()
      const stores = [place.store, await place.another()]
      const base = await saved(place.store, proposalOf(NOWHERE))
      await Promise.all(stores.map((store) => store.load()))
      const writing = (n: number, key: string) =>
        stores[n % 2]?.save(proposalOf(base, { id: uuid(n), reads: [key], writes: [key], changes: [] })) ??
        expect.fail()
      const apart = await Promise.all(Array.from({ length: 10 }, (_, n) => writing(n, `services/${n}`)))
      expect(apart.map(({ kind }) => kind)).toEqual(Array.from({ length: 10 }, () => 'saved'))
      const versions = apart.map((result) => (result.kind === 'saved' ? result.at.version : 0))
      expect(versions.toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
      const same = await Promise.all(Array.from({ length: 10 }, (_, n) => writing(20 + n, 'services/same')))
      expect(same.filter(({ kind }) => kind === 'saved')).toHaveLength(1)
      expect(same.filter(({ kind }) => kind === 'conflict')).toHaveLength(9)
    })

    it('refuses what was made in another history, and says where it stands', async () => {
      await using place = await harness.open()
      const { store } = place
      const first = await saved(store, proposalOf(NOWHERE))
      const stored = await saved(store, proposalOf(first))
      for (const base of [
        { ...stored, epoch: randomUUID() },
        { ...stored, id: randomUUID() },
        { ...first, id: randomUUID() },
        { ...stored, version: 9 },
      ]) {
        expect(await store.save(proposalOf(base)), JSON.stringify(base)).toEqual({ kind: 'rewound', stored })
      }
      expect((await store.load())?.at).toEqual(stored)
    })

    it('loads anew who stands on what it has forgotten', { timeout: 120_000 }, async () => {
      await using place = await harness.open()
      const { store } = place
      const old = await saved(store, proposalOf(NOWHERE))
      await trim(place)
      const head = await headOf(store)
      expect(await store.save(proposalOf(old))).toEqual({ kind: 'conflict', missed: null })
      const watcher = listening(store, old)
      await watcher.to(head.version)
      expect(watcher.events.filter(({ kind }) => kind === 'commit' || kind === 'state')).toEqual([
        { kind: 'state', state: await store.load() },
      ])
      const next = proposalOf(head)
      await saved(store, next)
      await watcher.to(head.version + 1)
      expect(watcher.commits()).toEqual([committed(next, head.version + 1, head.id)])
    })

    it('tells watchers of what came after their position, then of each change, until they leave', async () => {
      await using place = await harness.open()
      const { store } = place
      const proposals: Proposal[] = []
      const save = async (base: Position) => {
        const proposal = proposalOf(base, { host: `host-${proposals.length}` })
        proposals.push(proposal)
        return saved(store, proposal)
      }
      const first = await save(NOWHERE)
      const second = await save(first)
      const watchers = [listening(store, null), listening(store, first), listening(store, second)]
      const third = await save(second)
      const fourth = await save(third)
      await Promise.all(watchers.map((watcher) => watcher.to(4)))
      const all = proposals.map((proposal, index) => committed(proposal, index + 1, proposals[index - 1]?.id ?? ''))
      expect(watchers.map((watcher) => watcher.commits())).toEqual([all, all.slice(1), all.slice(2)])
      watchers[0]?.stop()
      await save(fourth)
      await Promise.all(watchers.slice(1).map((watcher) => watcher.to(5)))
      expect(watchers.map((watcher) => watcher.reached())).toEqual([4, 5, 5])
    })

    it('tells watchers of other processes of each change, without gap', async () => {
      await using place = await harness.open()
      const [writer, reader] = [place.store, await place.another()]
      let at = await saved(writer, proposalOf(NOWHERE))
      await reader.load()
      const watcher = listening(reader, at)
      const late: (typeof watcher)[] = []
      for (let i = 0; i < 20; i += 1) {
        // oxlint-disable-next-line no-await-in-loop -- each is made on the one before
        at = await saved(writer, proposalOf(at, { host: `host-${i}` }))
        if (i === 10) late.push(listening(reader, at))
      }
      await Promise.all([watcher, ...late].map((each) => each.to(21)))
      for (const { events } of [watcher, ...late]) {
        const versions = events.flatMap((event) => {
          if (event.kind === 'commit') return [event.commit.version]
          return event.kind === 'state' ? [event.state.at.version] : []
        })
        expect(versions).toEqual(versions.toSorted((a, b) => a - b))
        expect(new Set(versions).size).toBe(versions.length)
        // Whatever comes as a commit follows on what was known.
        let known: string | null = null
        for (const event of events) {
          if (event.kind === 'commit' && known !== null) expect(event.commit.prev).toBe(known)
          if (event.kind === 'commit') known = event.commit.id
          if (event.kind === 'state') known = event.state.at.id
        }
        expect(known).toBe(at.id)
      }
      expect((await reader.load())?.rows[0]?.entity).toMatchObject({ host: 'host-19' })
    })

    it('tells a watcher that stands in another history that it is rewound, and nothing of that history', async () => {
      await using place = await harness.open()
      const { store } = place
      const stored = await saved(store, proposalOf(NOWHERE))
      const known = { ...stored, id: randomUUID() }
      const watcher = listening(store, known)
      await watcher.until((events) => events.some(({ kind }) => kind === 'rewound'))
      expect(watcher.events.filter(({ kind }) => kind !== 'connected')).toEqual([{ kind: 'rewound', known, stored }])
      const other = listening(store, stored)
      await saved(store, proposalOf(stored))
      await other.to(2)
      expect(watcher.commits()).toEqual([])
    })

    it('goes on where a listener throws', async () => {
      await using place = await harness.open()
      const { store } = place
      store.watch(null, () => {
        throw new Error('boom')
      })
      const watcher = listening(store, null)
      const at = await saved(store, proposalOf(NOWHERE))
      await saved(store, proposalOf(at))
      await watcher.to(2)
      expect(watcher.commits()).toHaveLength(2)
    })

    it('keeps the newest audit entries, and finds those that are asked for', { timeout: 120_000 }, async () => {
      await using place = await harness.open()
      const { store } = place
      const plugin = uuid(7)
      const of = (version: number): Proposal['audit'] => ({
        id: uuid(version),
        at: T0 + version,
        by: version % 2 === 0 ? 'even' : 'odd "é\'',
        what: `change ${version}`,
        changes: version % 3 === 0 ? [{ kind: 'plugins', id: plugin, before: null, after: { id: plugin } }] : [],
        more: 0,
      })
      const many = AUDIT_LIMIT + 5
      let at = NOWHERE
      for (let version = 1; version <= many; version += 1) {
        const none = { reads: [], writes: [], changes: [] }
        // oxlint-disable-next-line no-await-in-loop -- each is made on the one before
        at = await saved(store, proposalOf(at, { ...none, id: uuid(version), audit: of(version) }))
      }
      const other = await place.another()
      await other.load()
      const versions = async (query: Parameters<Store['audit']>[0]) =>
        (await other.audit(query)).map(({ version }) => version)
      expect(await versions({ limit: many })).toEqual(Array.from({ length: AUDIT_LIMIT }, (_, i) => many - i))
      expect(await other.audit({ limit: 1 })).toEqual([{ ...of(many), version: many }])
      expect(await versions({ limit: 3, before: 500 })).toEqual([499, 498, 497])
      expect(await versions({ limit: 3, by: 'odd "é\'', before: 11 })).toEqual([9, 7])
      expect(await versions({ limit: 3, plugin, before: 100 })).toEqual([99, 96, 93])
      expect(await versions({ limit: 3, plugin, by: 'even', before: 100 })).toEqual([96, 90, 84])
      expect(await versions({ limit: 3, plugin: uuid(8) })).toEqual([])
      expect(await versions({ limit: 3, before: 1 })).toEqual([])
    })

    it('gives up a change whose time was over before it began: nothing is written', async () => {
      await using place = await harness.open()
      const refused = place.store.save(proposalOf(NOWHERE), AbortSignal.abort())
      await expect(refused).rejects.toMatchObject({ code: 'ERR_CANARY_STORE', outcome: 'not-written' })
      expect(await place.store.load()).toBeNull()
    })

    it('ends all that it tells when it is closed', async () => {
      await using place = await harness.open()
      const other = await place.another()
      const at = await saved(other, proposalOf(NOWHERE))
      const watcher = listening(other, at)
      const still = listening(place.store, null)
      await other.close()
      const heard = watcher.events.length
      await saved(place.store, proposalOf(at))
      await still.to(2)
      expect(watcher.events).toHaveLength(heard)
    })

    it('puts the changes of writers that know of each other late in one order', { timeout: 240_000 }, async () => {
      let conflicts = 0
      await fc.assert(
        fc.asyncProperty(aHistory, async (writers) => {
          await using place = await harness.open()
          conflicts += await checkHistory(place, writers)
        }),
        { seed: 17, numRuns: 30 },
      )
      // Otherwise nobody was ever in another's way, and this test showed nothing.
      expect(conflicts).toBeGreaterThan(20)
    })

    it('keeps a registry through restarts: entities, releases, audit', async () => {
      await using place = await harness.open()
      const clock = clockAt(T0)
      const first = await createRegistry({ store: place.store, clock, logger: SILENT })
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
      const audit = await first.audit({ limit: 10 })
      await first.close()
      await using second = disposable(await createRegistry({ store: await place.another(), clock, logger: SILENT }), {})
      const byId = (state: typeof before) => new Map(state.rows.map((row) => [row.entity.id, row]))
      expect(byId(second.snapshot())).toEqual(byId(before))
      expect(second.snapshot().at).toEqual(before.at)
      expect(audit.map(({ version }) => version)).toEqual([2, 1])
      expect(await second.audit({ limit: 10 })).toEqual(audit)
      expect(second.version).toBe(2)
      // A store whose processes judge together has a clock of its own.
      const at = place.store.shared === null ? T0 : expect.any(Number)
      expect(second.release(id)?.status()).toMatchObject({ state: 'rolled-back', reason: 'broken', by: 'ops', at })
      expect(second.findConsumer('k')?.groups).toEqual(['testers'])
      expect(mountOn(second, { service: 'orders' }).find('').place.release?.decide().upstream).toBe('A')
    })

    extras()
  })
}

/** What a store must do when what it stands on fails. */
function runFaults<Place extends StorePlace>(harness: StoreHarness<Place>): void {
  const { damage, forge, cut, freeze, rewind } = harness

  if (damage !== undefined) {
    it('refuses what is damaged, and never takes it for an empty state', async () => {
      await using place = await harness.open()
      await saved(place.store, proposalOf(NOWHERE))
      const other = await place.another()
      await using registry = disposable(await createRegistry({ store: other, logger: SILENT }), {})
      await damage(place)
      const later = await place.another()
      await expect(later.load()).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
      await expect(createRegistry({ store: later, logger: SILENT })).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
      expect(registry.snapshot().rows).toHaveLength(1)
    })
  }

  if (forge !== undefined) {
    it.each(FORGED)('refuses a row that somebody else wrote with %s', async (_, kind, change) => {
      await using place = await harness.open()
      await saved(place.store, proposalOf(NOWHERE))
      const other = await place.another()
      const reported: unknown[] = []
      const onError = (error: unknown) => reported.push(error)
      await using registry = disposable(await createRegistry({ store: other, logger: SILENT, onError }), {})
      const known = registry.snapshot()
      await forge(place, kind, forged(kind, change))
      const later = await place.another()
      await expect(later.load()).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
      await expect(createRegistry({ store: later, logger: SILENT })).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
      expect(registry.snapshot()).toEqual(known)
    })
  }

  if (cut !== undefined) {
    it('refuses at once while it is cut off, says so, and catches up afterwards', async () => {
      await using place = await harness.open()
      const { store } = place
      const at = await saved(store, proposalOf(NOWHERE))
      const other = await place.another()
      await other.load()
      const watcher = listening(store, at)
      const mend = await cut(place)
      await watcher.until((events) => events.some(({ kind }) => kind === 'disconnected'))
      await expect(store.save(proposalOf(at))).rejects.toMatchObject({
        code: 'ERR_CANARY_STORE',
        outcome: expect.stringMatching(/^(?:not-written|unknown)$/),
      })
      await expect(store.load()).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
      await mend()
      await watcher.until((events) => events.some(({ kind }) => kind === 'connected'))
      const head = (await other.load())?.at ?? at
      const next = await saved(other, proposalOf(head))
      await watcher.to(next.version)
      expect(await saved(store, proposalOf(next))).toMatchObject({ version: next.version + 1 })
    })

    it('tells a watcher what was committed while it was cut off', async () => {
      await using place = await harness.open()
      const at = await saved(place.store, proposalOf(NOWHERE))
      const watcher = listening(place.store, at)
      const mend = await cut(place)
      await watcher.until((events) => events.some(({ kind }) => kind === 'disconnected'))
      await mend()
      const other = await place.another()
      let head = await headOf(other)
      // oxlint-disable-next-line no-await-in-loop -- each is made on the one before
      for (let i = 0; i < 5; i += 1) head = await saved(other, proposalOf(head))
      await watcher.to(head.version)
      const versions = watcher.commits().map(({ version }) => version)
      expect(versions).toEqual(versions.toSorted((a, b) => a - b))
    })
  }

  if (freeze !== undefined) {
    it('gives up waiting when it is told to, and closes all the same', async () => {
      await using place = await harness.open()
      const { store } = place
      const at = await saved(store, proposalOf(NOWHERE))
      const thaw = await freeze(place)
      try {
        const late = new AbortController()
        const saving = store.save(proposalOf(at), late.signal)
        const loading = store.load(late.signal)
        setTimeout(() => late.abort(), 100)
        await expect(saving).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
        await expect(loading).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
        await store.close()
      } finally {
        await thaw()
      }
    })
  }

  if (rewind !== undefined) {
    it('says that it was taken back, and takes nothing that was made on what is gone', async () => {
      await using place = await harness.open()
      const { store } = place
      const stored = await saved(store, proposalOf(NOWHERE))
      const known = await saved(store, proposalOf(stored))
      const watcher = listening(store, known)
      await rewind(place, stored)
      await watcher.until((events) => events.some(({ kind }) => kind === 'rewound'))
      expect(watcher.events.filter(({ kind }) => kind === 'rewound')).toEqual([{ kind: 'rewound', known, stored }])
      expect(await store.save(proposalOf(known))).toEqual({ kind: 'rewound', stored })
      // The other branch comes as far, and is another one all the same.
      const next = await saved(store, proposalOf(stored))
      expect(next.version).toBe(known.version)
      expect(await store.save(proposalOf(known))).toEqual({ kind: 'rewound', stored: next })
      await saved(store, proposalOf(next))
      expect(await store.save(proposalOf(known))).toMatchObject({ kind: 'rewound', stored: { version: 3 } })
      expect(watcher.commits()).toEqual([])
    })
  }
}

/** More changes than a store keeps for those who are behind. */
async function trim({ store, trim: hook }: StorePlace): Promise<void> {
  if (hook !== undefined) return hook()
  let at = await headOf(store)
  for (let i = 0; i < 2_500; i += 1) {
    // oxlint-disable-next-line no-await-in-loop -- each is made on the one before
    at = await saved(store, proposalOf(at, { reads: [], writes: [], changes: [] }))
  }
}

/** What a writer does next. Names are few, so that writers are in each other's way. */
type Step =
  /** Makes a child of a parent, by a name that nobody else may have. */
  | { readonly kind: 'add'; readonly parent: number; readonly name: number }
  /** Takes a parent away, if it has no children. */
  | { readonly kind: 'remove'; readonly parent: number }
  /** Writes down how many rows there are. */
  | { readonly kind: 'count'; readonly parent: number }
  /** Learns of what others have done. */
  | { readonly kind: 'learn' }

const number = fc.integer({ min: 0, max: 2 })
const aStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('add' as const), parent: number, name: fc.integer({ min: 0, max: 5 }) }) }, // prettier-ignore
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), parent: number }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('count' as const), parent: number }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('learn' as const) }) },
)
const aHistory = fc.array(fc.record({ writer: number, step: aStep }), { minLength: 5, maxLength: 25 })

/** A store's rows, as far as this model looks at them: parents by id, and the names of their children. */
interface Model {
  at: Position
  readonly rows: Map<string, RowContent<'services'>>
}

const idOfParent = (parent: number) => uuid(100 + parent)
const idOfChild = (name: number) => uuid(200 + name)
const childrenOf = ({ rows }: Model, parent: number) =>
  [...rows.values()].filter(({ entity }) => entity.path === `/${parent}`)

/** What a step makes of rows; `null` where it is not to be made. */
function made(model: Model, step: Exclude<Step, { kind: 'learn' }>): Omit<Proposal, 'audit'> | null {
  const id = randomUUID()
  const parentId = idOfParent(step.parent)
  const parentKey = `services/${parentId}`
  const children = `children:${parentKey}`
  const base = model.at
  const write = (of: string, host: string, path: string | null = null) => {
    const row = service(of, host)
    return { kind: 'services', id: of, row: { ...row, entity: { ...row.entity, path } } } as const
  }
  if (step.kind === 'count') {
    const changes = [write(parentId, `count-${model.rows.size}`)]
    return { id, base, reads: ['*'], writes: [parentKey], changes }
  }
  if (step.kind === 'remove') {
    if (!model.rows.has(parentId) || childrenOf(model, step.parent).length > 0) return null
    const changes = [{ kind: 'services', id: parentId, row: null }] as const
    return { id, base, reads: [parentKey, children], writes: [parentKey], changes }
  }
  const childId = idOfChild(step.name)
  const unique = `unique:services/name=${step.name}`
  // A name that is taken is given back: whoever thinks that it is free, and whoever thinks that it is not, may be late.
  if (model.rows.has(childId)) {
    const owner = Number(model.rows.get(childId)?.entity.path?.slice(1))
    const changes = [{ kind: 'services', id: childId, row: null }] as const
    const writes = [`services/${childId}`, unique, `children:services/${idOfParent(owner)}`]
    return { id, base, reads: [`services/${childId}`, unique], writes, changes }
  }
  const parent = model.rows.has(parentId) ? [] : [write(parentId, 'parent')]
  const writes = [`services/${childId}`, unique, children, ...(parent.length === 0 ? [] : [parentKey])]
  const changes = [...parent, write(childId, 'child', `/${step.parent}`)]
  return { id, base, reads: [`services/${childId}`, unique, parentKey], writes, changes }
}

function learn(model: Model, commits: readonly { readonly changes: Proposal['changes'] }[]): void {
  for (const { changes } of commits) {
    for (const { id, row } of changes) {
      if (row === null) model.rows.delete(id)
      else if ('host' in row.entity) model.rows.set(id, { kind: 'services', entity: row.entity, release: null })
    }
  }
}

async function learnAll(model: Model, store: Store): Promise<void> {
  const state = await store.load()
  model.rows.clear()
  learn(model, [{ changes: (state?.rows ?? []).map((row) => ({ kind: row.kind, id: row.entity.id, row })) }])
  model.at = state?.at ?? NOWHERE
}

/** Lets writers work on what they know, and compares with the same steps one after another. Returns how many conflicts. */
async function checkHistory(
  place: StorePlace,
  history: readonly { readonly writer: number; readonly step: Step }[],
): Promise<number> {
  const stores = [place.store, await place.another(), await place.another()]
  const at = await saved(place.store, proposalOf(NOWHERE, { reads: [], writes: [], changes: [] }))
  const models = stores.map((): Model => ({ at, rows: new Map() }))
  await Promise.all(stores.map((store) => store.load()))
  const serial: Model = { at, rows: new Map() }
  let conflicts = 0
  for (const { writer, step } of history) {
    const [store, model] = [stores[writer], models[writer]]
    if (store === undefined || model === undefined) throw new Error('no such writer')
    /* oxlint-disable no-await-in-loop -- the history says the order */
    if (step.kind === 'learn') {
      await learnAll(model, store)
      continue
    }
    for (let done = false; !done;) {
      const proposal = made(model, step)
      if (proposal === null) break
      const audit = { id: proposal.id, at: T0, by: `writer ${writer}`, what: step.kind, changes: [], more: 0 }
      const result: SaveResult = await store.save({ ...proposal, audit })
      if (result.kind === 'rewound') throw new Error('there is one history')
      if (result.missed === null) throw new Error('nothing was trimmed')
      if (result.kind === 'conflict') conflicts += 1
      learn(model, result.missed)
      const last = result.missed.at(-1)
      if (last !== undefined) model.at = { ...model.at, version: last.version, id: last.id }
      if (result.kind === 'conflict') {
        expect(last).toBeDefined()
        continue
      }
      expect(result.at.version).toBe(serial.at.version + 1)
      // Whoever does the same on all that was done before would do exactly this.
      expect(made(serial, step)?.changes).toEqual(proposal.changes)
      learn(serial, [proposal])
      serial.at = result.at
      learn(model, [proposal])
      model.at = result.at
      done = true
    }
    /* oxlint-enable no-await-in-loop */
  }
  const state = await place.store.load()
  expect(state?.at).toEqual(serial.at)
  expect(new Map(state?.rows.map(({ kind, entity, release }) => [entity.id, { kind, entity, release }]))).toEqual(
    serial.rows,
  )
  return conflicts
}
