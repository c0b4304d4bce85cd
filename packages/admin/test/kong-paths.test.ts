import { describe, expect, test } from 'vitest'
import { CanaryError } from '@canary-release/core'
import { type Store, createRegistry, memoryStore } from '@canary-release/core/registry'
import { z } from 'zod'
import { listOf, openAdmin, recordOf } from './client.js'

async function withOrders() {
  const admin = await openAdmin()
  const { call } = admin
  await call('POST', '/services', { json: { name: 'orders', host: 'orders-v1' } })
  await call('POST', '/services/orders/routes', { json: { name: 'all', paths: ['/'] } })
  await call('POST', '/consumers', { json: { username: 'alice' } })
  const json = {
    name: 'canary',
    instance_name: 'v2',
    route: { name: 'all' },
    config: { percentage: 1, upstream_port: 1 },
  }
  await call('POST', '/consumers/alice/plugins', { json })
  return admin
}

describe('what a record belongs to', () => {
  test('is read, changed and replaced under it', async () => {
    await using admin = await withOrders()
    const { call } = admin
    const service = await call('GET', '/services/orders')
    expect(await call('GET', '/routes/all/service')).toMatchObject({ status: 200, body: service.body ?? {} })
    expect((await call('GET', '/routes/all/service')).headers.etag).toBe(service.headers.etag)
    expect(await call('GET', '/plugins/v2/route')).toMatchObject({ body: { name: 'all' } })
    expect(await call('GET', '/plugins/v2/consumer')).toMatchObject({ body: { username: 'alice' } })
    for (const path of ['/plugins/v2/service', '/plugins/v2/api', '/routes/none/service', '/plugins/none/route']) {
      expect([path, await call('GET', path)]).toMatchObject([path, { status: 404 }])
    }
    expect(await call('PATCH', '/routes/all/service', { form: ['port=81'] })).toMatchObject({
      status: 200,
      body: { name: 'orders', port: 81 },
    })
    const stale = { 'if-match': service.headers.etag ?? '' }
    const put = { json: { name: 'orders', host: 'orders-v9' } }
    expect(await call('PUT', '/routes/all/service', { ...put, headers: stale })).toMatchObject({ status: 412 })
    expect(await call('PUT', '/routes/all/service', put)).toMatchObject({
      status: 200,
      body: { host: 'orders-v9', port: 80 },
    })
  })

  test('of a key or a group is its consumer', async () => {
    await using admin = await withOrders()
    const { call } = admin
    const key = recordOf(await call('POST', '/consumers/alice/key-auth', { json: { key: 'secret-1' } }))
    const group = recordOf(await call('POST', '/acls', { json: { group: 'vip', consumer: { username: 'alice' } } }))
    for (const path of [
      `/key-auths/${key.id}/consumer`,
      '/key-auths/secret-1/consumer',
      `/acls/${group.id}/consumer`,
    ]) {
      expect([path, await call('GET', path)]).toMatchObject([path, { body: { username: 'alice' } }])
    }
    const keys = await call('GET', '/key-auths?size=1000')
    expect(listOf(keys).data).toMatchObject([{ id: key.id }])
    expect(JSON.stringify(keys.body)).not.toContain('secret-1')
    expect(listOf(await call('GET', '/acls?group=vip')).data).toMatchObject([{ id: group.id }])
    await admin.request.delete(`/acls/${group.id}`).expect(204)
    expect(listOf(await call('GET', '/consumers/alice/acls')).data).toEqual([])
  })
})

