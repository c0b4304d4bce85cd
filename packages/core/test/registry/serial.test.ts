import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { CanaryError } from '@canary-release/core'
import {
  type Draft,
  type Registry,
  type Row,
  type Store,
  ViolationError,
  createRegistry,
  memoryStore,
} from '@canary-release/core/registry'
import { SILENT, T0, changed, clockAt } from './harness.js'

// Several registries change one store and hear of each other late. Whatever they do must come to what one registry makes
// of the same changes one after another: in the order in which the store took them.

const uuid = (kind: number, number: number) => `0000000${kind}-0000-4000-8000-00000000000${number}`
const few = fc.integer({ min: 0, max: 2 })
const kinds = { services: 1, routes: 2, consumers: 3, plugins: 4, keyauth_credentials: 5, acls: 6, apis: 7 } as const
type Kind = keyof typeof kinds
const idOf = (kind: Kind, number: number) => uuid(kinds[kind], number)
const refTo = (kind: Kind, number: number) => ({ id: idOf(kind, number) })

type Work = (draft: Draft) => unknown
interface Change {
  readonly what: string
  readonly work: Work
}

const changeOf = (weight: number, what: string, make: (a: number, b: number, c: number) => Work) => ({
  weight,
  arbitrary: fc
    .tuple(few, few, few)
    .map(([a, b, c]): Change => ({ what: `${what} ${a} ${b} ${c}`, work: make(a, b, c) })),
})

const canary = (scope: object, number: number, name: number) => ({
  id: idOf('plugins', number),
  name: 'canary',
  instance_name: `p${name}`,
  config: { upstream_host: 'v2', percentage: 10 },
  ...scope,
})

const CHANGES = [
  changeOf(
    4,
    'create service',
    (id, name) => (draft) => draft.create('services', { id: idOf('services', id), name: `s${name}`, url: 'http://a' }),
  ),
  changeOf(
    2,
    'name service',
    (id, name) => (draft) => draft.patch('services', idOf('services', id), { name: `s${name}` }),
  ),
  changeOf(
    2,
    'put service',
    (id, name, host) => (draft) =>
      draft.replace('services', `s${name}`, { id: idOf('services', id), url: `http://b${host}` }),
  ),
  changeOf(
    3,
    'move service',
    (id, host) => (draft) => draft.patch('services', idOf('services', id), { host: `h${host}` }),
  ),
  changeOf(3, 'remove service', (name) => (draft) => draft.remove('services', `s${name}`)),
  changeOf(
    4,
    'create route',
    (id, service, name) => (draft) =>
      draft.create('routes', {
        id: idOf('routes', id),
        name: `r${name}`,
        paths: ['/'],
        service: { name: `s${service}` },
      }),
  ),
  changeOf(
    2,
    'move route',
    (id, service) => (draft) => draft.patch('routes', idOf('routes', id), { service: refTo('services', service) }),
  ),
  changeOf(2, 'remove route', (id) => (draft) => draft.remove('routes', idOf('routes', id))),
  changeOf(
    3,
    'create consumer',
    (id, name) => (draft) =>
      draft.create('consumers', { id: idOf('consumers', id), username: `u${name}`, custom_id: `c${id}` }),
  ),
  changeOf(2, 'remove consumer', (name) => (draft) => draft.remove('consumers', `u${name}`)),
  changeOf(
    2,
    'create key',
    (id, consumer, key) => (draft) =>
    draft.create('keyauth_credentials', { id: idOf('keyauth_credentials', id), key: `k${key}`, consumer: refTo('consumers', consumer) }), // prettier-ignore
  ),
  changeOf(
    2,
    'create group',
    (id, consumer, group) => (draft) =>
      draft.create('acls', { id: idOf('acls', id), group: `g${group}`, consumer: refTo('consumers', consumer) }),
  ),
  changeOf(
    3,
    'put canary on service',
    (id, service, name) => (draft) =>
      draft.create('plugins', canary({ service: refTo('services', service) }, id, name)),
  ),
  changeOf(
    3,
    'put canary on route',
    (id, route, name) => (draft) => draft.create('plugins', canary({ route: refTo('routes', route) }, id, name)),
  ),
  changeOf(
    2,
    'put canary on consumer',
    (id, consumer, name) => (draft) =>
      draft.create('plugins', canary({ consumer: refTo('consumers', consumer) }, id, name)),
  ),
  changeOf(
    2,
    'move canary',
    (id, service) => (draft) =>
      draft.patch('plugins', idOf('plugins', id), { service: refTo('services', service), route: null }),
  ),
  changeOf(
    2,
    'change canary',
    (id, share) => (draft) => draft.patch('plugins', idOf('plugins', id), { config: { percentage: 20 + share } }),
  ),
  changeOf(2, 'roll back', (name, reason) => (draft) => draft.move(`p${name}`, 'rollback', `why ${reason}`)),
  changeOf(
    2,
    'restart',
    (id, share) => (draft) => draft.move(idOf('plugins', id), 'restart', null, { percentage: 30 + share }),
  ),
  changeOf(2, 'finalize', (name) => (draft) => draft.finalize(`p${name}`)),
  changeOf(2, 'two at once', (a, b) => (draft) => {
    draft.create('consumers', { id: idOf('consumers', a), username: `u${b}` })
    draft.patch('services', `s${a}`, { tags: [`t${b}`] })
  }),
  changeOf(2, 'sync', (service, name, host) => (draft) => {
    const id = idOf('services', service)
    const bodies = [
      { kind: 'services', body: { id, name: `s${name}`, url: `http://c${host}` } },
      { kind: 'routes', body: { id: idOf('routes', name), name: 'r0', paths: ['/'], service: { id } } },
      { kind: 'plugins', body: canary({ service: { id } }, service, name) },
    ] as const
    draft.sync({ bodies })
  }),
]

