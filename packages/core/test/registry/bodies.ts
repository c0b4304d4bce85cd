import * as fc from 'fast-check'
import { type Draft, ViolationError } from '@canary-release/core/registry'
import { T0 } from './harness.js'

const word = fc.stringMatching(/^[a-z][a-z0-9_-]{0,8}$/)
const orNull = <Value>(arbitrary: fc.Arbitrary<Value>) => fc.option(arbitrary)
const listOf = <Value>(arbitrary: fc.Arbitrary<Value>) => fc.array(arbitrary, { maxLength: 3 })
// Text with what a form or a file has to escape.
const text = fc.stringMatching(/^[a-zA-Z0-9 &=+%,."'éß€漢😀#:[\]{}-]{1,12}$/u)
const tags = orNull(listOf(text))
const flag = fc.boolean()
const path = fc.constantFrom('/', '/base', '/v2/api')
const count = fc.integer({ min: 1, max: 32_000 })

/** Some fields of each kind, with any of them left out. */
const FIELDS = {
  services: fc.record(
    {
      tags,
      host: fc.constantFrom('orders', 'orders.example', '192.0.2.7', '::1'),
      port: fc.integer({ min: 1, max: 65_535 }),
      protocol: fc.constantFrom('http', 'https'),
      path: orNull(path),
      retries: count,
      read_timeout: count,
      enabled: flag,
    },
    { requiredKeys: ['host'] },
  ),
  routes: fc.record(
    {
      tags,
      paths: orNull(listOf(path)),
      methods: orNull(listOf(fc.constantFrom('GET', 'POST'))),
      hosts: orNull(listOf(word)),
      // No form can say a map without keys.
      headers: orNull(
        fc.dictionary(fc.oneof(word, fc.constantFrom('updated_at', 'x-a')), listOf(text), { minKeys: 1, maxKeys: 3 }),
      ),
      protocols: orNull(listOf(fc.constantFrom('http', 'https'))),
      regex_priority: fc.integer({ min: -5, max: 5 }),
      strip_path: flag,
    },
    { requiredKeys: [] },
  ),
  consumers: fc.record({ tags, custom_id: orNull(word) }, { requiredKeys: [] }),
  apis: fc.record({ tags, uris: orNull(listOf(path)), strip_uri: flag, https_only: flag }, { requiredKeys: [] }),
  keyauth_credentials: fc.record({ tags, ttl: orNull(fc.double({ min: 0, max: 1e6, noNaN: true })) }),
  acls: fc.record({ tags }),
}

const seconds = fc.integer({ min: -5000, max: 5000 })
const config = fc.record(
  {
    percentage: orNull(fc.oneof(fc.integer({ min: 1, max: 100 }), fc.constantFrom(0, 0.5, 12.5, 33.3))),
    start: orNull(fc.oneof(seconds, fc.double({ min: -5000, max: 5000, noNaN: true }))),
    duration: fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.constantFrom(0.5, 90.25)),
    steps: fc.constantFrom(1000, 1001, 5000),
    upstream_host: orNull(fc.constantFrom('orders-v2', 'v2.example')),
    upstream_port: orNull(fc.integer({ min: 1, max: 65_535 })),
    upstream_uri: orNull(path),
    hash: fc.constantFrom('consumer', 'ip', 'none', 'header', 'allow', 'deny'),
    upstream_fallback: flag,
    canary_by_header_name: orNull(word),
  },
  { requiredKeys: [] },
)
const plugin = fc.record(
  { tags, enabled: flag, config, protocols: orNull(listOf(fc.constant('https'))) },
  { requiredKeys: ['config'] },
)
const moves = listOf(fc.constantFrom('pause', 'resume', 'rollback', 'promote', 'restart'))

export const aRegistry = fc.record({
  ...FIELDS,
  plugins: fc.array(fc.record({ plugin, moves, wait: fc.integer({ min: 0, max: 4000 }) }), {
    minLength: 1,
    maxLength: 3,
  }),
})

type Records = typeof aRegistry extends fc.Arbitrary<infer Value> ? Value : never

/** Puts one record of each kind into a registry, and canaries at several scopes. */
export function fill(draft: Draft, records: Records): readonly string[] {
  const service = { service: { name: 'orders' } }
  draft.create('services', { ...records.services, name: 'orders' })
  draft.create('routes', { ...records.routes, ...service, name: 'r' })
  draft.create('consumers', { ...records.consumers, username: 'alice' })
  draft.create('apis', { ...records.apis, name: 'old', upstream_url: 'http://old/base' })
  draft.create('keyauth_credentials', {
    ...records.keyauth_credentials,
    key: 's3cret',
    consumer: { username: 'alice' },
  })
  draft.create('acls', { ...records.acls, group: 'staff', consumer: { username: 'alice' } })
  const scopes = [service, { consumer: { username: 'alice' } }, { api: { name: 'old' } }]
  return records.plugins.flatMap(({ plugin: body }, index) => {
    try {
      return [
        draft.create('plugins', { name: 'canary', ...scopes[index], ...body, config: whole(body.config) }).entity.id,
      ]
    } catch (error) {
      // No upstream, say.
      if (error instanceof ViolationError) return []
      throw error
    }
  })
}

function whole({ start, ...rest }: Records['plugins'][number]['plugin']['config']): object {
  const needs = { hash_header: rest.hash === 'header' ? 'x-tenant' : null, groups: ['staff'] }
  return {
    upstream_port: 81,
    ...rest,
    ...needs,
    ...(start === undefined ? {} : { start: start === null ? null : T0 + start }),
  }
}
