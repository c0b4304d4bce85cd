import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseDeclarative } from '@canary-release/core/registry'
import { mountOn } from '@canary-release/core/registry/internal'
import { testRegistry } from './harness.js'

const file = (name: string) => readFileSync(new URL(`kong-files/${name}`, import.meta.url), 'utf8')

const refused = (message: RegExp) =>
  expect.objectContaining({ code: 'ERR_CANARY_OPTION', message: expect.stringMatching(message) })

describe("a file that Kong's tools write", () => {
  it('is read as `kong config db_export` of Kong 2 writes it: flat lists, nulls, parameters, fractions of seconds', async () => {
    const text = file('db-export-2.8.yaml')
    await expect(parseDeclarative(text)).rejects.toThrow(
      refused(/line 92, column 11: plugins\.1\.name: plugin 'key-auth'/),
    )
    const initial = await parseDeclarative(text, { otherPlugins: 'skip' })
    expect(initial.skipped).toMatchObject([{ line: 92, path: 'plugins.1.name' }])
    await using registry = await testRegistry({ initial })
    expect(registry.get('services', 'orders')?.entity).toMatchObject({ host: 'orders-v1', path: '/base' })
    expect(registry.get('routes', 'orders-all')?.entity).toMatchObject({ created_at: 1_646_000_001 })
    expect(registry.findConsumer('alice-key')?.groups).toEqual(['testers'])
    expect(mountOn(registry, { route: 'orders-all' }).find('alice').place.B?.hostname).toBe('orders-v2')
  })

  it('is read as Kong 3 writes it: one workspace, its ids, and the fields that came later', async () => {
    const initial = await parseDeclarative(file('db-export-3.9.yaml'))
    expect(initial.skipped).toEqual([])
    await using registry = await testRegistry({ initial })
    expect(registry.release('orders-v2')?.status()).toMatchObject({ percentage: 25, steps: 100 })
    expect(registry.get('routes', 'orders-all')?.entity).toMatchObject({ headers: { 'x-region': ['eu'] } })
  })

  it('is read as decK writes it: tags for all, shared configurations, anchors; the rest is listed with its line', async () => {
    const initial = await parseDeclarative(file('deck-3.yaml'), { otherPlugins: 'skip' })
    await using registry = await testRegistry({ initial })
    expect(registry.get('services', 'orders')?.entity).toMatchObject({
      connect_timeout: 1000,
      read_timeout: 2000,
      tags: ['shop', 'team-a'],
    })
    expect(registry.get('services', 'events')).toBeNull()
    const [plugin, ...others] = registry.list('plugins')?.rows ?? []
    expect(others).toEqual([])
    expect(plugin?.entity).toMatchObject({ tags: ['team-a'], config: { percentage: 5, hash: 'ip' } })
    expect(initial.skipped.map(({ line, path, reason }) => `${line} ${path}: ${reason}`)).toEqual([
      '17 consumer_groups.0: consumer_groups are not taken',
      '21 consumer_groups.0.plugins.0: a canary within consumer_groups',
      '28 consumers.0.groups.0: groups are not taken',
      '32 consumers.0.basicauth_credentials.0: basicauth_credentials are not taken',
      '40 services.0.client_certificate: is not supported: only null is taken',
      "46 services.0.plugins.1.name: plugin 'rate-limiting' not enabled; add it to the 'plugins' configuration property",
      '54 services.0.routes.0.plugins.0.consumer_group: canaries on consumer groups are not taken',
      '57 services.1.protocol: services of tcp are not taken: expected one of: http, https',
      '61 services.1.plugins.0: a canary on what is passed over: services of tcp are not taken: expected one of: http, https',
      '65 plugins.0.service: its service is passed over',
      "67 plugins.1.name: plugin 'prometheus' not enabled; add it to the 'plugins' configuration property",
      '69 upstreams.0: upstreams are not taken',
    ])
  })

  it('is refused with all of that at once where nothing may be passed over', async () => {
    await expect(parseDeclarative(file('deck-3.yaml'))).rejects.toThrow(
      refused(
        /^declarative file, 9 faults:\n {2}line 17, column 3: consumer_groups: .*\n {2}line 28, .*\n {2}line 32, .*\n {2}line 40, .*: services\.0\.client_certificate: is not supported.*\n {2}line 46, [^]*\n {2}line 54, [^]*\n {2}line 57, [^]*upstreams are not taken$/,
      ),
    )
  })

  it('is read as openapi-2-kong 3.6.0 writes it', async () => {
    const initial = await parseDeclarative(file('openapi-2-kong-1.1.json'), { otherPlugins: 'skip' })
    expect(initial.skipped.map(({ path }) => path)).toEqual([
      'services.0.plugins.1.name',
      'services.0.routes.2.plugins.0.name',
    ])
    await using registry = await testRegistry({ initial })
    expect(registry.list('routes', { tags: { all: ['OAS3_import', 'team-a'] } })?.rows).toHaveLength(3)
    expect(mountOn(registry, { service: 'Orders_API' }).find('').place.release).not.toBeNull()
  })
})

