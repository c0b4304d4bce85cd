import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Registry, type RegistryOptions, createRegistry, memoryStore } from '@canary-release/core/registry'
import { type Client, Network } from '../store/network.js'
import { CANARY, SILENT, T0, addOrders, changed, clockAt, disposable } from './harness.js'

/** Two registries on a network, of which the first one's line may fail. */
async function pair(options: Partial<RegistryOptions> = {}) {
  const network = new Network()
  const [client, other] = [network.connect(), network.connect()]
  const reported: unknown[] = []
  const clock = clockAt(T0)
  const common = { clock, logger: SILENT, changeTimeoutMs: 100 }
  const mine = await createRegistry({ ...common, onError: (error) => reported.push(error), ...options, store: client })
  const theirs = await createRegistry({ ...common, store: other, changeTimeoutMs: 5_000 })
  return {
    network,
    client,
    mine,
    theirs,
    reported,
    clock,
    async [Symbol.asyncDispose]() {
      client.line = 'up'
      await Promise.all([mine.close(), theirs.close()])
    },
  }
}

const rename = (registry: Registry, host: string) =>
  registry.change('ops', (draft) => draft.patch('services', 'orders', { host }))
const hostOf = (registry: Registry) => registry.get('services', 'orders')?.entity.host

/** What a promise rejects with. */
async function failureOf(promise: Promise<unknown>): Promise<Record<string, unknown>> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error) return { ...error, message: error.message }
  }
  return expect.fail('nothing failed')
}

