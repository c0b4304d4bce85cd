import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { listOf, openAdmin } from './client.js'

const command = z.custom<(...given: unknown[]) => Promise<unknown>>((value) => typeof value === 'function')
const devKongSchema = z.object({ addKongApi: command, checkStatus: command, dropApi: command, listApis: command })
const axiosSchema = z.object({ interceptors: z.object({ request: z.custom<Interceptors>() }) })

interface Interceptors {
  use(rewrite: (config: { url: string }) => object): number
  eject(id: number): void
}

/** dev-kong as it is published, sent to another port than the one that it has written in it. */
function openDevKong(url: string) {
  const load = createRequire(import.meta.url)
  const { request } = axiosSchema.parse({ ...createRequire(load.resolve('dev-kong'))('axios') }).interceptors
  const id = request.use((config) => Object.assign(config, { url: config.url.replace('http://localhost:8001', url) }))
  return { ...devKongSchema.parse(load('dev-kong')), [Symbol.dispose]: () => request.eject(id) }
}

describe("a client of Kong's Admin API that others wrote", () => {
  test('dev-kong applies its apis twice, and the second time nothing changes', async () => {
    await using admin = await openAdmin()
    using kong = openDevKong(admin.url)
    const silent = { silent: true, stripuri: true }
    // Hosts are one text there, and no list.
    const apply = async () => [
      await kong.addKongApi(
        'orders',
        'shop.example,www.shop.example',
        'http://orders-v1:3000/base',
        '/orders, /o',
        silent,
      ),
      await kong.addKongApi('carts', 'shop.example', 'http://carts:3000', '/carts', silent),
    ]
    const listed = () => kong.listApis(silent)
    expect(await apply()).toMatchObject([
      { name: 'orders', hosts: ['shop.example', 'www.shop.example'], uris: ['/orders', '/o'], strip_uri: true },
      { name: 'carts' },
    ])
    const before = await listed()
    const { version } = admin.registry
    expect(before).toHaveLength(2)
    expect(await apply()).toEqual([null, null])
    expect([await listed(), admin.registry.version]).toEqual([before, version])
    expect(await kong.checkStatus(silent)).toMatchObject({
      database: { reachable: true },
      server: { total_requests: expect.any(Number) },
    })
    expect(await kong.dropApi('carts', silent)).toBe(true)
    expect(await listed()).toHaveLength(1)
    expect(admin.logged).toEqual([])
  })
})

const IDS = {
  service: '11111111-1111-4111-8111-111111111111',
  route: '22222222-2222-4222-8222-222222222222',
  consumer: '33333333-3333-4333-8333-333333333333',
  key: '44444444-4444-4444-8444-444444444444',
  acl: '55555555-5555-4555-8555-555555555555',
  plugin: '66666666-6666-4666-8666-666666666666',
} as const
const tags = ['team-a']

/** What decK writes for a file with one of each: whole records, each under its id. */
const WRITES = [
  [
    `/services/${IDS.service}`,
    {
      id: IDS.service,
      name: 'orders',
      protocol: 'http',
      host: 'orders-v1',
      port: 3000,
      retries: 5,
      connect_timeout: 60_000,
      read_timeout: 60_000,
      write_timeout: 60_000,
      enabled: true,
      tags,
    },
  ],
  [`/consumers/${IDS.consumer}`, { id: IDS.consumer, username: 'alice', custom_id: 'c-1', tags }],
  [
    `/routes/${IDS.route}`,
    {
      id: IDS.route,
      name: 'orders-all',
      paths: ['/orders'],
      protocols: ['http', 'https'],
      https_redirect_status_code: 426,
      path_handling: 'v0',
      preserve_host: false,
      regex_priority: 0,
      request_buffering: true,
      response_buffering: true,
      strip_path: true,
      service: { id: IDS.service },
      tags,
    },
  ],
  [
    `/consumers/${IDS.consumer}/key-auth/${IDS.key}`,
    { id: IDS.key, key: 'alice-key', consumer: { id: IDS.consumer }, tags },
  ],
  [
    `/consumers/${IDS.consumer}/acls/${IDS.acl}`,
    { id: IDS.acl, group: 'testers', consumer: { id: IDS.consumer }, tags },
  ],
  [
    `/plugins/${IDS.plugin}`,
    {
      id: IDS.plugin,
      name: 'canary',
      enabled: true,
      protocols: ['grpc', 'grpcs', 'http', 'https'],
      service: { id: IDS.service },
      config: {
        canary_by_header_name: null,
        duration: 3600,
        groups: null,
        hash: 'consumer',
        hash_header: null,
        percentage: 10,
        start: null,
        steps: 1000,
        upstream_fallback: false,
        upstream_host: 'orders-v2',
        upstream_port: null,
        upstream_uri: null,
      },
      tags,
    },
  ],
] as const