describe('keys', () => {
  test('are shown in lists and records where the options say so, and in no log', async () => {
    await using admin = await openAdmin({ showKeys: true })
    const { call } = admin
    await call('POST', '/consumers', { json: { username: 'alice' } })
    const { id } = recordOf(await call('POST', '/consumers/alice/key-auth', { json: { key: 'secret-1' } }))
    expect(listOf(await call('GET', '/consumers/alice/key-auth')).data).toMatchObject([{ key: 'secret-1' }])
    expect(listOf(await call('GET', '/key-auths')).data).toMatchObject([{ key: 'secret-1' }])
    expect((await call('GET', `/key-auths/${id}`)).body).toMatchObject({ key: 'secret-1' })
    expect((await call('PATCH', `/key-auths/${id}`, { json: { ttl: 60 } })).body).toMatchObject({ key: 'secret-1' })
    expect(JSON.stringify([(await call('GET', '/audit')).body, admin.logged])).not.toContain('secret-1')
  })

  test('need an option that is true or false', async () => {
    const message = 'admin: showKeys must be true or false'
    // @ts-expect-error: no text
    await expect(openAdmin({ showKeys: 'yes' })).rejects.toMatchObject({ code: 'ERR_CANARY_OPTION', message })
  })
})

describe('what Kong answers about itself', () => {
  test('is answered: enabled plugins, and how the process is', async () => {
    await using admin = await withOrders()
    expect((await admin.call('GET', '/plugins/enabled')).body).toEqual({ enabled_plugins: ['canary'] })
    const status = z.object({ server: z.object({ total_requests: z.number() }) })
    const first = await admin.call('GET', '/status')
    expect(first).toMatchObject({ status: 200, body: { database: { reachable: true } } })
    const second = status.parse((await admin.call('GET', '/status')).body)
    expect(second.server.total_requests).toBe(status.parse(first.body).server.total_requests + 1)
    expect(await admin.call('GET', '/')).toMatchObject({
      body: { version: '3.9.0', canary_release: { version: expect.any(String) } },
    })
  })

  test('says that the store cannot be reached, until it can', async () => {
    const store = memoryStore()
    let broken = false
    const away = new CanaryError('ERR_CANARY_STORE', 'the disk is full', { outcome: 'not-written' })
    const save: typeof store.save = (...change) => (broken ? Promise.reject(away) : store.save(...change))
    await using admin = await openAdmin({ store: { ...store, save } })
    const reachable = async () =>
      z.object({ database: z.object({ reachable: z.boolean() }) }).parse((await admin.call('GET', '/status')).body)
        .database.reachable
    broken = true
    expect(await admin.call('POST', '/services', { json: { host: 'h' } })).toMatchObject({ status: 503 })
    expect(await reachable()).toBe(false)
    broken = false
    expect(await admin.call('POST', '/services', { json: { host: 'h' } })).toMatchObject({ status: 201 })
    expect(await reachable()).toBe(true)
  })

  test('says where it stands where the store was emptied, and takes what is stored once a person accepts it', async () => {
    const [first, emptied] = [memoryStore(), memoryStore()]
    let store = first
    let tell: Parameters<Store['watch']>[1] = () => undefined
    const swapped: Store = {
      ...first,
      load: () => store.load(),
      save: (...change) => store.save(...change),
      watch(from, listener) {
        tell = listener
        return store.watch(from, listener)
      },
    }
    await using admin = await openAdmin({ store: swapped })
    const { call } = admin
    await call('POST', '/services', { json: { name: 'orders', host: 'h' } })
    const known = admin.registry.storeStatus.position
    const fresh = await createRegistry({ store: emptied, logger: { info() {}, warn() {}, error() {} } })
    await fresh.change('new', (draft) => draft.create('services', { name: 'new', url: 'http://new' }))
    const stored = fresh.storeStatus.position
    store = emptied
    tell({ kind: 'rewound', known, stored })
    await expect.poll(() => admin.registry.storeStatus.rewound).not.toBeNull()
    expect((await call('GET', '/status')).body).toMatchObject({
      store: { connected: true, stale: false, rewound: { known, stored }, position: known },
    })
    expect(await call('POST', '/services', { json: { host: 'h' } })).toMatchObject({ status: 503 })
    expect(await call('GET', '/services/orders')).toMatchObject({ status: 200 })
    expect(await call('POST', '/store/accept', { json: { ...stored, more: 1 } })).toMatchObject({ status: 400 })
    expect(await call('POST', '/store/accept', { json: known })).toMatchObject({ status: 409 })
    expect(await call('GET', '/services/orders')).toMatchObject({ status: 200 })
    expect(await call('POST', '/store/accept', { json: stored })).toMatchObject({ status: 200, body: stored })
    expect(await call('GET', '/services/orders')).toMatchObject({ status: 404 })
    expect(await call('GET', '/services/new')).toMatchObject({ status: 200 })
    expect((await call('GET', '/status')).body).toMatchObject({ store: { rewound: null, position: stored } })
  })

  test('shows the audit trail in pages, of one plugin or by one person', async () => {
    await using admin = await withOrders()
    const { call } = admin
    for (const name of ['a', 'b', 'c', 'd']) await call('POST', '/consumers', { json: { username: name } })
    const page = z.object({ data: z.array(z.object({ version: z.number() })), next: z.string().nullable() })
    const versions: number[] = []
    for (let path: string | null = '/audit?size=2'; path !== null;) {
      const { data, next }: z.output<typeof page> = page.parse((await call('GET', path)).body)
      versions.push(...data.map(({ version }) => version))
      path = next
    }
    expect(versions).toEqual(Array.from({ length: admin.registry.version }, (_, i) => admin.registry.version - i))
    expect((await call('GET', '/audit?by=nobody')).body).toEqual({ data: [], next: null })
    expect(await call('GET', '/audit?before=x')).toMatchObject({ status: 400 })
  })

  test('holds nothing of what is nothing here, for consumers either', async () => {
    await using admin = await withOrders()
    for (const name of ['jwt', 'basic-auth', 'oauth2', 'hmac-auth', 'mtls-auth']) {
      const { status, body } = await admin.call('GET', `/consumers/alice/${name}?size=10`)
      expect([name, status, body]).toEqual([name, 200, { data: [], next: null }])
      await admin.request.get(`/consumers/nobody/${name}`).expect(404)
      await admin.request.post(`/consumers/alice/${name}`).expect(405)
    }
    expect(await admin.call('GET', '/upstreams?size=0')).toMatchObject({ status: 400, body: { code: 10 } })
  })
})

