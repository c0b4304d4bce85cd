import { mountOn } from '@canary-release/core/registry/internal'
import { describe, expect, it } from 'vitest'
import { CANARY, addOrders, testRegistry } from './harness.js'

describe('a mount on a registry', () => {
  it('finds no release where there is none, and says where A is', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    const found = mountOn(registry, { service: 'orders' }).find('')
    expect(found).toMatchObject({
      consumer: null,
      place: { release: null, A: { origin: 'http://orders-v1:3000' }, B: null },
    })
  })

  it('finds the release of its service, with B where the record says', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    const mount = mountOn(registry, { service: 'orders' })
    expect(mount.find('').place.release).toBeNull()
    const row = await registry.change('test', (draft) =>
      draft.create('plugins', CANARY, { kind: 'services', key: 'orders' }),
    )
    const { place } = mount.find('')
    expect(place.release).toBe(registry.release(row.entity.id))
    expect(place.B?.origin).toBe('http://orders-v2:3000')
    const decision = place.release?.decide({ consumer: 'alice' })
    expect(decision?.release).toBe(row.entity.id)
  })
})
