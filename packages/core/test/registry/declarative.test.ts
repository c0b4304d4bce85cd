import { describe, expect, it } from 'vitest'
import { exportDeclarative, memoryStore, parseDeclarative } from '@canary-release/core/registry'
import { mountOn } from '@canary-release/core/registry/internal'
import { testRegistry } from './harness.js'

const YAML = `_format_version: "3.0"
_transform: true
services:
  - name: orders
    url: http://orders-v1:3000
    routes:
      - name: orders-all
        paths: [/orders]
        plugins:
          - name: canary
            config: { upstream_host: orders-v3, percentage: 1 }
    plugins:
      - name: canary
        instance_name: orders-canary
        config:
          upstream_host: orders-v2
          percentage: 10
          hash: allow
          groups: [testers]
consumers:
  - username: alice
    keyauth_credentials:
      - key: alice-key
    acls:
      - group: testers
plugins:
  - name: canary
    consumer: alice
    service: orders
    config: { upstream_uri: /beta, percentage: 100 }
`

const wrong = (message: RegExp) =>
  expect.objectContaining({ code: 'ERR_CANARY_OPTION', message: expect.stringMatching(message) })

describe('a declarative file', () => {
  it('is the initial state: nested routes and plugins, consumers with keys and groups, plugins at the top', async () => {
    await using registry = await testRegistry({ initial: await parseDeclarative(YAML) })
    expect(registry.get('services', 'orders')?.entity).toMatchObject({ host: 'orders-v1', port: 3000 })
    expect(registry.get('routes', 'orders-all')?.entity.paths).toEqual(['/orders'])
    expect(registry.findConsumer('alice-key')?.groups).toEqual(['testers'])
    expect(mountOn(registry, { service: 'orders' }).find('').place.release?.name).toBe('orders-canary')
    expect(mountOn(registry, { service: 'orders' }).find('alice').place.B?.fixedPath).toBe('/beta')
    expect(mountOn(registry, { route: 'orders-all' }).find('').place.B?.hostname).toBe('orders-v3')
    expect((await registry.audit())[0]?.by).toBe('initial')
  })

  it('means the same ids each time, so that consumers keep their buckets', async () => {
    expect(await parseDeclarative(YAML)).toEqual(await parseDeclarative(YAML))
    const ids = (await parseDeclarative(YAML)).bodies.map(({ body }) => body.id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  it('is not read again where the store holds something', async () => {
    const initial = await parseDeclarative(YAML)
    const store = memoryStore()
    await using first = await testRegistry({ store: { ...store, close: async () => undefined }, initial })
    await first.change('ops', (draft) => draft.remove('plugins', 'orders-canary'))
    await using second = await testRegistry({ store, initial })
    expect(second.get('plugins', 'orders-canary')).toBeNull()
  })

  it('is compared with what the store holds, and a warning says how they differ and what to do', async () => {
    const store = { ...memoryStore(), close: async () => undefined }
    const warned: string[] = []
    const logger = { info() {}, error() {}, warn: (message: string) => void warned.push(message) }
    await using first = await testRegistry({ store, initial: await parseDeclarative(YAML), logger })
    await using same = await testRegistry({ store, initial: await parseDeclarative(YAML), logger })
    expect([first.version, same.version, warned]).toEqual([1, 1, []])
    const changed = YAML.replace('percentage: 10\n', 'percentage: 20\n')
      .replace('key: alice-key', 'key: other-key')
      .replace('username: alice', 'username: bob')
      .replace('consumer: alice', 'consumer: bob')
    await using second = await testRegistry({ store, initial: await parseDeclarative(changed), logger })
    expect(second.release('orders-canary')?.status().percentage).toBe(10)
    expect(warned).toEqual([
      expect.stringMatching(
        /^canary registry: the store already holds records, so `initial` is not taken, and it differs from them \(1 differ: plugins orders-canary \(config\.percentage\); 4 are only in the file: consumers bob, .*; 4 are only in the store: consumers alice, .*\)\. Take it with registry\.sync/,
      ),
    ])
    expect(warned[0]).not.toMatch(/alice-key|other-key/)
  })

  it('is not said to differ by what it leaves to the moment of creation', async () => {
    const store = { ...memoryStore(), close: async () => undefined }
    const warned: string[] = []
    const logger = { info() {}, error() {}, warn: (message: string) => void warned.push(message) }
    const text = `_format_version: "3.0"
consumers: [{ username: alice, keyauth_credentials: [{ tags: [generated] }] }]
plugins: [{ name: canary, instance_name: ramp, config: { upstream_uri: /b, duration: 60 } }]`
    await using first = await testRegistry({ store, initial: await parseDeclarative(text), logger })
    first.clock.seconds += 1000
    await using second = await testRegistry({
      store,
      initial: await parseDeclarative(text),
      logger,
      clock: first.clock,
    })
    await second.change('ops', (draft) => draft.patch('plugins', 'ramp', { config: { duration: 90 } }))
    expect(warned).toEqual([])
    await using third = await testRegistry({ store, initial: await parseDeclarative(text), logger })
    expect([third.version, warned.length]).toEqual([2, 1])
    expect(warned[0]).toContain('plugins ramp (config.duration)')
  })

  it('may use one small anchor for hundreds of records, and merge it', async () => {
    const services = Array.from({ length: 300 }, (_, i) => `- { name: s${i}, <<: *all, retries: 2 }`).join('\n')
    const text = `_format_version: "3.0"\nx-all: &all { url: "http://a", retries: 1, tags: [a] }\nservices:\n${services}`
    const { bodies } = await parseDeclarative(text)
    expect([bodies.length, bodies[299]?.body]).toMatchObject([300, { name: 's299', retries: 2, tags: ['a'] }])
  })

  it('is refused if it is no string', async () => {
    await expect(Reflect.apply(parseDeclarative, null, [Buffer.from('')])).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_CANARY_OPTION', message: expect.stringContaining('must get a string') }),
    )
  })

  it('lists 20 of its faults, and counts them all', async () => {
    const keys = Array.from({ length: 30_000 }, (_, i) => `k${i}: 1\n`).join('')
    await expect(parseDeclarative(`_format_version: "3.0"\n${keys}`)).rejects.toThrow(
      wrong(
        /^declarative file, 30000 faults:\n {2}line 2, column 5: k0: unknown field\n(?:.*\n){19} {2}… and 29980 more$/,
      ),
    )
  })

  it('is read once where two processes begin at the same time', async () => {
    const initial = await parseDeclarative(YAML)
    const store = { ...memoryStore(), close: async () => undefined }
    const both = await Promise.all([testRegistry({ store, initial }), testRegistry({ store, initial })])
    for (const registry of both) {
      expect(registry.version).toBe(1)
      expect(registry.get('plugins', 'orders-canary')).not.toBeNull()
      await registry.close()
    }
  })

  for (const format of ['yaml', 'json'] as const) {
    it(`is written back as ${format}, and read again is the same`, async () => {
      await using registry = await testRegistry({ initial: await parseDeclarative(YAML) })
      const text = exportDeclarative(registry, { format })
      expect(text).toContain('_format_version')
      await using again = await testRegistry({ initial: await parseDeclarative(text, { format }) })
      const entities = (of: typeof registry) =>
        new Map(of.snapshot().rows.map(({ kind, entity }) => [`${kind}/${entity.id}`, entity]))
      expect(entities(again)).toEqual(entities(registry))
      expect(exportDeclarative(again, { format })).toBe(text)
      expect(exportDeclarative(registry, { format, keys: false })).not.toContain('alice-key')
    })
  }

  it('refuses other plugins and what else Kong keeps, or passes them over', async () => {
    const others = `${YAML}  - name: rate-limiting
    config: { minute: 5 }
upstreams:
  - name: pool
`
    await expect(parseDeclarative(others)).rejects.toThrow(
      wrong(/line 34, column 3: upstreams: upstreams are not taken/),
    )
    await expect(parseDeclarative(others.replace(/upstreams:\n.*\n/, ''))).rejects.toThrow(
      wrong(/line 31, column 11: .*plugin 'rate-limiting' not enabled/),
    )
    const { bodies, skipped } = await parseDeclarative(others, { otherPlugins: 'skip' })
    expect(bodies).toEqual((await parseDeclarative(YAML)).bodies)
    expect(skipped).toEqual([
      { line: 31, path: 'plugins.1.name', reason: expect.stringContaining("plugin 'rate-limiting' not enabled") },
      { line: 34, path: 'upstreams.0', reason: 'upstreams are not taken' },
    ])
  })

  for (const [what, text, message] of [
    ['has no version', 'services: []', /line 1, column 1: _format_version: expected "3.0"/],
    ['is no record', '- 1', /line 1, column 1: expected a record/],
    ['is empty', '', /expected a record/],
    ['is no YAML', '_format_version: "3.0"\nservices: [\n', /line \d+, column \d+: /],
    ['is no JSON', '{"_format_version": "3.0",\n "services": [}', /line 2, column 15: expected a value/],
    ['has an unknown list', '_format_version: "3.0"\nfoo: []', /line 2, column 6: foo: unknown field/],
    [
      'has a bad value',
      YAML.replace('percentage: 10\n', 'percentage: 101\n'),
      /line 17, column 23: services\.0\.plugins\.0\.config\.percentage: .*between 0 and 100/,
    ],
    ['has an unknown field', YAML.replace('groups:', 'group:'), /line 19, column 18: .*config\.group: .*unknown field/],
    [
      'refers to nothing',
      YAML.replace('service: orders\n', 'service: carts\n'),
      /line 29, column 14: plugins\.0\.service\.name: .*'\{name="carts"\}'/,
    ],
    [
      'has two of a name',
      YAML.replace('  - username: alice', '  - username: bob\n  - username: bob'),
      /UNIQUE violation/,
    ],
    [
      'hides a prototype',
      YAML.replace('percentage: 10\n', 'percentage: 10\n          __proto__: { x: 1 }\n'),
      /__proto__: unknown field/,
    ],
    ['says a key twice', `${YAML}plugins: []\n`, /unique/],
    [
      'is a bomb of aliases',
      `_format_version: "3.0"\na: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n`,
      /alias/,
    ],
    ['is nested without end', `_format_version: "3.0"\nservices: ${'['.repeat(20_000)}`, /line \d+, column \d+: /],
    [
      'has no list where one belongs',
      '_format_version: "3.0"\nservices: 1',
      /line 2, column 11: services: expected an array/,
    ],
    [
      'lists what is no record',
      '_format_version: "3.0"\nservices:\n  - 1',
      /line 3, column 5: services\.0: expected a record/,
    ],
    [
      'says twice what something belongs to',
      '_format_version: "3.0"\nservices:\n  - name: a\n    url: http://a\n    plugins:\n      - name: canary\n        service: b',
      /line 7, column 18: services\.0\.plugins\.0\.service: is said by its place already/,
    ],
    [
      'has a URL that is none',
      '_format_version: "3.0"\nservices:\n  - url: nonsense',
      /line 3, column 10: .*missing host in url/,
    ],
    ['is larger than 4 MB', ' '.repeat(4 * 1024 * 1024 + 1), /line 1, column 1: longer than 4194304 characters/],
    ['has too many values, in YAML', `services: [${'1,'.repeat(50_000)}]`, /line 1, column 1: more than 50000 values/],
    ['has too many lines, in YAML', 'a: 1\n'.repeat(50_001), /more than 50000 values/],
    ['has too many values, in JSON', `{"services":[${'1,'.repeat(100_000)}1]}`, /more than 100000 values/],
    [
      'has too many records',
      JSON.stringify({ _format_version: '3.0', services: Array.from({ length: 10_001 }, () => ({ host: 'a' })) }),
      /more than 10000 records/,
    ],
    ['is a string without end, in JSON', `{"a":"${'x'.repeat(4_000_000)}`, /expected a value/],
    [
      'is nested deep, in YAML',
      `_format_version: "3.0"\n_ignore: ${'['.repeat(150)}${']'.repeat(150)}`,
      /nested deeper than 100/,
    ],
    [
      'holds itself',
      '_format_version: "3.0"\n_ignore: &a [*a]',
      /line 2, column 14: an alias within what it stands for/,
    ],
    [
      'has too many aliases',
      `_format_version: "3.0"\nx-a: &a 1\nx-b: [${'*a,'.repeat(1001)}]`,
      /more than 1000 aliases/,
    ],
    [
      'goes on after its end, in JSON',
      '{"_format_version": "3.0"}\n{}',
      /line 2, column 1: nothing may follow the value/,
    ],
    ['lacks a colon, in JSON', '{"_format_version" "3.0"}', /line 1, column 20: expected :/],
    ['is nested without end, in JSON', `{"services":${'['.repeat(20_000)}`, /nested deeper than 200 levels/],
  ] as const) {
    it(`is refused with its line where it ${what}`, async () => {
      await expect(parseDeclarative(text)).rejects.toThrow(wrong(message))
    })
  }

  it('names what it belongs to by an id as well, and may have an empty list', async () => {
    const id = '7b1d9c52-2a4e-4f0e-9c61-0123456789ab'
    const text = `_format_version: "3.0"
consumers: ~
services: [{ id: ${id}, name: orders, url: "http://orders" }]
routes: [{ name: all, paths: [/], service: ${id} }]`
    await using registry = await testRegistry({ initial: await parseDeclarative(text) })
    expect(registry.get('routes', 'all')?.entity.service).toEqual({ id })
  })

  it('keeps nothing where it does not fit', async () => {
    const bodies = [
      { kind: 'consumers' as const, body: { username: 'a' } },
      { kind: 'consumers' as const, body: {} },
    ]
    await expect(testRegistry({ initial: { bodies } })).rejects.toThrow(/at least one of these fields/)
  })
})