const field = z.record(z.string(), z.looseObject({ type: z.string() }))
const kongSchema = z.looseObject({ fields: z.array(field) })

const fieldsOf = (body: unknown) => new Map(kongSchema.parse(body).fields.flatMap((each) => Object.entries(each)))

describe("schemas in Kong's form", () => {
  test('say types, defaults, references and what is required', async () => {
    await using admin = await openAdmin()
    const plugin = fieldsOf((await admin.call('GET', '/schemas/plugins/canary')).body)
    expect(plugin.get('name')).toEqual({ type: 'string', eq: 'canary', required: true })
    expect(plugin.get('service')).toEqual({ type: 'foreign', reference: 'services' })
    expect(plugin.get('enabled')).toEqual({ type: 'boolean', default: true, required: true })
    expect(plugin.get('protocols')).toMatchObject({
      type: 'array',
      elements: { type: 'string', one_of: expect.any(Array) },
    })
    const config = fieldsOf(plugin.get('config'))
    expect(config.get('percentage')).toEqual({ type: 'number', between: [0, 100] })
    expect(config.get('steps')).toMatchObject({ type: 'integer', default: 1000 })
    expect(config.get('hash')).toMatchObject({
      type: 'string',
      default: 'consumer',
      one_of: expect.arrayContaining(['ip']),
    })
    expect(config.get('groups')).toEqual({ type: 'array', elements: { type: 'string' } })
    const older = fieldsOf((await admin.call('GET', '/plugins/schema/canary')).body)
    expect([...older]).toEqual([...config])
    const service = fieldsOf((await admin.call('GET', '/schemas/services')).body)
    expect(service.get('host')).toEqual({ type: 'string', required: true })
    expect(service.get('port')).toMatchObject({ type: 'integer', between: [1, 65_535] })
    const route = fieldsOf((await admin.call('GET', '/schemas/routes')).body)
    expect(route.get('headers')).toEqual({
      type: 'map',
      keys: { type: 'string' },
      values: { type: 'array', elements: { type: 'string' } },
    })
    for (const path of ['/schemas/upstreams', '/schemas/plugins/key-auth', '/plugins/schema/key-auth']) {
      expect(await admin.call('GET', path)).toMatchObject({ status: 404 })
    }
  })

  test('are what a body is held against, without a look at other records', async () => {
    await using admin = await openAdmin()
    const valid = { status: 200, body: { message: 'schema validation successful' } }
    const service = { id: '11111111-1111-4111-8111-111111111111' }
    const canary = { name: 'canary', service, config: { percentage: 5, upstream_host: 'v2' } }
    expect(await admin.call('POST', '/schemas/plugins/validate', { json: canary })).toMatchObject(valid)
    expect(
      await admin.call('POST', '/schemas/plugins/validate', { json: { ...canary, service: { name: 'x' } } }),
    ).toMatchObject(valid)
    expect(await admin.call('POST', '/schemas/services/validate', { form: ['host=h'] })).toMatchObject(valid)
    for (const [kind, json, message] of [
      [
        'plugins',
        { ...canary, config: { percentage: 101, upstream_host: 'v2' } },
        /config\.percentage: value should be between/,
      ],
      ['plugins', { ...canary, config: { percentage: 0.0001, upstream_host: 'v2' } }, /config\.percentage: /],
      ['plugins', { name: 'key-auth' }, /plugin 'key-auth' not enabled/],
      ['services', {}, /host: required field missing/],
      ['acls', { group: 'a' }, /consumer: required field missing/],
    ] as const) {
      const answer = await admin.call('POST', `/schemas/${kind}/validate`, { json })
      expect(answer).toMatchObject({ status: 400, body: { code: 2, message: expect.stringMatching(message) } })
    }
    expect(await admin.call('POST', '/schemas/upstreams/validate', { json: {} })).toMatchObject({ status: 404 })
    expect(admin.registry.version).toBe(0)
  })
})

