import { EventEmitter, once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createRelease } from '@canary-release/core'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { createHandler } from '@canary-release/core/node'
import { type Registry, type Store, createRegistry, fileStore, memoryStore } from '@canary-release/core/registry'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Client } from './client.js'
import { idOf, users } from './ledger.js'
import { type TestUpstream, startUpstream } from './upstream.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

let upstream: TestUpstream
const open: (() => unknown)[] = []

beforeAll(async () => {
  upstream = await startUpstream()
})
afterAll(() => upstream.close())
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close()
})

/** Resolves when what it refers to has been collected. */
async function collected(ref: WeakRef<object>): Promise<void> {
  for (;;) {
    collectGarbage()
    if (ref.deref() === undefined) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A gateway whose requests have stores, and what is left of these. */
async function gateway(source: object) {
  const handle = createHandler(source as never)
  const stores = new Map<string, WeakRef<object>>()
  const server = createServer((request, response) => {
    const store = { id: idOf(request) }
    stores.set(store.id, new WeakRef(store))
    users.run(store, () => handle(request, response))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const client = new Client((server.address() as AddressInfo).port)
  open.push(
    () => new Promise((resolve) => server.close(resolve)),
    () => server.closeAllConnections(),
    () => handle.close(0),
    () => client.close(),
  )
  const storeOf = (id: string) => stores.get(id) ?? new WeakRef({})
  return { client, storeOf }
}

describe.each(['undici', 'http-proxy'])('%s: a request’s store is forgotten', (name) => {
  const settings = (proxy: object = {}) => ({
    name: 'orders-v2',
    upstreams: { A: upstream.url, B: upstream.url },
    percentage: 0,
    proxy: { forwarder: name === 'undici' ? null : httpProxyForwarder(), ...proxy },
  })

  test.each([
    ['it opened the connection', '/', undefined],
    ['its client was slow', '/large', undefined],
    ['it had a body', '/echo', Buffer.alloc(300_000, 'x')],
    ['its connection had gone stale', '/stale', undefined],
  ])('while the upstream’s connection stays open, where %s', async (_title, path, body) => {
    const { client, storeOf } = await gateway(settings())
    if (path === '/stale') await client.ask('/', 'first')
    // A server remembers the last request of a connection: alice leaves with hers.
    const alice = new Client(client.port)
    expect((await alice.ask(path, 'alice', body)).status).toBe(200)
    alice.close()
    const before = upstream.opened()
    await collected(storeOf('alice'))
    expect(upstream.opened()).toBe(before)
    expect(upstream.connections()).toBeGreaterThan(0)
    // Nobody had closed it.
    expect((await client.ask('/', 'bob')).status).toBe(200)
    expect(upstream.opened()).toBe(before)
  })

  test('while the requests that came after it are still running', async () => {
    const { client, storeOf } = await gateway(settings())
    await client.ask('/', 'alice')
    await client.ask('/', 'bob')
    const running = upstream.asked('/silent')
    await client.leave('/silent', 'carol', async () => {
      await running
      await collected(storeOf('alice'))
    })
  })
})

const SILENT = { info() {}, warn() {}, error() {} }

/** A registry with a release, and all that runs by itself for one: a file that is watched and locked, and a guard. */
async function registryWith(store: Store): Promise<Registry> {
  const registry = await createRegistry({ store, logger: SILENT, guard: true })
  open.push(() => registry.close())
  await registry.change('test', (draft) => {
    draft.create('services', { name: 'orders', url: upstream.url })
    const config = { percentage: 0, upstream_host: '127.0.0.1', upstream_port: Number(new URL(upstream.url).port) }
    draft.create('plugins', { name: 'canary', config }, { kind: 'services', key: 'orders' })
  })
  return registry
}

test('health checks keep no store of the request that they began with', async () => {
  const registry = await registryWith(memoryStore())
  const health = { path: '/health', intervalMs: 5 }
  const { client, storeOf } = await gateway({ registry, service: 'orders', health, logger: SILENT })
  expect((await client.ask('/', 'alice')).status).toBe(200)
  await client.ask('/', 'bob')
  await upstream.asked('/health')
  await collected(storeOf('alice'))
  await upstream.asked('/health')
})

test.each(['memory', 'file'])('a registry in a %s store keeps no store of the request that made it', async (kind) => {
  const folder = mkdtempSync(join(tmpdir(), 'canary-contexts-'))
  open.push(() => rmSync(folder, { recursive: true }))
  const make = async () => {
    const store = { id: 'admin' }
    const place = () => (kind === 'memory' ? memoryStore() : fileStore(join(folder, 'canary.json'), { logger: SILENT }))
    await users.run(store, () => registryWith(place()))
    return new WeakRef(store)
  }
  await collected(await make())
})

test('a registry whose store fails keeps no store of the request that moved its release', async () => {
  const inner = memoryStore()
  let broken = false
  const tried = new EventEmitter()
  const store: Store = {
    load: () => inner.load(),
    watch: (from, listener) => inner.watch(from, listener),
    audit: (query) => inner.audit(query),
    shared: null,
    close: () => inner.close(),
    save: async (...change) => {
      tried.emit('save')
      if (broken) throw new Error('the disk is full')
      return inner.save(...change)
    },
  }
  const registry = await registryWith(store)
  broken = true
  const move = () => {
    const mover = { id: 'admin' }
    const [plugin] = registry.list('plugins')?.rows ?? []
    users.run(mover, () => registry.release(plugin?.entity.id ?? '')?.rollback('by hand'))
    return new WeakRef(mover)
  }
  const saved = once(tried, 'save')
  const mover = move()
  await saved
  await collected(mover)
  // It is still trying.
  await once(tried, 'save')
})

test('a guard looks by itself in nobody’s context', async () => {
  const seen: unknown[] = []
  const release = users.run({ id: 'alice' }, () =>
    createRelease({
      name: 'orders-v2',
      upstreams: { A: upstream.url, B: upstream.url },
      percentage: 10,
      guard: { tickMs: 50 },
      clock: () => {
        seen.push(users.getStore())
        return Date.now()
      },
    }),
  )
  open.push(() => release.close())
  seen.length = 0
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  expect(seen.filter((store) => store !== undefined)).toEqual([])
})
