import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Registry, ViolationError, exportDeclarative, parseDeclarative } from '@canary-release/core/registry'
import { aRegistry, fill } from './bodies.js'
import { testRegistry } from './harness.js'

const FILE = `
_format_version: "3.0"
services:
- name: orders
  url: http://orders:80
  routes:
  - name: orders-route
    paths: [/orders]
  plugins:
  - name: canary
    config: { start: null, duration: 3600, upstream_host: orders-v2 }
consumers:
- username: alice
  keyauth_credentials:
  - key: s3cret
  acls:
  - group: staff
`
const NOTHING = { created: [], updated: [], deleted: [] }

const exported = (registry: Registry): unknown => JSON.parse(exportDeclarative(registry, { format: 'json' }))

async function sync(registry: Registry, text: string) {
  return registry.sync(await parseDeclarative(text), 'ada')
}

describe('sync', () => {
  it('creates, updates and deletes until the records are those of the file, and reports it', async () => {
    await using registry = await testRegistry()
    const first = await sync(registry, FILE)
    expect(first).toMatchObject({ updated: [], deleted: [], unchanged: 0 })
    expect(first.created.map(({ kind, name }) => [kind, name])).toEqual([
      ['services', 'orders'],
      ['routes', 'orders-route'],
      ['consumers', 'alice'],
      ['keyauth_credentials', null],
      ['acls', 'staff'],
      ['plugins', null],
    ])
    const changed = FILE.replace('orders:80', 'orders:8080')
      .replace('duration: 3600', 'duration: 7200')
      .replace(/  acls:\n.*\n/, '')
    const second = await sync(registry, changed)
    expect(second).toMatchObject({
      created: [],
      updated: [
        { kind: 'services', name: 'orders', fields: ['port'] },
        { kind: 'plugins', fields: ['config.duration'] },
      ],
      deleted: [{ kind: 'acls', name: 'staff' }],
      unchanged: 3,
    })
    expect(registry.get('services', 'orders')?.entity.port).toBe(8080)
    expect(registry.version).toBe(2)
    expect((await registry.audit({ limit: 1 }))[0]).toMatchObject({
      by: 'ada',
      what: 'sync: 0 created, 2 updated, 1 deleted',
    })
  })

  it('changes nothing the second time, not even the version', async () => {
    await using registry = await testRegistry()
    await sync(registry, FILE)
    const before = registry.snapshot()
    expect(await sync(registry, FILE)).toEqual({ ...NOTHING, unchanged: 6 })
    expect(registry.snapshot()).toEqual(before)
  })

  it('finds records without ids by name, scope and key, and keeps their ids and ramps', async () => {
    await using registry = await testRegistry()
    const ids = await registry.change('ada', (draft) => {
      const service = { service: { name: 'orders' } }
      return [
        draft.create('services', { name: 'orders', url: 'http://orders:80' }),
        draft.create('routes', { name: 'orders-route', paths: ['/orders'], ...service }),
        draft.create('consumers', { username: 'alice' }),
        draft.create('plugins', { name: 'canary', ...service, config: { duration: 3600, upstream_host: 'orders-v2' } }),
        draft.create('keyauth_credentials', { key: 's3cret', consumer: { username: 'alice' } }),
        draft.create('acls', { group: 'staff', consumer: { username: 'alice' } }),
      ].map(({ entity }) => entity.id)
    })
    const plugin = ids[3] ?? ''
    registry.clock.seconds += 1800
    const share = registry.release(plugin)?.status().bucketsOnB
    expect(await sync(registry, FILE)).toEqual({ ...NOTHING, unchanged: 6 })
    expect(
      registry
        .snapshot()
        .rows.map(({ entity }) => entity.id)
        .toSorted(),
    ).toEqual(ids.toSorted())
    expect(registry.release(plugin)?.status().bucketsOnB).toBe(share)
    expect(share).toBe(500)
  })

  it('swaps names, and moves a plugin to another service that takes the place of the first', async () => {
    await using registry = await testRegistry()
    const [a, b, plugin] = [1, 2, 3].map((n) => `00000000-0000-4000-8000-00000000000${n}`)
    const file = (first: string | undefined, second: string | undefined) => `
_format_version: "3.0"
services:
- { id: ${first}, name: a, url: "http://a" }
- { id: ${second}, name: b, url: "http://b" }
plugins:
- { id: ${plugin}, name: canary, service: a, config: { percentage: 10, upstream_host: a2 } }
`
    await sync(registry, file(a, b))
    const report = await sync(registry, file(b, a))
    expect(report.updated.map(({ id, fields }) => [id, fields])).toEqual([
      [b, ['name', 'host']],
      [a, ['name', 'host']],
      [plugin, ['service']],
    ])
    expect(registry.get('services', 'a')?.entity.id).toBe(b)
    expect(registry.get('plugins', plugin ?? '')?.entity.service).toEqual({ id: b })
  })

  it('keeps a release rolled back, unless the file names another B', async () => {
    await using registry = await testRegistry()
    await sync(registry, FILE)
    const [row] = registry.list('plugins')?.rows ?? []
    const id = row?.entity.id ?? ''
    await registry.move(id, 'rollback', 'too many errors', 'guard')
    await sync(registry, FILE.replace('duration: 3600', 'duration: 7200'))
    expect(registry.release(id)?.status().state).toBe('rolled-back')
    await sync(registry, FILE.replace('orders-v2', 'orders-v3'))
    expect(registry.release(id)?.status().state).toBe('running')
  })

  it('changes nothing if a record does not fit', async () => {
    await using registry = await testRegistry()
    await sync(registry, FILE)
    const before = registry.snapshot()
    const wrong = {
      bodies: [{ kind: 'routes', body: { name: 'r', paths: ['/'], service: { name: 'gone' } } }],
    } as const
    expect(() => registry.diff(wrong)).toThrow(ViolationError)
    await expect(registry.sync(wrong, 'ada')).rejects.toBeInstanceOf(ViolationError)
    expect(registry.snapshot()).toEqual(before)
  })

  it('leads from any records to any others, as diff foretells', async () => {
    await fc.assert(
      fc.asyncProperty(aRegistry, aRegistry, async (some, others) => {
        await using registry = await testRegistry()
        await using wanted = await testRegistry()
        await registry.change('test', (draft) => fill(draft, some))
        await wanted.change('test', (draft) => fill(draft, others))
        const file = await parseDeclarative(exportDeclarative(wanted))
        const foretold = registry.diff(file)
        expect(await registry.sync(file, 'ada')).toEqual(foretold)
        expect(exported(registry)).toEqual(exported(wanted))
        const { created, updated, deleted } = registry.diff(file)
        expect({ created, updated, deleted }).toEqual(NOTHING)
      }),
      { seed: 83, numRuns: 60 },
    )
  })

  it('changes nothing if a file says what is there by names, without ids', async () => {
    const names = { service: { name: 'orders' }, consumer: { username: 'alice' }, api: { name: 'old' } }
    const withoutIds = (text: string) =>
      text.replace(
        /"(service|consumer|api)": \{\s*"id": "[^"]*"\s*\}|"id": "[^"]*",/g,
        (_, field?: keyof typeof names) => (field === undefined ? '' : `"${field}": ${JSON.stringify(names[field])}`),
      )
    await fc.assert(
      fc.asyncProperty(aRegistry, async (records) => {
        await using registry = await testRegistry()
        await registry.change('test', (draft) => fill(draft, records))
        const before = registry.snapshot()
        const file = await parseDeclarative(withoutIds(exportDeclarative(registry, { format: 'json' })))
        await registry.sync(file, 'ada')
        expect(registry.snapshot()).toEqual(before)
      }),
      { seed: 89, numRuns: 40 },
    )
  })
})