const LISTS = ['services', 'routes', 'consumers', 'plugins', 'key-auths', 'acls'] as const
const EMPTY = [
  'upstreams',
  'certificates',
  'snis',
  'ca_certificates',
  'vaults',
  'keys',
  'key-sets',
  'consumer_groups',
  'basic-auths',
  'hmac-auths',
  'jwts',
  'oauth2',
  'mtls-auths',
  'filter-chains',
]

describe('the requests of decK', () => {
  for (const showKeys of [true, false]) {
    test(`dump, sync, and dump again ${showKeys ? 'with nothing left to do' : 'with only hidden keys left'}, showKeys: ${showKeys}`, async () => {
      await using admin = await openAdmin({ showKeys })
      const root = z.object({ version: z.string(), configuration: z.object({ database: z.string() }) })
      const { version, configuration } = root.parse((await admin.call('GET', '/')).body)
      // It parses the version, and writes to no Kong without a database.
      expect(version).toMatch(/^3\.\d+\.\d+$/)
      expect(configuration.database).not.toBe('off')
      expect(await admin.call('GET', '/status')).toMatchObject({ status: 200, body: { database: { reachable: true } } })

      const dump = async () => {
        const records: [string, object][] = []
        for (const list of LISTS) {
          const { data, next } = listOf(await admin.call('GET', `/${list}?size=1000&tags=team-a`))
          expect(next).toBeNull()
          for (const record of data) records.push([record.id, record])
        }
        for (const list of EMPTY) {
          const answer = await admin.call('GET', `/${list}?size=1000&tags=team-a`)
          expect([list, answer.body]).toEqual([list, { data: [], next: null }])
        }
        return new Map(records)
      }
      /** Writes what differs, in the order of references. */
      const sync = async () => {
        const present = await dump()
        const written: string[] = []
        for (const [path, wanted] of WRITES) {
          const found = present.get(wanted.id)
          if (found !== undefined && Object.entries(wanted).every(([field, value]) => isSame(found, field, value)))
            continue
          written.push(path)
          expect(await admin.call('PUT', path, { json: wanted })).toMatchObject({ status: 200, body: wanted })
        }
        return written
      }
      const schema = await admin.call('GET', '/schemas/plugins/canary')
      expect(schema).toMatchObject({ status: 200, body: { fields: expect.any(Array) } })

      expect(await sync()).toEqual(WRITES.map(([path]) => path))
      expect(await sync()).toEqual(showKeys ? [] : [`/consumers/${IDS.consumer}/key-auth/${IDS.key}`])
      // Another team's records are not seen, so they are not deleted.
      await admin.call('POST', '/services', { json: { name: 'carts', host: 'carts', tags: ['team-b'] } })
      expect((await dump()).size).toBe(WRITES.length)
      for (const [path] of WRITES.toReversed()) expect(await admin.call('DELETE', path)).toMatchObject({ status: 204 })
      expect((await dump()).size).toBe(0)
      expect(listOf(await admin.call('GET', '/services')).data).toMatchObject([{ name: 'carts' }])
      const told = JSON.stringify([(await admin.call('GET', '/audit')).body, admin.logged])
      expect(told).not.toContain('alice-key')
    })
  }
})

/** Compared as decK does: what Kong adds to a record is not looked at. */
function isSame(found: object, field: string, value: unknown): boolean {
  return JSON.stringify(Reflect.get(found, field), sorted) === JSON.stringify(value, sorted)
}

function sorted(_: string, value: unknown): unknown {
  const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isRecord ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))) : value
}
