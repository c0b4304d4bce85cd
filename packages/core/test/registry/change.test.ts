import { describe, expect, it } from 'vitest'
import { CanaryError } from '@canary-release/core'
import { type Store, ViolationError, memoryStore } from '@canary-release/core/registry'
import { AWAY, CANARY, SILENT, T0, addOrders, testRegistry, violationOf } from './harness.js'

const UUID = /^[0-9a-f-]{36}$/

describe('a change of the registry', () => {
  it('creates a canary with every field of its config', async () => {
    await using registry = await testRegistry()
    const service = await addOrders(registry)
    const { entity, revision, release } = await registry.change('ops', (draft) =>
      draft.create('plugins', { name: 'canary', config: { upstream_uri: '/v2' } }, { kind: 'services', key: 'orders' }),
    )
    expect(entity).toEqual({
      id: expect.stringMatching(UUID),
      name: 'canary',
      instance_name: null,
      created_at: T0,
      updated_at: T0,
      service: { id: service.entity.id },
      route: null,
      consumer: null,
      api: null,
      tags: null,
      enabled: true,
      protocols: ['grpc', 'grpcs', 'http', 'https'],
      config: {
        start: T0,
        duration: 3600,
        percentage: null,
        steps: 1000,
        upstream_host: null,
        upstream_port: null,
        upstream_uri: '/v2',
        hash: 'consumer',
        hash_header: null,
        groups: null,
        upstream_fallback: false,
        canary_by_header_name: null,
      },
    })
    expect(revision).toBe(2)
    expect(release?.state).toBe('running')
  })

  it.each([
    ['NUL', 'a\u0000b'],
    ['a line break', 'a\nb'],
    ['DEL', 'a\u007fb'],
    ['a control character of C1', 'a\u0085b'],
    ['a right-to-left override', 'a\u202eb'],
    ['an isolate', 'a\u2066b'],
    ['an Arabic letter mark', 'a\u061cb'],
    ['a line separator', 'a\u2028b'],
  ])('refuses %s in any name', async (_, name) => {
    await using registry = await testRegistry()
    await addOrders(registry)
    await registry.change('ops', (draft) => draft.create('consumers', { username: 'alice' }))
    for (const [kind, body] of [
      ['services', { name, host: 'h' }],
      ['routes', { name }],
      ['consumers', { username: name }],
      ['consumers', { custom_id: name }],
      ['apis', { name, upstream_url: 'http://h' }],
      ['plugins', { ...CANARY, instance_name: name }],
      ['plugins', { ...CANARY, config: { ...CANARY.config, groups: [name] } }],
      ['acls', { group: name, consumer: { username: 'alice' } }],
      ['services', { host: 'h', tags: [name] }],
    ] as const) {
      const violation = await violationOf(registry.change('ops', (draft) => draft.create(kind, body)))
      expect(violation.message, kind).toMatch(/must hold no control characters/)
    }
    const { entity } = await registry.change('ops', (draft) =>
      draft.create('services', { name: 'caf\u00e9 \ud83d\ude00', host: 'h' }),
    )
    expect(entity.name).toBe('caf\u00e9 \ud83d\ude00')
  })

  it('refuses dates in place of epoch seconds, those that do not exist above all', async () => {
    await using registry = await testRegistry()
    for (const start of ['2026-02-31', '2026-02-28', '1800000000']) {
      const body = { name: 'canary', config: { upstream_host: 'v2', start } }
      const violation = await violationOf(registry.change('ops', (draft) => draft.create('plugins', body)))
      expect(violation.fields).toEqual({ config: { start: 'expected a number' } })
    }
  })

  it('reads old names: service_id, whitelist, blacklist, url', async () => {
    await using registry = await testRegistry()
    const service = await registry.change('ops', (draft) =>
      draft.create('services', { name: 's', url: 'https://a.example/base' }),
    )
    expect(service.entity).toMatchObject({ protocol: 'https', host: 'a.example', port: 443, path: '/base' })
    const old = {
      name: 'canary',
      service_id: service.entity.id,
      config: { upstream_port: 81, hash: 'whitelist', groups: ['g'] },
    }
    const { entity } = await registry.change('ops', (draft) => draft.create('plugins', old))
    expect(entity.service).toEqual({ id: service.entity.id })
    expect(entity.config.hash).toBe('allow')
    const denied = { config: { hash: 'blacklist' } }
    const patched = await registry.change('ops', (draft) => draft.patch('plugins', entity.id, denied))
    expect(patched?.entity.config).toMatchObject({ hash: 'deny', groups: ['g'], upstream_port: 81 })
  })

  it('fixes an omitted start once, and lets percentage win over it', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    const { entity } = await registry.change('ops', (draft) => draft.create('plugins', CANARY))
    expect(entity.config).toMatchObject({ percentage: 10, start: null })
    registry.clock.seconds += 100
    const timed = await registry.change('ops', (draft) =>
      draft.patch('plugins', entity.id, { config: { percentage: null } }),
    )
    expect(timed?.entity.config).toMatchObject({ percentage: null, start: T0 + 100 })
    registry.clock.seconds += 100
    const longer = await registry.change('ops', (draft) =>
      draft.patch('plugins', entity.id, { config: { duration: 60 } }),
    )
    expect(longer?.entity.config).toMatchObject({ duration: 60, start: T0 + 100 })
    const both = { ...CANARY, config: { ...CANARY.config, start: T0, duration: 5 } }
    const replaced = await registry.change('ops', (draft) => draft.replace('plugins', entity.id, both))
    expect(registry.release(replaced.entity.id)?.status()).toMatchObject({ percentage: 10, start: null })
  })

  it('refuses what the release itself would refuse, as a schema violation', async () => {
    await using registry = await testRegistry()
    const add = (config: object) =>
      violationOf(registry.change('ops', (draft) => draft.create('plugins', { name: 'canary', config })))
    const few = await add({ upstream_host: 'x', percentage: 0.01 })
    expect(few).toMatchObject({ code: 2, fields: { config: { percentage: expect.stringContaining('steps 10000') } } })
    expect(await add({ upstream_host: 'a b' })).toMatchObject({
      code: 2,
      fields: { config: { upstream_host: expect.any(String) } },
    })
    expect(await add({ upstream_port: 0 })).toMatchObject({
      code: 2,
      fields: { config: { upstream_port: expect.any(String) } },
    })
    expect(await add({ upstream_uri: '/a?b' })).toMatchObject({
      code: 2,
      fields: { config: { upstream_uri: expect.any(String) } },
    })
    expect(await add({ upstream_uri: '/a', start: 1e12 })).toMatchObject({
      code: 2,
      fields: { config: { start: expect.any(String) } },
    })
    expect(registry.version).toBe(0)
  })

  it('words violations as Kong does, several sorted by name', async () => {
    await using registry = await testRegistry()
    const add = (body: object) => violationOf(registry.change('ops', (draft) => draft.create('plugins', body)))
    expect(await add({ name: 'canary', config: { percentage: 120, upstream_host: 'x' } })).toEqual({
      code: 2,
      name: 'schema violation',
      message: 'schema violation (config.percentage: value should be between 0 and 100)',
      fields: { config: { percentage: 'value should be between 0 and 100' } },
    })
    const none =
      "at least one of these fields must be non-empty: 'config.upstream_uri', 'config.upstream_host', 'config.upstream_port'"
    expect(await add({ name: 'canary' })).toMatchObject({
      message: `schema violation (${none})`,
      fields: { '@entity': [none] },
    })
    expect(
      await add({ name: 'canary', consumer_group: { id: 'x' }, config: { upstream_host: 'x', steps: '3' } }),
    ).toMatchObject({
      message: '2 schema violations (config.steps: expected an integer; consumer_group: unknown field)',
    })
    expect(await add({ name: 'foo', config: { bar: 1 } })).toEqual({
      code: 2,
      name: 'schema violation',
      message: "schema violation (name: plugin 'foo' not enabled; add it to the 'plugins' configuration property)",
      fields: { name: "plugin 'foo' not enabled; add it to the 'plugins' configuration property" },
    })
    expect(await add({ name: 'canary', config: { upstream_host: 'x', hash: 'header' } })).toMatchObject({
      fields: { config: { hash_header: 'required field missing' } },
    })
    expect(await add({ name: 'canary', config: { upstream_host: 'x', hash: 'allow' } })).toMatchObject({
      fields: { config: { groups: 'required field missing' } },
    })
    const hostile = JSON.parse(
      '{"name":"canary","__proto__":{"polluted":1},"config":{"upstream_host":"x","constructor":1}}',
    )
    expect((await add(hostile)).message).toBe(
      '2 schema violations (__proto__: unknown field; config.constructor: unknown field)',
    )
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  })

  it('rejects with a CanaryError: 409 where another record has the value, else 400', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    const add = (port: number) =>
      registry.change('ops', (draft) => draft.create('services', { name: 'orders', host: 'h', port }))
    for (const [port, status] of [
      [80, 409],
      [65_536, 400],
    ] as const) {
      const error: unknown = await add(port).catch((reason: unknown) => reason)
      expect([error instanceof CanaryError, error instanceof ViolationError]).toEqual([true, true])
      expect(error).toMatchObject({ name: 'ViolationError', code: 'ERR_CANARY_VIOLATION', status, statusCode: status })
    }
  })

  it('refuses a second canary on a scope, a taken name and a reference to nothing', async () => {
    await using registry = await testRegistry()
    const { entity } = await addOrders(registry)
    const parent = { kind: 'services', key: 'orders' } as const
    const add = () => registry.change('ops', (draft) => draft.create('plugins', CANARY, parent))
    await add()
    expect(await violationOf(add())).toEqual({
      code: 5,
      name: 'unique constraint violation',
      message: `UNIQUE violation detected on '{consumer=null,name="canary",route=null,service={id="${entity.id}"}}'`,
      fields: { name: 'canary', service: { id: entity.id }, route: null, consumer: null },
    })
    expect(await violationOf(addOrders(registry))).toMatchObject({ code: 5, fields: { name: 'orders' } })
    const nowhere = { ...CANARY, service: { name: 'nowhere' } }
    expect(await violationOf(registry.change('ops', (draft) => draft.create('plugins', nowhere)))).toEqual({
      code: 4,
      name: 'foreign key violation',
      message: `the foreign key '{name="nowhere"}' does not reference an existing 'services' entity.`,
      fields: { service: { name: 'nowhere' } },
    })
    for (const [key, fields] of [
      ['gone', { service: { name: 'gone' } }],
      ['00000000-0000-0000-0000-000000000000', { service: { id: '00000000-0000-0000-0000-000000000000' } }],
      ['11111111-1111-4111-8111-111111111111', { service: { id: '11111111-1111-4111-8111-111111111111' } }],
    ] as const) {
      const below = registry.change('ops', (draft) => draft.create('plugins', CANARY, { kind: 'services', key }))
      expect(await violationOf(below)).toMatchObject({ code: 4, fields })
      const named = registry.change('ops', (draft) => draft.create('plugins', { ...CANARY, ...fields }))
      expect(await violationOf(named)).toMatchObject({ code: 4, fields })
    }
  })

  it('takes a reference by one name of the entity only', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    for (const service of [
      {},
      { name: 'orders', id: 'orders' },
      { name: 1 },
      { id: 'orders' },
      { username: 'orders' },
    ]) {
      const change = registry.change('ops', (draft) => draft.create('plugins', { ...CANARY, service }))
      expect(await violationOf(change)).toMatchObject({ code: 2, fields: { service: {} } })
    }
  })

  it('keeps a service that has routes, and takes plugins and credentials along', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    await registry.change('ops', (draft) => {
      draft.create('routes', { name: 'r' }, { kind: 'services', key: 'orders' })
      draft.create('plugins', CANARY, { kind: 'services', key: 'orders' })
      draft.create('consumers', { username: 'alice' })
      draft.create('keyauth_credentials', { key: 'k' }, { kind: 'consumers', key: 'alice' })
      draft.create('acls', { group: 'testers' }, { kind: 'consumers', key: 'alice' })
      draft.create('plugins', CANARY, { kind: 'consumers', key: 'alice' })
    })
    expect(await violationOf(registry.change('ops', (draft) => draft.remove('services', 'orders')))).toMatchObject({
      code: 4,
      message: "an existing 'routes' entity references this 'services' entity",
    })
    await registry.change('ops', (draft) => {
      draft.remove('routes', 'r')
      draft.remove('services', 'orders')
      draft.remove('consumers', 'alice')
    })
    expect(registry.snapshot().rows).toEqual([])
    expect(registry.findConsumer('k')).toBeNull()
  })

  it('keeps nothing of a change whose last part fails', async () => {
    await using registry = await testRegistry()
    const failing = registry.change('ops', (draft) => {
      draft.create('services', { name: 'a', url: 'http://a' })
      draft.create('services', { name: 'a', url: 'http://b' })
    })
    expect((await violationOf(failing)).code).toBe(5)
    expect(registry.get('services', 'a')).toBeNull()
    expect(registry.version).toBe(0)
  })

  it('changes nothing in memory where the store cannot be written', async () => {
    const working = memoryStore()
    let broken = false
    const store: Store = {
      ...working,
      save: (...change) => (broken ? Promise.reject(AWAY) : working.save(...change)),
    }
    await using registry = await testRegistry({ store })
    await addOrders(registry)
    broken = true
    const change = registry.change('ops', (draft) => draft.patch('services', 'orders', { url: 'http://other' }))
    await expect(change).rejects.toMatchObject({ code: 'ERR_CANARY_STORE', status: 503 })
    expect(registry.get('services', 'orders')?.entity.host).toBe('orders-v1')
    expect(registry.version).toBe(1)
    broken = false
    await registry.change('ops', (draft) => draft.patch('services', 'orders', { url: 'http://other' }))
    expect(registry.get('services', 'orders')?.entity.host).toBe('other')
  })

  it('gives up where others are always faster, with nothing changed', async () => {
    const store: Store = { ...memoryStore(), save: async () => ({ kind: 'conflict', missed: null }) }
    await using registry = await testRegistry({ store, changeTimeoutMs: 100 })
    await expect(addOrders(registry)).rejects.toMatchObject({
      code: 'ERR_CANARY_STORE',
      outcome: 'not-written',
      message: 'others changed the same all the time, for 0.1 s',
    })
    expect(registry.version).toBe(0)
  })

  it('refuses work that goes on after it returned', async () => {
    await using registry = await testRegistry()
    const change = registry.change('ops', async (draft) => draft.create('services', { name: 'a', url: 'http://a' }))
    await expect(change).rejects.toThrow('the work of a registry change must be done when it returns')
    expect(registry.version).toBe(0)
  })

  it('creates or replaces by id and by name', async () => {
    await using registry = await testRegistry()
    const id = '11111111-2222-3333-4444-555555555555'
    await registry.change('ops', (draft) => {
      draft.replace('services', id, { url: 'http://a' })
      draft.replace('services', 'named', { url: 'http://b', tags: ['x'] })
    })
    expect(registry.get('services', id)?.entity).toMatchObject({ id, name: null, host: 'a' })
    registry.clock.seconds += 5
    const again = await registry.change('ops', (draft) => draft.replace('services', 'named', { url: 'http://c' }))
    expect(again.entity).toMatchObject({ name: 'named', host: 'c', tags: null, created_at: T0, updated_at: T0 + 5 })
    const canary = await registry.change('ops', (draft) => draft.replace('plugins', 'my-canary', CANARY))
    expect(canary.entity.instance_name).toBe('my-canary')
    expect(registry.get('plugins', 'my-canary')?.entity.id).toBe(canary.entity.id)
  })

  it('patches only what belongs to the parent', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    await registry.change('ops', (draft) => draft.create('services', { name: 'other', url: 'http://o' }))
    const { entity } = await registry.change('ops', (draft) =>
      draft.create('plugins', CANARY, { kind: 'services', key: 'orders' }),
    )
    const patch = (key: string) =>
      registry.change('ops', (draft) =>
        draft.patch('plugins', entity.id, { enabled: false }, { kind: 'services', key }),
      )
    expect(await patch('other')).toBeNull()
    expect((await patch('orders'))?.entity.enabled).toBe(false)
  })

  it('pages through a list while it changes', async () => {
    await using registry = await testRegistry()
    await registry.change('ops', (draft) => {
      for (let i = 0; i < 25; i += 1) draft.create('consumers', { username: `c${i}` })
    })
    const first = registry.list('consumers', { size: 10 })
    const before = first?.rows.map(({ entity }) => entity.id) ?? []
    expect(before).toEqual([...before].sort())
    await registry.change('ops', (draft) => draft.remove('consumers', before[9] ?? ''))
    const second = registry.list('consumers', { size: 10, offset: first?.next })
    const third = registry.list('consumers', { size: 10, offset: second?.next })
    expect(third?.next).toBeNull()
    const seen = [first, second, third].flatMap((page) => page?.rows.map(({ entity }) => entity.id) ?? [])
    expect(new Set(seen).size).toBe(25)
    expect(() => registry.list('consumers', { size: 0 })).toThrow('size must be an integer between 1 and 1000')
    expect(() => registry.list('consumers', { offset: 'nonsense' })).toThrow('invalid offset')
    expect(registry.list('plugins', { of: { kind: 'services', key: 'none' } })).toBeNull()
  })

  it('keeps an audit trail without keys', async () => {
    await using registry = await testRegistry()
    await registry.change('alice', (draft) => draft.create('consumers', { username: 'bob' }))
    await registry.change('alice', (draft) =>
      draft.create('keyauth_credentials', { key: 'top-secret' }, { kind: 'consumers', key: 'bob' }),
    )
    const { entity } = await registry.change('alice', (draft) => draft.create('plugins', CANARY))
    await registry.move(entity.id, 'rollback', 'errors', 'carol')
    const [rollback, , key] = await registry.audit()
    expect(rollback).toMatchObject({
      at: T0,
      by: 'carol',
      version: 4,
      what: `rollback plugins ${entity.id}: errors`,
      more: 0,
    })
    expect(rollback?.changes[0]?.before).toMatchObject({ release: { state: 'running' } })
    expect(rollback?.changes[0]?.after).toMatchObject({
      release: { state: 'rolled-back', reason: 'errors', by: 'carol', at: T0 },
    })
    expect(key?.changes[0]).toMatchObject({ kind: 'keyauth_credentials', before: null })
    expect(JSON.stringify(await registry.audit())).not.toContain('top-secret')
    expect(await registry.audit({ limit: 1 })).toHaveLength(1)
  })

  it('says so where the same key is taken, without showing it', async () => {
    await using registry = await testRegistry()
    await registry.change('ops', (draft) => {
      draft.create('consumers', { username: 'a' })
      draft.create('keyauth_credentials', { key: 'top-secret' }, { kind: 'consumers', key: 'a' })
    })
    const again = registry.change('ops', (draft) =>
      draft.create('keyauth_credentials', { key: 'top-secret' }, { kind: 'consumers', key: 'a' }),
    )
    expect(JSON.stringify(await violationOf(again))).not.toContain('top-secret')
  })

  it('is refused after close', async () => {
    const registry = await testRegistry({ logger: SILENT })
    await registry.close()
    await expect(addOrders(registry)).rejects.toMatchObject({ code: 'ERR_CANARY_CLOSED' })
  })
})