describe("a field of Kong's that is nothing here", () => {
  const SERVICE = '_format_version: "3.0"\nservices:\n- name: a\n  url: http://a\n'
  for (const [text, path] of [
    [`${SERVICE}  tls_verify: false\n`, 'services.0.tls_verify'],
    [`${SERVICE}  tls_verify_depth: 2\n`, 'services.0.tls_verify_depth'],
    [`${SERVICE}  ca_certificates: [x]\n`, 'services.0.ca_certificates'],
    [`${SERVICE}  routes: [{ sources: [{ ip: 10.0.0.1 }] }]\n`, 'services.0.routes.0.sources'],
    [`${SERVICE}  routes: [{ expression: 'http.path == "/a"' }]\n`, 'services.0.routes.0.expression'],
    ['_format_version: "3.0"\nconsumers: [{ username: a, type: 2 }]\n', 'consumers.0.type'],
    [
      '_format_version: "3.0"\nplugins: [{ name: canary, config: { upstream_uri: /b }, ordering: { before: { access: [x] } } }]\n',
      'plugins.0.ordering',
    ],
  ] as const) {
    it(`is a fault where it says something, or is listed: ${path}`, async () => {
      await expect(parseDeclarative(text)).rejects.toThrow(
        refused(new RegExp(`${path}: is not supported: only null is taken$`)),
      )
      const { skipped, bodies } = await parseDeclarative(text, { otherPlugins: 'skip' })
      expect(skipped).toMatchObject([{ path, reason: 'is not supported: only null is taken' }])
      expect(bodies.length).toBeGreaterThan(0)
    })
  }

  for (const [field, value, reason] of [
    ['consumer_group', '{ name: gold }', 'canaries on consumer groups are not taken'],
    ['condition', '\'http.method == "GET"\'', 'canaries with a condition are not taken'],
  ] as const) {
    it(`never makes a canary for everyone out of one with a ${field}`, async () => {
      const canary = `{ name: canary, config: { upstream_uri: /b }, ${field}: ${value} }`
      const text = `_format_version: "3.0"\nplugins: [${canary}]\n`
      await expect(parseDeclarative(text)).rejects.toThrow(refused(new RegExp(`plugins\\.0\\.${field}: ${reason}$`)))
      const { bodies, skipped } = await parseDeclarative(text, { otherPlugins: 'skip' })
      expect([bodies, skipped]).toEqual([[], [{ line: 2, path: `plugins.0.${field}`, reason }]])
    })
  }

  it('is taken where it is null by changes as well', async () => {
    await using registry = await testRegistry()
    const nulls = { tls_verify: null, client_certificate: null, ca_certificates: null, created_at: 1.5 }
    const row = await registry.change('test', (draft) => draft.create('services', { host: 'a', ...nulls }))
    expect(row.entity).toMatchObject({ host: 'a', created_at: 1 })
    expect(row.entity).not.toHaveProperty('tls_verify')
  })
})

describe('a file with several faults', () => {
  it('is refused with each of them, in the order of lines, and none that only follows from another', async () => {
    const text = `_format_version: "3.0"
services:
- name: orders
  port: none
  tags: [a, 1]
- name: carts
  url: http://carts
  colour: red
routes:
- name: all
  service: orders
- name: lost
  service: nobody
plugins:
- name: canary
  service: carts
  config: { percentage: 101, steps: 0 }
`
    await expect(parseDeclarative(text)).rejects.toThrow(
      refused(
        /^declarative file, 8 faults:\n {2}line 3, column 3: services\.0\.host: required field missing\n {2}line 4, column 9: services\.0\.port: expected an integer\n {2}line 5, column 13: services\.0\.tags\.1: expected a string\n {2}line 8, column 11: services\.1\.colour: unknown field\n {2}line 13, column 12: routes\.1\.service\.name: [^\n]*nobody[^\n]*\n {2}line 15, column 3: plugins\.0: at least one[^\n]*\n {2}line 17, [^\n]*percentage: [^\n]*\n {2}line 17, [^\n]*steps: [^\n]*$/,
      ),
    )
  })
})
