import { describe, expect, it } from 'vitest'
import { CanaryError } from '@canary-release/core'
import { type Registry, createRegistry, memoryStore, registryKeys } from '@canary-release/core/registry'
import { SILENT, changed, testRegistry } from './harness.js'

const CONSUMERS = { kind: 'consumers' } as const

/** A consumer with a key; its id. */
function add(registry: Registry, body: object, key: string): Promise<string> {
  return registry.change('test', (draft) => {
    const { id } = draft.create('consumers', body).entity
    draft.create('keyauth_credentials', { key }, { ...CONSUMERS, key: id })
    return id
  })
}

const withKey = (apikey: string) => ({ headers: { apikey } })
const credentialOf = (registry: Registry) => registry.list('keyauth_credentials')?.rows[0]?.entity.id ?? ''

describe('keys of a registry', () => {
  it('finds the consumer of a key, and nobody by anything else', async () => {
    await using registry = await testRegistry()
    const id = await add(registry, { username: 'alice', custom_id: 'c-1' }, 's3cret')
    const consumer = registryKeys(registry)
    expect(consumer(withKey('s3cret'))).toBe(id)
    expect(registry.findConsumer(id)?.id).toBe(id)
    for (const text of ['alice', 'c-1', id, credentialOf(registry), 's3cre', 's3cret ', 'S3CRET', '', '__proto__']) {
      expect([text, consumer(withKey(text))]).toEqual([text, undefined])
    }
    expect(consumer({ headers: {} })).toBeUndefined()
    expect(consumer({ headers: { 'x-api-key': 's3cret' }, url: '/?apikey=s3cret' })).toBeUndefined()
  })

  it('is not confused by names that look like the ids and keys of others', async () => {
    await using registry = await testRegistry()
    const alice = await add(registry, { username: 'alice' }, 'key-of-alice')
    // One who is called like the id, and one who is called like the key of another.
    const first = await add(registry, { username: alice }, 'key-of-first')
    const second = await add(registry, { username: 'key-of-alice', custom_id: first }, 'key-of-second')
    const mount = registryKeys(registry)
    for (const [key, id] of [
      ['key-of-alice', alice],
      ['key-of-first', first],
      ['key-of-second', second],
    ] as const) {
      const found = mount(withKey(key))
      expect([key, found]).toEqual([key, id])
      // What a mount, explain and the groups look the caller up by.
      expect(registry.findConsumer(String(found))?.id).toBe(id)
    }
  })

  it('follows keys that change, move and go', async () => {
    await using registry = await testRegistry()
    const alice = await add(registry, { username: 'alice' }, 'old')
    const bob = await add(registry, { username: 'bob' }, 'of-bob')
    const consumer = registryKeys(registry)
    const [credential] = registry.list('keyauth_credentials', { of: { ...CONSUMERS, key: alice } })?.rows ?? []
    const id = credential?.entity.id ?? ''
    await registry.change('test', (draft) => draft.patch('keyauth_credentials', id, { key: 'new' }))
    expect([consumer(withKey('old')), consumer(withKey('new'))]).toEqual([undefined, alice])
    await registry.change('test', (draft) => draft.patch('keyauth_credentials', id, { consumer: { id: bob } }))
    expect(consumer(withKey('new'))).toBe(bob)
    await registry.change('test', (draft) => draft.remove('keyauth_credentials', id))
    expect(consumer(withKey('new'))).toBeUndefined()
    await registry.change('test', (draft) => draft.remove('consumers', bob))
    expect(consumer(withKey('of-bob'))).toBeUndefined()
  })

  it('keeps keys and groups that change hands in one change', async () => {
    await using registry = await testRegistry()
    const alice = await add(registry, { username: 'alice' }, 'one')
    const bob = await add(registry, { username: 'bob' }, 'two')
    const of = (key: string) => ({ of: { ...CONSUMERS, key } })
    const idOf = (key: string) => registry.list('keyauth_credentials', of(key))?.rows[0]?.entity.id ?? ''
    const consumer = registryKeys(registry)
    await registry.change('test', (draft) => {
      const [first, second] = [idOf(alice), idOf(bob)]
      draft.patch('keyauth_credentials', first, { key: 'between' })
      draft.patch('keyauth_credentials', second, { key: 'one' })
      draft.patch('keyauth_credentials', first, { key: 'two' })
    })
    expect([consumer(withKey('one')), consumer(withKey('two'))]).toEqual([bob, alice])
    expect(registry.findConsumer('one')?.id).toBe(bob)

    const acls = await registry.change('test', (draft) =>
      ['x', 'y'].map((group) => draft.create('acls', { group }, { ...CONSUMERS, key: alice }).entity.id),
    )
    await registry.change('test', (draft) => {
      const [first = '', second = ''] = acls
      draft.patch('acls', first, { group: 'between' })
      draft.patch('acls', second, { group: 'x' })
      draft.patch('acls', first, { group: 'y' })
    })
    expect(registry.findConsumer('alice')?.groups.toSorted()).toEqual(['x', 'y'])
  })

  it('follows what another process changed', async () => {
    const store = memoryStore()
    await using writing = await testRegistry({ store })
    const reading = await createRegistry({ store, logger: SILENT })
    const consumer = registryKeys(reading)
    const id = await add(writing, { username: 'alice' }, 'first')
    await changed(reading, writing.version)
    expect(consumer(withKey('first'))).toBe(id)
    await writing.change('test', (draft) =>
      draft.patch('keyauth_credentials', credentialOf(writing), { key: 'second' }),
    )
    await changed(reading, writing.version)
    expect([consumer(withKey('first')), consumer(withKey('second'))]).toEqual([undefined, id])
    await reading.close()
  })

  it('reads the header and the query parameter that it is told', async () => {
    await using registry = await testRegistry()
    const id = await add(registry, { username: 'alice' }, 's3cret')
    const consumer = registryKeys(registry, { header: 'X-Api-Key', query: 'key' })
    expect(consumer({ headers: { 'x-api-key': 's3cret' } })).toBe(id)
    expect(consumer({ headers: {}, url: '/x?key=s3cret' })).toBe(id)
    expect(consumer(withKey('s3cret'))).toBeUndefined()
  })

  it('tells options that are wrong, and says no key', async () => {
    await using registry = await testRegistry()
    for (const [args, message] of [
      [[], 'registryKeys must get what createRegistry made'],
      [[{}], 'registryKeys must get what createRegistry made'],
      [[registry, { header: '' }], 'registryKeys.header must be a header name'],
      [[registry, { header: 'a b' }], 'registryKeys.header must be a header name'],
      [[registry, { query: '' }], 'registryKeys.query must be a parameter name'],
      [[registry, { heeder: 'apikey' }], 'registryKeys'],
    ] as const) {
      const work = () => Reflect.apply(registryKeys, null, args)
      expect(work).toThrow(CanaryError)
      expect(work).toThrow(
        expect.objectContaining({ code: 'ERR_CANARY_OPTION', message: expect.stringContaining(message) }),
      )
    }
  })
})
