import { describe, expect, it } from 'vitest'
import { type Registry, type Store, type StoreEvent, createRegistry, memoryStore } from '@canary-release/core/registry'
import { mountOn } from '@canary-release/core/registry/internal'
import { CANARY, SILENT, addOrders, changed, disposable, testRegistry } from './harness.js'

const WRITERS = 50
const CHANGES = 20

/** Counts up in the tags of a service, as a client with If-Match does: read, then write on what was read, again if lost. */
async function countUp(registry: Registry): Promise<number> {
  let lost = 0
  for (let done = 0; done < CHANGES;) {
    const read = registry.get('services', 'orders')
    const next = Number(read?.entity.tags?.[0] ?? 0) + 1
    await Promise.resolve()
    const written = await registry.change('writer', (draft) => {
      if (draft.get('services', 'orders')?.revision !== read?.revision) return false
      // Host and path belong together: no reader may ever see one without the other.
      draft.patch('services', 'orders', { tags: [String(next)], host: `host-${next}`, path: `/${next}` })
      return true
    })
    if (written) done += 1
    else lost += 1
  }
  return lost
}

describe('many writers at once', () => {
  it('lose no update, and readers see only whole states', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    await registry.change('test', (draft) => draft.patch('services', 'orders', { host: 'host-0', path: '/0' }))
    const mount = mountOn(registry, { service: 'orders' })
    let torn = 0
    let highest = 0
    let reading = true
    const look = () => {
      const { A } = mount.find('').place
      const number = Number(A.hostname.slice(5))
      if (A.basePath !== `/${number}` || number < highest) torn += 1
      highest = number
      if (reading) setImmediate(look)
    }
    look()
    const lost = await Promise.all(Array.from({ length: WRITERS }, () => countUp(registry)))
    reading = false
    expect(registry.get('services', 'orders')?.entity.tags).toEqual([String(WRITERS * CHANGES)])
    expect(torn).toBe(0)
    // Otherwise nobody was ever in another's way, and this test showed nothing.
    expect(lost.reduce((a, b) => a + b)).toBeGreaterThan(0)
  })

  it('of several processes on one store lose no update either', async () => {
    const store = memoryStore()
    const open = async () => disposable(await createRegistry({ store, logger: SILENT }), {})
    await using first = await open()
    await using second = await open()
    await using third = await open()
    await addOrders(first)
    const registries = [first, second, third]
    await Promise.all(
      registries.flatMap((registry, process) =>
        Array.from({ length: 10 }, (_, i) =>
          registry.change(`process ${process}`, (draft) => {
            const tags = draft.get('services', 'orders')?.entity.tags ?? []
            draft.patch('services', 'orders', { tags: [...tags, `${process}-${i}`] })
          }),
        ),
      ),
    )
    await Promise.all(registries.map((registry) => changed(registry, 31)))
    for (const registry of registries) {
      expect(new Set(registry.get('services', 'orders')?.entity.tags).size).toBe(30)
    }
  })

  it("of several processes are in no one's way where they change other rows", async () => {
    const inner = memoryStore()
    const kinds: string[] = []
    const store: Store = {
      ...inner,
      // Nobody hears of the others but by what he missed.
      watch: () => () => undefined,
      close: async () => undefined,
      async save(...change) {
        const result = await inner.save(...change)
        kinds.push(result.kind)
        return result
      },
    }
    const first = await createRegistry({ store, logger: SILENT })
    await first.change('ops', (draft) => {
      for (let i = 0; i < 10; i += 1) draft.create('services', { name: `s${i}`, url: 'http://a' })
    })
    const registries = await Promise.all(Array.from({ length: 10 }, () => createRegistry({ store, logger: SILENT })))
    await Promise.all(
      registries.flatMap((registry, process) =>
        Array.from({ length: 10 }, (_, i) =>
          registry.change(`process ${process}`, (draft) => {
            draft.patch('services', `s${process}`, { host: `h${i}` })
            draft.create('routes', { name: `r${process}-${i}`, paths: ['/'] }, { kind: 'services', key: `s${process}` })
          }),
        ),
      ),
    )
    expect(kinds.slice(1)).toEqual(Array.from({ length: 100 }, () => 'saved'))
    const stored = await inner.load()
    expect(stored?.at.version).toBe(101)
    expect(stored?.rows).toHaveLength(110)
    await Promise.all([first, ...registries].map((registry) => registry.close()))
  })

  it('of many processes on one row lose no update, and are done in time', async () => {
    const inner = memoryStore()
    const store: Store = { ...inner, close: async () => undefined }
    const options = { store, logger: SILENT, changeTimeoutMs: 20_000 }
    const registries = await Promise.all(Array.from({ length: 10 }, () => createRegistry(options)))
    const [first] = registries
    await addOrders(first ?? expect.fail())
    const tags = registries.flatMap((registry, process) =>
      Array.from({ length: 10 }, async (_, i) => {
        const tag = `${process}-${i}`
        await registry.change('ops', (draft) => {
          const present = draft.get('services', 'orders')?.entity.tags ?? []
          draft.patch('services', 'orders', { tags: [...present, tag] })
        })
        return tag
      }),
    )
    const written = await Promise.all(tags)
    expect(first?.get('services', 'orders')?.entity.tags?.toSorted()).toEqual(written.toSorted())
    await Promise.all(registries.map((registry) => registry.close()))
  })

  it('see a change that another process made while they were away', async () => {
    const store = memoryStore()
    await using mine = disposable(await createRegistry({ store, logger: SILENT }), {})
    await using deaf = disposable(
      await createRegistry({
        store: { ...store, watch: () => () => undefined, close: async () => undefined },
        logger: SILENT,
      }),
      {},
    )
    await addOrders(mine)
    const { entity } = await mine.change('ops', (draft) => draft.create('plugins', CANARY))
    expect(deaf.get('services', 'orders')).toBeNull()
    const tags = await deaf.change('ops', (draft) => {
      draft.create('consumers', { username: 'bob' })
      return draft.patch('services', 'orders', { tags: ['seen'] })?.entity.tags
    })
    expect(tags).toEqual(['seen'])
    expect(deaf.get('plugins', entity.id)).not.toBeNull()
  })

  it('load anew where a change that they are told of does not follow on what they know', async () => {
    const store = memoryStore()
    await using mine = disposable(await createRegistry({ store, logger: SILENT }), {})
    const logged: string[] = []
    let tell: (event: StoreEvent) => void = () => undefined
    const deaf: Store = {
      ...store,
      watch: (_from, listener) => {
        tell = listener
        return () => undefined
      },
      close: async () => undefined,
    }
    const logger = { ...SILENT, error: (message: string) => void logged.push(message) }
    await using other = disposable(await createRegistry({ store: deaf, logger }), {})
    const told: StoreEvent[] = []
    store.watch(null, (event) => void told.push(event))
    await addOrders(mine)
    await mine.change('ops', (draft) => draft.create('consumers', { username: 'bob' }))
    const loaded = changed(other, 2)
    tell(told[1] ?? expect.fail())
    await loaded
    expect(other.get('services', 'orders')).not.toBeNull()
    // Of a change that is known nothing follows.
    tell(told[0] ?? expect.fail())
    tell({ kind: 'error', error: new Error('the watcher fell asleep') })
    await expect.poll(() => logged).toEqual(['canary registry: Error: the watcher fell asleep'])
    expect(other.version).toBe(2)
  })
})
