import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Registry } from '@canary-release/core/registry'
import { mountOn } from '@canary-release/core/registry/internal'
import { testRegistry } from './harness.js'

const SCOPES = [
  ['consumer', 'route', 'service'],
  ['consumer', 'route'],
  ['consumer', 'service'],
  ['consumer', 'api'],
  ['route', 'service'],
  ['consumer'],
  ['route'],
  ['service'],
  ['api'],
  [],
] as const

type ScopeName = 'consumer' | 'route' | 'service' | 'api'
type Scope = Partial<Record<ScopeName, string>>

/** Two services with two routes each, two apis, two consumers. */
async function furnish(registry: Registry): Promise<void> {
  await registry.change('test', (draft) => {
    for (const service of ['s1', 's2']) {
      draft.create('services', { name: service, url: `http://${service}` })
      for (const route of ['a', 'b']) {
        draft.create('routes', { name: `${service}${route}`, paths: ['/'] }, { kind: 'services', key: service })
      }
    }
    for (const api of ['p1', 'p2']) draft.create('apis', { name: api, upstream_url: `http://${api}` })
    for (const consumer of ['c1', 'c2']) draft.create('consumers', { username: consumer })
  })
}

function addCanary(registry: Registry, scope: Scope, enabled: boolean, instance_name: string) {
  const refs = Object.fromEntries(
    Object.entries(scope).map(([field, name]) => [field, field === 'consumer' ? { username: name } : { name }]),
  )
  const config = { upstream_host: 'canary', percentage: 50 }
  return registry.change('test', (draft) =>
    draft.create('plugins', { name: 'canary', instance_name, enabled, config, ...refs }),
  )
}

describe('the precedence of scopes', () => {
  for (const [i, stronger] of SCOPES.entries()) {
    for (const weaker of SCOPES.slice(i + 1)) {
      const usesApi = [...stronger, ...weaker].includes('api')
      const usesService = [...stronger, ...weaker].some((name) => name === 'service' || name === 'route')
      if (usesApi && usesService) continue
      it(`prefers ${stronger.join('+')} to ${weaker.join('+') || 'global'}, unless it is disabled`, async () => {
        await using registry = await testRegistry()
        await furnish(registry)
        const all: Scope = usesApi ? { consumer: 'c1', api: 'p1' } : { consumer: 'c1', route: 's1a', service: 's1' }
        const scopeOf = (names: readonly ScopeName[]): Scope =>
          Object.fromEntries(names.map((name) => [name, all[name] ?? '']))
        const mount = mountOn(registry, usesApi ? { api: 'p1' } : { route: 's1a' })
        await addCanary(registry, scopeOf(weaker), true, 'weaker')
        expect(mount.find('c1').place.release?.name).toBe('weaker')
        await addCanary(registry, scopeOf(stronger), true, 'stronger')
        expect(mount.find('c1').place.release?.name).toBe('stronger')
        await registry.change('test', (draft) => draft.patch('plugins', 'stronger', { enabled: false }))
        expect(mount.find('c1').place.release?.name).toBe('weaker')
        await registry.change('test', (draft) => draft.patch('plugins', 'weaker', { enabled: false }))
        expect(mount.find('c1').place.release).toBeNull()
        await registry.change('test', (draft) => draft.patch('plugins', 'stronger', { enabled: true }))
        expect(mount.find('c1').place.release?.name).toBe('stronger')
      })
    }
  }

  it('is what a plain search of the list finds, for any plugins, mounts and callers', { timeout: 60_000 }, async () => {
    const maybe = (names: readonly string[]) => fc.option(fc.constantFrom(...names), { nil: undefined })
    const consumer = maybe(['c1', 'c2'])
    const onService = fc.record({ consumer, service: maybe(['s1', 's2']), route: maybe(['s1a', 's1b', 's2a']) })
    const onApi = fc.record({ consumer, api: maybe(['p1', 'p2']) })
    const plugins = fc.array(
      fc.record({ scope: fc.oneof(onService, onApi), enabled: fc.boolean(), remove: fc.boolean() }),
      { maxLength: 14 },
    )
    await fc.assert(
      fc.asyncProperty(plugins, async (wanted) => {
        await using registry = await testRegistry()
        await furnish(registry)
        const model: { scope: Scope; enabled: boolean; name: string }[] = []
        const sameScope = (a: Scope, b: Scope) =>
          (['consumer', 'route', 'service', 'api'] as const).every((name) => a[name] === b[name])
        for (const [index, { scope: given, enabled, remove }] of wanted.entries()) {
          const scope = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
          const same = model.findIndex((known) => sameScope(known.scope, scope))
          const known = model[same]
          if (known !== undefined && remove) {
            await registry.change('test', (draft) => draft.remove('plugins', known.name))
            model.splice(same, 1)
          } else if (known !== undefined) {
            await registry.change('test', (draft) => draft.patch('plugins', known.name, { enabled }))
            known.enabled = enabled
          } else {
            await addCanary(registry, scope, enabled, `p${index}`)
            model.push({ scope, enabled, name: `p${index}` })
          }
        }
        for (const where of [
          { service: 's1' },
          { service: 's2' },
          { service: 's1', route: 's1a' },
          { service: 's1', route: 's1b' },
          { service: 's2', route: 's2a' },
          { api: 'p1' },
          { api: 'p2' },
        ]) {
          const mount = mountOn(registry, where)
          for (const caller of ['c1', 'c2', 'stranger', '']) {
            const at: Scope = { ...where, ...(caller.startsWith('c') ? { consumer: caller } : {}) }
            expect(mount.find(caller).place.release?.name ?? null).toBe(search(model, at))
          }
        }
      }),
      { seed: 3, numRuns: 150 },
    )
  })
})

/** Kong's order, as a list search. */
function search(model: readonly { scope: Scope; enabled: boolean; name: string }[], at: Scope): string | null {
  for (const names of SCOPES) {
    const found = model.find(
      ({ scope, enabled }) =>
        enabled &&
        (['consumer', 'route', 'service', 'api'] as const).every((name) =>
          names.some((wanted) => wanted === name)
            ? scope[name] !== undefined && scope[name] === at[name]
            : scope[name] === undefined,
        ),
    )
    if (found !== undefined) return found.name
  }
  return null
}
