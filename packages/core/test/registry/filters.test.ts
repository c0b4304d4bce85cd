import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ListQuery, type Page, type Registry, ViolationError } from '@canary-release/core/registry'
import { CANARY, testRegistry } from './harness.js'

async function filled() {
  const registry = await testRegistry()
  await registry.change('test', (draft) => {
    for (let i = 0; i < 1200; i += 1) {
      const tags = [`n${i % 2}`, `m${i % 3}`]
      draft.create('services', { name: `s${i}`, host: `h${i % 5}`, tags: i === 0 ? null : tags })
    }
    draft.create('consumers', { username: 'alice', custom_id: 'c-1' })
    draft.create('consumers', { username: 'c-1', custom_id: 'alice' })
    draft.create('plugins', { ...CANARY, service: { name: 's1' }, tags: ['x'] })
    draft.create('plugins', { ...CANARY, service: { name: 's2' }, enabled: false })
    draft.create('routes', { name: 'r', tags: ['n1'] }, { kind: 'services', key: 's1' })
    draft.create('routes', { name: 'q', tags: ['n2'] }, { kind: 'services', key: 's1' })
  })
  return registry
}

/** All names of a list, page by page. */
function names(registry: Registry, query: ListQuery): unknown[] {
  const found: unknown[] = []
  for (let offset: string | null = null; ;) {
    const page: Page<'services'> | null = registry.list('services', { size: 100, ...query, offset })
    if (page === null) return expect.fail('no such list')
    found.push(...page.rows.map(({ entity }) => entity.name))
    offset = page.next
    if (offset === null) return found
  }
}

describe('a list', () => {
  test('holds what has all tags, or any of them, each once over its pages', async () => {
    await using registry = await filled()
    const of = (wanted: (i: number) => boolean) =>
      Array.from({ length: 1199 }, (_, i) => i + 1)
        .filter(wanted)
        .map((i) => `s${i}`)
        .toSorted()
    expect(names(registry, { tags: { all: ['n1', 'm2'] } }).toSorted()).toEqual(of((i) => i % 2 === 1 && i % 3 === 2))
    expect(names(registry, { tags: { any: ['n1', 'm2'] } }).toSorted()).toEqual(of((i) => i % 2 === 1 || i % 3 === 2))
    expect(names(registry, { tags: { all: ['nobody'] } })).toEqual([])
    expect(names(registry, { tags: { any: [] } })).toEqual([])
    expect(names(registry, { tags: { all: [] } })).toHaveLength(1200)
    expect(names(registry, { tags: { all: ['n1'] }, where: { host: 'h1' } }).toSorted()).toEqual(
      of((i) => i % 2 === 1 && i % 5 === 1),
    )
  })

  test('is narrowed by unique fields, by other fields and by references', async () => {
    await using registry = await filled()
    expect(names(registry, { where: { name: 's7' } })).toEqual(['s7'])
    expect(names(registry, { where: { name: 's7', host: 'h0' } })).toEqual([])
    const byCustomId = registry.list('consumers', { where: { custom_id: 'c-1' } })
    expect(byCustomId?.rows.map(({ entity }) => entity.username)).toEqual(['alice'])
    const id = registry.get('services', 's1')?.entity.id ?? ''
    expect(names(registry, { where: { id: id.toUpperCase() } })).toEqual(['s1'])
    const plugins = (where: Record<string, string>) => registry.list('plugins', { where })?.rows.length
    expect([plugins({ service_id: id }), plugins({ enabled: 'false' }), plugins({ route_id: id })]).toEqual([1, 1, 0])
  })

  test('below a record takes filters too', async () => {
    await using registry = await filled()
    const of = { kind: 'services', key: 's1' } as const
    expect(registry.list('routes', { of, tags: { all: ['n1'] } })?.rows.map(({ entity }) => entity.name)).toEqual(['r'])
    expect(registry.list('routes', { of, where: { name: 'q' } })?.rows.map(({ entity }) => entity.name)).toEqual(['q'])
    expect(registry.list('routes', { of: { kind: 'services', key: 's2' }, where: { name: 'q' } })?.rows).toEqual([])
  })

  test('refuses a field that is none to filter by', async () => {
    await using registry = await filled()
    try {
      registry.list('services', { where: { custom_id: 'c-1' } })
      expect.fail('nothing was refused')
    } catch (error) {
      expect(error instanceof ViolationError && error.violation).toMatchObject({
        code: 11,
        message: 'invalid option (custom_id: is no filter of this list)',
      })
    }
  })

  test('follows changes of tags, by any tags and over any pages, as a plain search would', async () => {
    await using registry = await testRegistry()
    const tag = fc.constantFrom('a', 'b', 'c')
    const change = fc.record({
      name: fc.integer({ min: 0, max: 40 }),
      tags: fc.option(fc.uniqueArray(tag)),
      remove: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { maxLength: 30 }),
        fc.uniqueArray(tag, { minLength: 1 }),
        async (changes, wanted) => {
          await registry.change('test', (draft) => {
            for (const { name, tags, remove } of changes) {
              if (remove) draft.remove('services', `s${name}`)
              else draft.replace('services', `s${name}`, { host: 'h', tags })
            }
          })
          const rows = registry.list('services', { size: 1000 })?.rows ?? []
          for (const how of ['all', 'any'] as const) {
            const has = (tags: readonly string[] | null) =>
              how === 'all' ? wanted.every((each) => tags?.includes(each)) : wanted.some((each) => tags?.includes(each))
            const expected = rows.filter(({ entity }) => has(entity.tags)).map(({ entity }) => entity.name)
            const tags = how === 'all' ? { all: wanted } : { any: wanted }
            expect(names(registry, { size: 3, tags })).toEqual(expected)
          }
        },
      ),
      { seed: 17, numRuns: 100 },
    )
  })
})