const aHistory = fc.array(
  fc.array(fc.record({ registry: few, change: fc.oneof(...CHANGES) }), { minLength: 1, maxLength: 4 }),
  { minLength: 4, maxLength: 14 },
)

/** A store whose watchers hear only when they are told to. */
function late(store: Store): { readonly store: Store; readonly hear: () => void } {
  const waiting: (() => void)[] = []
  return {
    store: {
      ...store,
      watch: (from, listener) => store.watch(from, (event) => void waiting.push(() => listener(event))),
      close: async () => undefined,
    },
    hear: () => waiting.splice(0).forEach((tell) => tell()),
  }
}

/** Rows as they may be compared: the names of runs are made anew each time. */
function comparable(rows: readonly Row[]) {
  const named = rows.map(({ kind, entity, revision, release }) => {
    const isBegun = release?.run !== undefined
    return [
      `${kind}/${entity.id}`,
      { entity, revision, release: release === null ? null : { ...release, run: isBegun } },
    ] as const
  })
  return new Map(named.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

async function tried(registry: Registry, by: string, work: Work): Promise<void> {
  try {
    await registry.change(by, work)
  } catch (error) {
    const isRefused =
      error instanceof ViolationError || (error instanceof CanaryError && error.code === 'ERR_CANARY_STATE')
    if (!isRefused) throw error
  }
}

it(
  'makes of changes of several registries what one makes of them one after another',
  { timeout: 120_000 },
  async () => {
    let saves = 0
    let conflicts = 0
    const clock = clockAt(T0)
    await fc.assert(
      fc.asyncProperty(aHistory, async (history) => {
        const inner = memoryStore()
        const counting: Store = {
          ...inner,
          async save(...change) {
            const result = await inner.save(...change)
            saves += 1
            if (result.kind === 'conflict') conflicts += 1
            return result
          },
        }
        const links = [late(counting), late(counting), late(counting)]
        const options = { clock, logger: SILENT, random: () => 0, changeTimeoutMs: 20_000 }
        const registries = await Promise.all(links.map(({ store }) => createRegistry({ ...options, store })))
        const changes = new Map<string, Change>()
        for (const [round, batch] of history.entries()) {
          const running = batch.map(({ registry: at, change }, index) => {
            const by = `${round}.${index}`
            changes.set(by, change)
            return tried(registries[at] ?? expect.fail(), by, change.work)
          })
          // oxlint-disable-next-line no-await-in-loop -- one batch after another
          await Promise.all(running)
          if (round % 3 === 2) links[round % 2]?.hear()
        }
        const stored = await inner.load()
        const order = (await inner.audit({ limit: 1000 })).toReversed().map(({ by }) => by)
        const serial = await createRegistry({ ...options, store: memoryStore() })
        for (const by of order) {
          const { work, what } = changes.get(by) ?? expect.fail()
          const { version } = serial
          // oxlint-disable-next-line no-await-in-loop -- one after another
          await serial.change(by, work).catch((error: unknown) => expect.fail(`${what}: ${String(error)}`))
          expect(serial.version, what).toBe(version + 1)
        }
        const expected = comparable(serial.snapshot().rows)
        expect(comparable(stored?.rows ?? [])).toEqual(expected)
        for (const { hear } of links) hear()
        await Promise.all(registries.map((registry) => changed(registry, serial.version)))
        for (const registry of registries) expect(comparable(registry.snapshot().rows)).toEqual(expected)
        await Promise.all([...registries, serial].map((registry) => registry.close()))
      }),
      { seed: 23, numRuns: 150 },
    )
    // Otherwise nobody was ever in another's way, or everybody always, and this test showed nothing.
    expect(conflicts).toBeGreaterThan(saves / 20)
    expect(conflicts).toBeLessThan(saves / 2)
  },
)