describe('a registry whose store', () => {
  it('refuses connections refuses changes at once, goes on with what it knows, and catches up', async () => {
    await using place = await pair({ changeTimeoutMs: 60_000 })
    const { client, mine, theirs } = place
    await addOrders(mine)
    await changed(theirs, 1)
    client.line = 'refused'
    const { saves } = client
    expect(await failureOf(rename(mine, 'b'))).toMatchObject({ code: 'ERR_CANARY_STORE', outcome: 'not-written' })
    expect(client.saves).toBe(saves)
    expect(mine.storeStatus).toMatchObject({ connected: false, since: 1_000, stale: false, rewound: null })
    expect(hostOf(mine)).toBe('orders-v1')
    await rename(theirs, 'c')
    await rename(theirs, 'd')
    client.line = 'up'
    await changed(mine, 3)
    expect(hostOf(mine)).toBe('d')
    expect(mine.storeStatus).toMatchObject({ connected: true, since: null, position: theirs.storeStatus.position })
    await rename(mine, 'e')
    expect(hostOf(mine)).toBe('e')
  })

  it('hangs refuses changes when their time is over, all at the same time, and closes', async () => {
    await using place = await pair()
    const { client, mine } = place
    await addOrders(mine)
    client.line = 'hung'
    const failures = await Promise.all(Array.from({ length: 10 }, (_, i) => failureOf(rename(mine, `host-${i}`))))
    const [first, ...others] = failures
    expect(first).toMatchObject({
      code: 'ERR_CANARY_STORE',
      outcome: 'unknown',
      commit: expect.stringMatching(/^[\da-f-]{36}$/),
    })
    // These were never tried.
    for (const failure of others) expect(failure).toMatchObject({ code: 'ERR_CANARY_STORE', outcome: 'not-written' })
    expect(client.saves).toBe(2)
    expect(mine.storeStatus.connected).toBe(false)
    expect(hostOf(mine)).toBe('orders-v1')
    await mine.close()
  })

  it('hangs in a change hears what others did all the same', async () => {
    await using place = await pair({ changeTimeoutMs: 5_000 })
    const { client, mine, theirs } = place
    await addOrders(theirs)
    await changed(mine, 1)
    client.line = 'lost'
    let ended = false
    const change = failureOf(rename(mine, 'b')).finally(() => (ended = true))
    await changed(mine, 2)
    await theirs.change('ops', (draft) => draft.create('consumers', { username: 'bob' }))
    await changed(mine, 3)
    expect(mine.get('consumers', 'bob')).not.toBeNull()
    expect(ended).toBe(false)
    expect(await change).toMatchObject({ outcome: 'unknown' })
  })

  it('breaks off in the middle of a change is asked again, and the change is made once', async () => {
    await using place = await pair({ changeTimeoutMs: 20_000 })
    const { client, mine, theirs } = place
    await addOrders(mine)
    client.line = 'cut-off'
    const saving = mine.change('ops', (draft) => {
      const tags = draft.get('services', 'orders')?.entity.tags ?? []
      return draft.patch('services', 'orders', { tags: [...tags, 'x'] })
    })
    await changed(theirs, 2)
    client.line = 'up'
    expect(await saving).toMatchObject({ revision: 2, entity: { tags: ['x'] } })
    expect(mine.get('services', 'orders')).toMatchObject({ revision: 2, entity: { tags: ['x'] } })
    expect(mine.version).toBe(2)
    expect(await mine.audit()).toHaveLength(2)
  })

  it('never answers whether a change was made is looked at again, and the audit trail tells', async () => {
    const warned: string[] = []
    await using place = await pair({ logger: { ...SILENT, warn: (message) => void warned.push(message) } })
    const { client, mine, theirs } = place
    await addOrders(mine)
    client.line = 'lost'
    const { commit } = await failureOf(rename(mine, 'b'))
    client.line = 'up'
    await changed(mine, 2)
    expect((await mine.audit({ limit: 1 }))[0]).toMatchObject({ id: commit, by: 'ops', version: 2 })
    expect(hostOf(mine)).toBe('b')
    expect(hostOf(theirs)).toBe('b')
    await expect
      .poll(() => warned, { timeout: 10_000 })
      .toEqual([expect.stringMatching(`the change ${String(commit)}.*was made$`)])
  })

  it('is changed by others all the time has no more than its time, waiting included', async () => {
    const network = new Network()
    const client = network.connect()
    const never = {
      ...client,
      load: () => client.load(),
      watch: client.watch.bind(client),
      close: () => client.close(),
    }
    const store = Object.assign(never, { save: async () => ({ kind: 'conflict', missed: null }) as const, audit: client.audit.bind(client), shared: null }) // prettier-ignore
    await using registry = disposable(await createRegistry({ store, logger: SILENT, changeTimeoutMs: 50 }), {})
    const failures = await Promise.all([1, 2, 3].map(() => failureOf(addOrders(registry))))
    for (const failure of failures) {
      expect(failure).toMatchObject({
        outcome: 'not-written',
        message: expect.stringMatching(/^others changed the same/),
      })
    }
  })

  it('was emptied keeps the last state in force, refuses changes and says both positions, until it is accepted', async () => {
    await using place = await pair()
    const { network, mine, theirs, reported } = place
    await addOrders(mine)
    await changed(theirs, 1)
    const known = mine.storeStatus.position
    const emptied = memoryStore()
    network.replace(emptied)
    await expect.poll(() => mine.storeStatus.rewound).not.toBeNull()
    const { rewound } = mine.storeStatus
    expect(rewound).toEqual({ known, stored: { epoch: expect.not.stringMatching(known.epoch), version: 0, id: '' } })
    expect(await failureOf(rename(mine, 'b'))).toMatchObject({
      outcome: 'not-written',
      message: expect.stringContaining(`here is version 1 (${known.id}) of ${known.epoch}, stored is nothing`),
    })
    expect(hostOf(mine)).toBe('orders-v1')
    expect(reported).toHaveLength(1)
    // Somebody else begins a new history: what was shown to the person is not what is stored.
    const fresh = await createRegistry({ store: emptied, logger: SILENT })
    await fresh.change('new', (draft) => draft.create('services', { name: 'orders', url: 'http://new' }))
    await expect(mine.accept(known)).rejects.toMatchObject({ code: 'ERR_CANARY_STATE' })
    expect(hostOf(mine)).toBe('orders-v1')
    const stored = fresh.storeStatus.position
    await mine.accept(stored)
    expect(hostOf(mine)).toBe('new')
    expect(mine.storeStatus).toMatchObject({ rewound: null, position: stored })
    await rename(mine, 'newer')
    expect(hostOf(mine)).toBe('newer')
    expect(hostOf(theirs)).toBe('orders-v1')
  })

  it('is empty may be accepted as it is', async () => {
    await using place = await pair()
    const { network, mine } = place
    await addOrders(mine)
    network.replace(memoryStore())
    await expect.poll(() => mine.storeStatus.rewound).not.toBeNull()
    await mine.accept(mine.storeStatus.rewound?.stored ?? expect.fail())
    expect(mine.snapshot().rows).toEqual([])
    await addOrders(mine)
    expect(mine.version).toBe(1)
  })

  it('tells of a commit that follows on another one takes nothing of it', async () => {
    const network = new Network()
    const client = network.connect()
    let tell: Parameters<Client['watch']>[1] = () => undefined
    const store = {
      load: () => client.load(),
      save: client.save.bind(client),
      audit: client.audit.bind(client),
      shared: null,
      close: () => client.close(),
      watch: (_: unknown, listener: typeof tell) => {
        tell = listener
        return () => undefined
      },
    }
    await using registry = disposable(await createRegistry({ store, logger: SILENT, onError: () => undefined }), {})
    await addOrders(registry)
    const { position } = registry.storeStatus
    const audit = { version: 2, id: 'other', at: T0, by: 'x', what: '', changes: [], more: 0 }
    const service = registry.get('services', 'orders')?.entity.id ?? expect.fail()
    const changes = [{ kind: 'services', id: service, row: null }] as const
    tell({ kind: 'commit', commit: { id: 'other', prev: 'unknown', version: 2, writes: [], changes, audit } })
    await expect
      .poll(() => registry.storeStatus.rewound)
      .toEqual({
        known: position,
        stored: { epoch: position.epoch, version: 2, id: 'other' },
      })
    expect(hostOf(registry)).toBe('orders-v1')
    // One that follows on what is known shows that the store is the same after all.
    tell({ kind: 'commit', commit: { id: 'next', prev: position.id, version: 2, writes: [], changes, audit } })
    await changed(registry, 2)
    expect(registry.storeStatus).toMatchObject({ rewound: null, position: { version: 2, id: 'next' } })
    expect(hostOf(registry)).toBeUndefined()
  })

  it('is away keeps what the guard did in force, and stores it as soon as it is back', async () => {
    await using place = await pair()
    const { client, mine, theirs } = place
    const { entity } = await mine.change('ops', (draft) => draft.create('plugins', CANARY))
    await changed(theirs, 1)
    client.line = 'refused'
    mine.release(entity.id)?.rollback('B failed', 'guard')
    await expect.poll(() => place.reported).toHaveLength(1)
    client.line = 'up'
    await changed(theirs, 2)
    expect(theirs.release(entity.id)?.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
    await changed(mine, 2)
    expect(mine.get('plugins', entity.id)).toEqual(theirs.get('plugins', entity.id))
  })
})

describe('a cache', () => {
  async function folder() {
    const path = await mkdtemp(join(tmpdir(), 'canary-cache-'))
    return { cache: join(path, 'state.json'), [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
  }

  it('lets a registry begin while the store is away: stale, without changes, until the store is read', async () => {
    await using place = await folder()
    const { cache } = place
    const network = new Network()
    const first = await createRegistry({ store: network.connect(), logger: SILENT, cache })
    await addOrders(first)
    await first.change('ops', (draft) => draft.create('plugins', CANARY, { kind: 'services', key: 'orders' }))
    const { at, rows } = first.snapshot()
    await first.close()
    expect((await stat(cache)).mode & 0o777).toBe(0o600)
    const others = disposable(await createRegistry({ store: network.connect(), logger: SILENT }), {})
    await rename(others, 'b')
    const client = network.connect()
    client.line = 'refused'
    const errors: unknown[] = []
    const options = { logger: SILENT, cache, onError: (error: unknown) => errors.push(error), changeTimeoutMs: 100 }
    await using registry = disposable(await createRegistry({ ...options, store: client }), {})
    expect(registry.snapshot()).toEqual({ at, rows })
    expect(registry.storeStatus).toMatchObject({ stale: true, connected: false, position: at })
    expect(errors).toMatchObject([{ code: 'ERR_CANARY_STORE' }])
    expect(await failureOf(rename(registry, 'c'))).toMatchObject({ code: 'ERR_CANARY_STORE', outcome: 'not-written' })
    client.line = 'up'
    await changed(registry, 3)
    expect(hostOf(registry)).toBe('b')
    expect(registry.storeStatus).toMatchObject({ stale: false, connected: true })
    await rename(registry, 'c')
    await others.close()
  })

  it('of a history that the store does not have is not replaced in silence', async () => {
    await using place = await folder()
    const { cache } = place
    const network = new Network()
    const first = await createRegistry({ store: network.connect(), logger: SILENT, cache })
    await addOrders(first)
    await first.close()
    const client = network.connect()
    client.line = 'refused'
    const options = { logger: SILENT, onError: () => undefined, store: client, cache }
    await using registry = disposable(await createRegistry(options), {})
    network.replace(memoryStore())
    client.line = 'up'
    await expect.poll(() => registry.storeStatus.rewound).not.toBeNull()
    expect(hostOf(registry)).toBe('orders-v1')
  })

  it('is whole where several registries write it', async () => {
    await using place = await folder()
    const { cache } = place
    const network = new Network()
    const reported: unknown[] = []
    const options = { logger: SILENT, cache, onError: (error: unknown) => reported.push(error) }
    const open = () => createRegistry({ ...options, store: network.connect() })
    const registries = await Promise.all(Array.from({ length: 6 }, open))
    const [first] = registries
    if (first !== undefined) await addOrders(first)
    await Promise.all(registries.map((registry) => registry.close()))
    expect(reported).toEqual([])
    expect(JSON.parse(await readFile(cache, 'utf8'))).toHaveProperty('services')
    expect(await readdir(dirname(cache))).toEqual([basename(cache)])
  })

  it('that is missing or damaged is none: the error of the store is told', async () => {
    await using place = await folder()
    const { cache } = place
    const client = new Network().connect()
    client.line = 'refused'
    const options = { logger: SILENT, onError: () => undefined, store: client, cache }
    await expect(createRegistry(options)).rejects.toMatchObject({ code: 'ERR_CANARY_STORE', message: 'refused' })
    await writeFile(cache, '{')
    await expect(createRegistry(options)).rejects.toMatchObject({ code: 'ERR_CANARY_STORE', message: 'refused' })
    expect(await readFile(cache, 'utf8')).toBe('{')
  })
})