describe('legacy apis', () => {
  test('are created and replaced by PUT without a name in the path', async () => {
    await using admin = await openAdmin()
    const json = { name: 'orders', upstream_url: 'http://orders:80', uris: '/orders,/o' }
    const made = await admin.call('PUT', '/apis/', { json })
    expect(made).toMatchObject({ status: 201, body: { name: 'orders', uris: ['/orders', '/o'] } })
    const { id } = recordOf(made)
    const again = await admin.call('PUT', '/apis/', { json: { ...json, upstream_url: 'http://new:80' } })
    expect(again).toMatchObject({ status: 200, body: { id, upstream_url: 'http://new:80' } })
    const renamed = await admin.call('PUT', '/apis', { form: [`id=${id}`, 'name=carts', 'upstream_url=http://new:80'] })
    expect(renamed).toMatchObject({ status: 200, body: { id, name: 'carts', uris: null } })
    expect(listOf(await admin.call('GET', '/apis')).data).toHaveLength(1)
    const headers = { 'if-none-match': '*' }
    expect(await admin.call('PUT', '/apis', { json: { ...json, name: 'carts' }, headers })).toMatchObject({
      status: 412,
    })
  })
})

describe("records of Kong's", () => {
  test('are taken with nulls of fields that are nothing here, and refused where those say something', async () => {
    await using admin = await openAdmin()
    const { call } = admin
    const nothing = { tls_verify: null, tls_verify_depth: null, client_certificate: null, ca_certificates: null }
    const service = { name: 'a', host: 'a', created_at: 1_600_000_000.5, ...nothing }
    expect(await call('PUT', '/services/a', { json: service })).toMatchObject({ status: 200 })
    const json = { name: 'canary', consumer_group: null, ordering: null, config: { upstream_port: 1 } }
    const { id } = recordOf(await call('POST', '/plugins', { json }))
    expect(await call('PATCH', `/plugins/${id}`, { json: { ordering: null } })).toMatchObject({ status: 200 })
    expect(await call('PATCH', '/services/a', { json: { tls_verify: false } })).toMatchObject({
      status: 400,
      body: { fields: { tls_verify: 'is not supported: only null is taken' } },
    })
    expect(await call('POST', '/plugins', { json: { ...json, consumer_group: { id } } })).toMatchObject({
      status: 400,
      body: { fields: { consumer_group: 'unknown field' } },
    })
  })
})
