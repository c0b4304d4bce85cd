import { describe, expect, it } from 'vitest'
import { type Registry, type Store, ViolationError, createRegistry, memoryStore } from '@canary-release/core/registry'
import { mountOn } from '@canary-release/core/registry/internal'
import { AWAY, CANARY, SILENT, T0, addOrders, changed, clockAt, disposable, testRegistry } from './harness.js'

const ORDERS = { kind: 'services', key: 'orders' } as const

const NOBODY = {
  consumer: () => '',
  groups: () => [],
  ip: () => '',
  header: () => '',
  cookie: () => '',
  secure: () => false,
}

/** The id of the commit that made a version: the run that it may have begun. */
async function runOf(registry: Registry, version: number): Promise<string> {
  const [entry] = await registry.audit({ before: version + 1, limit: 1 })
  return entry?.id ?? expect.fail()
}

describe('releases of a registry', () => {
  it('takes a change of the service to the next request', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    await registry.change('ops', (draft) =>
      draft.create('plugins', { ...CANARY, config: { upstream_port: 81, percentage: 5 } }, ORDERS),
    )
    const mount = mountOn(registry, { service: 'orders' })
    expect(mount.find('').place).toMatchObject({
      A: { origin: 'http://orders-v1:3000' },
      B: { origin: 'http://orders-v1:81' },
    })
    await registry.change('ops', (draft) => draft.patch('services', 'orders', { url: 'http://moved:8080/base' }))
    const { place } = mount.find('')
    expect(place).toMatchObject({
      A: { origin: 'http://moved:8080', basePath: '/base' },
      B: { origin: 'http://moved:81', basePath: '/base' },
    })
    expect(place.plan).toMatchObject({ originA: 'http://moved:8080', originB: 'http://moved:81' })
  })

  it('gives a global release a place for each service', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    await registry.change('ops', (draft) => {
      draft.create('services', { name: 'carts', url: 'http://carts' })
      draft.create('plugins', { name: 'canary', config: { upstream_uri: '/v2', percentage: 100 } })
    })
    const [orders, carts] = [mountOn(registry, { service: 'orders' }), mountOn(registry, { service: 'carts' })]
    expect(orders.find('').place.release).toBe(carts.find('').place.release)
    expect(orders.find('').place.B).toMatchObject({ origin: 'http://orders-v1:3000', fixedPath: '/v2' })
    expect(carts.find('').place.B).toMatchObject({ origin: 'http://carts', fixedPath: '/v2' })
  })

  it('keeps counts and the same release through changes of its record', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    const { entity } = await registry.change('ops', (draft) => draft.create('plugins', CANARY, ORDERS))
    const mount = mountOn(registry, { service: 'orders' })
    const release = mount.find('').place.release
    for (let i = 0; i < 10; i += 1) release?.decide({ consumer: `c${i}` })
    await registry.change('ops', (draft) =>
      draft.patch('plugins', entity.id, { config: { percentage: 100 }, instance_name: 'renamed' }),
    )
    expect(mount.find('').place.release).toBe(release)
    expect(release?.decide().upstream).toBe('B')
    const { counts, name } = release?.status() ?? {}
    expect(name).toBe('renamed')
    expect((counts?.A.requests ?? 0) + (counts?.B.requests ?? 0)).toBe(11)
  })

  it('hashes by the plugin id, so that a new name moves nobody', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    const { entity } = await registry.change('ops', (draft) =>
      draft.create('plugins', { ...CANARY, config: { ...CANARY.config, percentage: 50 } }, ORDERS),
    )
    const sides = () =>
      Array.from({ length: 200 }, (_, i) => registry.release(entity.id)?.decide({ consumer: `c${i}` }).upstream)
    const before = sides()
    await registry.change('ops', (draft) => draft.patch('plugins', entity.id, { instance_name: 'other' }))
    expect(sides()).toEqual(before)
    expect(new Set(before)).toEqual(new Set(['A', 'B']))
  })

  it('knows callers by id, username, custom_id and key, and their groups', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    const alice = await registry.change('ops', (draft) => {
      const row = draft.create('consumers', { username: 'alice', custom_id: 'crm-7' })
      draft.create('keyauth_credentials', { key: 'secret' }, { kind: 'consumers', key: 'alice' })
      draft.create('acls', { group: 'testers' }, { kind: 'consumers', key: 'alice' })
      draft.create('acls', { group: 'staff' }, { kind: 'consumers', key: 'alice' })
      return row.entity
    })
    const mount = mountOn(registry, { service: 'orders' })
    for (const caller of [alice.id, 'alice', 'crm-7', 'secret']) {
      expect(mount.find(caller).consumer).toEqual({ id: alice.id, groups: ['testers', 'staff'] })
    }
    expect(mount.find('mallory').consumer).toBeNull()
    await registry.change('ops', (draft) => draft.patch('consumers', 'alice', { username: 'alicia' }))
    const [membership] = registry.list('acls', { of: { kind: 'consumers', key: 'alicia' } })?.rows ?? []
    await registry.change('ops', (draft) => draft.remove('acls', membership?.entity.id ?? ''))
    expect(mount.find('alice').consumer).toBeNull()
    expect(mount.find('alicia').consumer?.groups).toHaveLength(1)
  })

  it('throws ERR_CANARY_SERVICE for a mount that is not known, not known any more, or disabled, and logs it once', async () => {
    const logged: string[] = []
    await using registry = await testRegistry({ logger: { ...SILENT, error: (message) => logged.push(message) } })
    const mount = mountOn(registry, { service: 'orders' })
    const unknown = expect.objectContaining({ code: 'ERR_CANARY_SERVICE', status: 503 })
    expect(() => mount.find('')).toThrow(unknown)
    expect(() => mount.find('')).toThrow(unknown)
    expect(logged).toHaveLength(1)
    await addOrders(registry)
    expect(mount.find('').place.release).toBeNull()
    await registry.change('ops', (draft) => draft.patch('services', 'orders', { enabled: false }))
    expect(() => mount.find('')).toThrow(unknown)
    await registry.change('ops', (draft) => draft.remove('services', 'orders'))
    expect(() => mount.find('')).toThrow(unknown)
    expect(logged).toHaveLength(2)
  })

  it('refuses a mount that names nothing, or too much', async () => {
    await using registry = await testRegistry()
    const option = expect.objectContaining({ code: 'ERR_CANARY_OPTION' })
    expect(() => mountOn(registry, {})).toThrow(option)
    expect(() => mountOn(registry, { api: 'a', service: 's' })).toThrow(option)
    expect(() => mountOn(registry, { service: '' })).toThrow(option)
  })

  it.each([
    ['another percentage', { percentage: 20 }, 'running', 200],
    ['another start, although the percentage goes before it', { start: T0 + 5 }, 'running', 100],
    ['another host of B', { upstream_host: 'orders-v3' }, 'running', 100],
    ['another port of B', { upstream_port: 81 }, 'running', 100],
    ['another path of B', { upstream_uri: '/v2' }, 'running', 100],
    ['a ramp instead of the percentage', { percentage: null }, 'running', 0],
    ['the same percentage', { percentage: 10 }, 'rolled-back', 0],
    ['the same host of B', { upstream_host: 'orders-v2', upstream_port: null }, 'rolled-back', 0],
    ['other steps', { steps: 500 }, 'rolled-back', 0],
    ['another duration', { duration: 60 }, 'rolled-back', 0],
    ['nothing', {}, 'rolled-back', 0],
  ])('is, after a rollback by a person and %s (%o), %s', async (_, config, state, bucketsOnB) => {
    for (const way of ['patch', 'replace'] as const) {
      await using registry = await testRegistry()
      const { entity } = await registry.change('ops', (draft) => draft.create('plugins', CANARY))
      const release = registry.release(entity.id)
      await registry.move(entity.id, 'rollback', 'broken', 'ops')
      expect(release?.status()).toMatchObject({ state: 'rolled-back', reason: 'broken', by: 'ops', bucketsOnB: 0 })
      const body = { ...CANARY, config: { ...CANARY.config, ...config } }
      await registry.change('ops', (draft) => draft[way]('plugins', entity.id, body))
      const reason = state === 'running' ? null : 'broken'
      expect(release?.status()).toMatchObject({ state, bucketsOnB, reason })
    }
  })

  it('stores another percentage under the rollback of the guard, and says so in the audit trail', async () => {
    await using registry = await testRegistry()
    const { entity } = await registry.change('ops', (draft) => draft.create('plugins', CANARY))
    const release = registry.release(entity.id)
    release?.rollback('rolled back: B failed', 'guard')
    await changed(registry, 2)
    // A pipeline that steps on, and a person who rolls back what is rolled back already.
    await registry.move(entity.id, 'rollback', 'I saw it', 'ops')
    for (const percentage of [20, null, 40]) {
      await registry.change('pipeline', (draft) => draft.patch('plugins', entity.id, { config: { percentage } }))
      expect(registry.get('plugins', entity.id)).toMatchObject({
        entity: { config: { percentage } },
        release: { state: 'rolled-back', by: 'guard', reason: 'rolled back: B failed' },
      })
      expect(release?.status()).toMatchObject({ state: 'rolled-back', by: 'guard', bucketsOnB: 0 })
      const said = `update plugins ${entity.id}: still rolled back by the guard: POST /canaries/${entity.id}/restart`
      expect((await registry.audit())[0]?.what).toBe(said)
    }
    await registry.move(entity.id, 'restart', 'repaired', 'ops')
    expect(release?.status()).toMatchObject({ state: 'running', percentage: 40, bucketsOnB: 400, reason: 'repaired' })
  })

  it('takes another percentage or start of a running or paused release as its share, and keeps run and pause', async () => {
    await using registry = await testRegistry()
    const { entity } = await registry.change('ops', (draft) => draft.create('plugins', CANARY))
    const release = registry.release(entity.id)
    const patch = (config: object) => registry.change('ops', (draft) => draft.patch('plugins', entity.id, { config }))
    await patch({ percentage: 30 })
    expect(release?.status()).toMatchObject({ state: 'running', bucketsOnB: 300, at: null })
    await registry.move(entity.id, 'pause', 'lunch', 'ops')
    await patch({ percentage: 40 })
    expect(release?.status()).toMatchObject({ state: 'paused', bucketsOnB: 400, reason: 'lunch' })
    await patch({ percentage: null, start: T0 - 360 })
    expect(release?.status()).toMatchObject({ state: 'paused', bucketsOnB: 100, reason: 'lunch' })
    registry.clock.seconds += 100
    await registry.move(entity.id, 'resume', null, 'ops')
    await patch({ start: T0 - 620 })
    expect(release?.status()).toMatchObject({ state: 'running', bucketsOnB: 200 })
    expect(registry.get('plugins', entity.id)?.release?.run).toBe(await runOf(registry, 1))
  })

  it('restarts a release, with the share that is said, in every process', async () => {
    const store = memoryStore()
    const clock = clockAt(T0)
    await using mine = disposable(await createRegistry({ store, clock, logger: SILENT }), {})
    await using other = disposable(await createRegistry({ store, clock, logger: SILENT }), {})
    const { entity } = await mine.change('ops', (draft) =>
      draft.create('plugins', { name: 'canary', config: { upstream_host: 'v2', duration: 1000 } }),
    )
    await changed(other, 1)
    const theirs = other.release(entity.id)
    clock.seconds += 500
    const release = { state: 'running', by: 'ops', elapsed: 0 }
    await mine.move(entity.id, 'restart', 'again', 'ops')
    expect(mine.get('plugins', entity.id)?.release).toEqual({
      ...release,
      reason: 'again',
      at: T0 + 500,
      run: await runOf(mine, 2),
    })
    await changed(other, 2)
    expect(theirs?.status()).toMatchObject({ state: 'running', bucketsOnB: 0, reason: 'again', start: T0 })
    clock.seconds += 100
    expect(theirs?.status().bucketsOnB).toBe(100)
    await mine.move(entity.id, 'restart', null, 'ops', { start: new Date((T0 + 900) * 1000), duration: '1m' })
    expect(mine.release(entity.id)?.status()).toMatchObject({ state: 'scheduled', endsAt: T0 + 960, elapsed: null })
    await expect(mine.move(entity.id, 'restart', null, 'ops')).rejects.toMatchObject({ code: 'ERR_CANARY_STATE' })
    await mine.change('ops', (draft) => draft.patch('plugins', entity.id, { config: { percentage: 5 } }))
    await mine.move(entity.id, 'restart', null, 'ops', { percentage: 7 })
    expect(mine.release(entity.id)?.status()).toMatchObject({ state: 'running', bucketsOnB: 70, percentage: 7 })
    for (const share of [{ percentage: 101 }, { percentage: 1, start: T0 }, { start: '2026-02-31' }, { steps: 1 }]) {
      await expect(mine.move(entity.id, 'restart', null, 'ops', share)).rejects.toThrow(ViolationError)
    }
    await expect(mine.move(entity.id, 'pause', null, 'ops', { percentage: 1 })).rejects.toThrow(ViolationError)
    expect(mine.release(entity.id)?.status().percentage).toBe(7)
    expect(await mine.move('11111111-1111-1111-1111-111111111111', 'restart', null, 'ops')).toBeNull()
  })

  it('stores the restart of a live release by code, with its share', async () => {
    await using registry = await testRegistry()
    const { entity } = await registry.change('ops', (draft) => draft.create('plugins', CANARY))
    registry.release(entity.id)?.rollback('rolled back: B failed', 'guard')
    registry.release(entity.id)?.restart('repaired', 'ada', { start: T0 - 5, duration: 100 })
    await changed(registry, 3)
    expect(registry.get('plugins', entity.id)).toMatchObject({
      entity: { config: { percentage: null, start: T0 - 5, duration: 100 } },
      release: { state: 'running', reason: 'repaired', by: 'ada', at: T0, elapsed: 0, run: await runOf(registry, 3) },
    })
    registry.clock.seconds += 10
    expect(registry.release(entity.id)?.status().bucketsOnB).toBe(100)
  })

  it('drops what the guard did in a run that is over, in a process whose store failed', async () => {
    const working = memoryStore()
    const clock = clockAt(T0)
    let broken = false
    const store: Store = {
      ...working,
      save: (...change) => (broken ? Promise.reject(AWAY) : working.save(...change)),
    }
    await using mine = await testRegistry({ store, clock, onError: () => undefined })
    await using other = disposable(await createRegistry({ store: working, clock, logger: SILENT }), {})
    const { entity } = await mine.change('ops', (draft) => draft.create('plugins', CANARY))
    await changed(other, 1)
    broken = true
    mine.release(entity.id)?.rollback('rolled back: B failed', 'guard')
    // The clock of the process where a person restarts it is behind.
    clock.seconds -= 60
    await other.move(entity.id, 'restart', 'repaired', 'ops')
    await changed(mine, 2)
    expect(mine.release(entity.id)?.status()).toMatchObject({ state: 'running', reason: 'repaired', by: 'ops' })
    broken = false
    await mine.change('ops', (draft) => draft.patch('plugins', entity.id, { tags: ['x'] }))
    expect(mine.get('plugins', entity.id)?.release).toMatchObject({
      state: 'running',
      by: 'ops',
      run: await runOf(other, 2),
    })
  })

  it('drops what the guard did of another B, in a process whose store failed, and moves nobody', async () => {
    const working = memoryStore()
    const clock = clockAt(T0)
    const store: Store = { ...working, save: () => Promise.reject(AWAY) }
    await using other = disposable(await createRegistry({ store: working, clock, logger: SILENT }), {})
    const config = { upstream_host: 'v2', start: T0, duration: 1000 }
    const { entity } = await other.change('ops', (draft) => draft.create('plugins', { name: 'canary', config }))
    await using mine = await testRegistry({ store, clock, onError: () => undefined })
    clock.seconds += 300
    mine.release(entity.id)?.rollback('rolled back: B failed', 'guard')
    await other.change('ops', (draft) => draft.patch('plugins', entity.id, { config: { upstream_host: 'v3' } }))
    await changed(mine, 2)
    for (const registry of [mine, other]) {
      expect(registry.release(entity.id)?.status()).toMatchObject({ state: 'running', bucketsOnB: 300, at: null })
      expect(registry.get('plugins', entity.id)?.release?.run).toBe(await runOf(other, 2))
    }
  })

  it('keeps what the guard did in force while another process edits the release, and stores it on that', async () => {
    const working = memoryStore()
    const clock = clockAt(T0)
    let broken = false
    const store: Store = {
      ...working,
      save: (...change) => (broken ? Promise.reject(AWAY) : working.save(...change)),
    }
    let reported: (error: unknown) => void = () => undefined
    const failure = new Promise<unknown>((resolve) => (reported = resolve))
    await using mine = await testRegistry({ store, clock, onError: (error) => reported(error) })
    await using other = disposable(await createRegistry({ store: working, clock, logger: SILENT }), {})
    const config = { upstream_host: 'v2', start: T0, duration: 1000 }
    const { entity } = await mine.change('ops', (draft) => draft.create('plugins', { name: 'canary', config }))
    await changed(other, 1)
    clock.seconds += 300
    broken = true
    mine.release(entity.id)?.rollback('rolled back: B failed', 'guard')
    await failure
    clock.seconds += 100
    await other.change('ops', (draft) => draft.patch('plugins', entity.id, { config: { duration: 2000 } }))
    await changed(mine, 2)
    expect(mine.release(entity.id)?.status()).toMatchObject({ state: 'rolled-back', by: 'guard', duration: 2000 })
    expect(other.release(entity.id)?.status()).toMatchObject({ state: 'running', bucketsOnB: 400 })
    broken = false
    await changed(other, 3)
    expect(other.release(entity.id)?.status()).toMatchObject({ state: 'rolled-back', by: 'guard', duration: 2000 })
  })

  it('drops a move of code that is not legal after what another process stored', async () => {
    const working = memoryStore()
    let release: () => void = () => undefined
    const waiting = new Promise<void>((resolve) => (release = resolve))
    let slow = false
    const store: Store = {
      ...working,
      save: async (...change) => {
        if (slow) await waiting
        return working.save(...change)
      },
    }
    await using mine = await testRegistry({ store })
    await using other = await testRegistry({ store: { ...working, close: async () => undefined } })
    const { entity } = await mine.change('ops', (draft) => draft.create('plugins', CANARY))
    await changed(other, 1)
    slow = true
    mine.release(entity.id)?.pause('lunch', 'ada')
    await other.move(entity.id, 'rollback', 'broken', 'ops')
    release()
    await mine.change('nobody', () => null)
    expect(mine.release(entity.id)?.status()).toMatchObject({ state: 'rolled-back', reason: 'broken' })
    expect(mine.get('plugins', entity.id)?.release).toMatchObject({ state: 'rolled-back', reason: 'broken' })
  })

  it('begins without the evidence of before where a release begins again, in every process', async () => {
    const store = memoryStore()
    const clock = clockAt(T0)
    const guard = { hardLimit: { failureRate: 0.5, over: 50 } }
    await using mine = await testRegistry({ store, clock, guard })
    await using other = disposable(await createRegistry({ store, clock, guard, logger: SILENT }), {})
    const config = { ...CANARY.config, percentage: 50, hash: 'none' }
    const { entity } = await mine.change('ops', (draft) => draft.create('plugins', { ...CANARY, config }))
    await changed(other, 1)
    const [here, there] = [mine.release(entity.id), other.release(entity.id)]
    if (here === null || there === null) throw new Error('there is no release')
    let versions = 1
    const failing = async () => {
      for (let second = 0; second < 20 && there.status().state === 'running'; second += 1) {
        for (let i = 0; i < 50; i += 1) {
          for (const release of [here, there]) {
            const decision = release.decide({})
            const status = decision.upstream === 'B' ? 500 : 200
            release.record({ decision, status, durationMs: 5, error: null, aborted: false })
          }
        }
        clock.seconds += 1
        await mine.change('nobody', () => null)
        await other.change('nobody', () => null)
      }
    }
    for (const begin of [
      () => mine.move(entity.id, 'restart', 'repaired', 'ops'),
      () => mine.change('ops', (draft) => draft.patch('plugins', entity.id, { config: { upstream_port: 81 } })),
      () => other.change('ops', (draft) => draft.patch('plugins', entity.id, { config: { start: T0 + 7 } })),
    ]) {
      await failing()
      expect(here.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
      expect(there.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
      await begin()
      versions = Math.max(mine.version, other.version)
      await Promise.all([changed(mine, versions), changed(other, versions)])
      for (const release of [here, there]) {
        expect(release.status().state).toBe('running')
        expect(release.guard?.report()).toMatchObject({
          verdict: 'blind',
          evidence: { errors: 1, combined: 1 },
          a: { n: 0, k: 0 },
          b: { n: 0, k: 0 },
          reason: null,
        })
        expect(release.status().counts.B.failures).toBeGreaterThan(0)
      }
    }
    await failing()
    expect(there.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
  })

  it('keeps the time that a ramp was held through moves and edits of its record', async () => {
    await using registry = await testRegistry({ guard: { hold: true, tickMs: 1000 } })
    const config = { upstream_host: 'v2', start: T0, duration: 86_400, hash: 'none' }
    const { entity } = await registry.change('ops', (draft) => draft.create('plugins', { name: 'canary', config }))
    const release = registry.release(entity.id)
    registry.clock.seconds += 864
    release?.decide({})
    expect(release?.status().bucketsOnB).toBe(10)
    for (const change of [
      () => registry.change('ops', (draft) => draft.patch('plugins', entity.id, { config: { duration: 172_800 } })),
      () => registry.move(entity.id, 'pause', 'lunch', 'ops'),
      () => registry.move(entity.id, 'resume', null, 'ops'),
      () => registry.change('ops', (draft) => draft.patch('plugins', entity.id, { enabled: false })),
      () => registry.change('ops', (draft) => draft.patch('plugins', entity.id, { enabled: true })),
    ]) {
      registry.clock.seconds += 40_000
      await change()
      if (registry.get('plugins', entity.id)?.entity.enabled === false) continue
      expect(release?.status().bucketsOnB).toBe(10)
      release?.decide({})
      expect(release?.status().bucketsOnB).toBe(10)
    }
  })

  it('refuses moves that are not legal now', async () => {
    await using registry = await testRegistry()
    const { entity } = await registry.change('ops', (draft) => draft.create('plugins', CANARY))
    const illegal = expect.objectContaining({ code: 'ERR_CANARY_STATE' })
    await expect(registry.move(entity.id, 'resume', null, 'ops')).rejects.toThrow(illegal)
    await registry.move(entity.id, 'rollback', null, 'ops')
    await expect(registry.move(entity.id, 'promote', null, 'ops')).rejects.toThrow(illegal)
    await expect(registry.finalize(entity.id, 'ops')).rejects.toThrow(illegal)
    expect(await registry.move('11111111-1111-1111-1111-111111111111', 'rollback', null, 'ops')).toBeNull()
  })

  it('goes on from a pause after a restart', async () => {
    const store = memoryStore()
    const clock = clockAt(T0)
    const open = async () => disposable(await createRegistry({ store, clock, logger: SILENT }), {})
    const first = await open()
    const { entity } = await first.change('ops', (draft) =>
      draft.create('plugins', { name: 'canary', config: { upstream_host: 'v2', duration: 1000 } }),
    )
    clock.seconds += 300
    await first.move(entity.id, 'pause', 'lunch', 'ops')
    clock.seconds += 500
    await using second = await open()
    expect(second.release(entity.id)?.status()).toMatchObject({ state: 'paused', bucketsOnB: 300, reason: 'lunch' })
    await second.move(entity.id, 'resume', null, 'ops')
    clock.seconds += 100
    expect(second.release(entity.id)?.status()).toMatchObject({ state: 'running', bucketsOnB: 400 })
    await first.close()
  })

  it('stores what the guard did with the live release, and brings it to other processes', async () => {
    const store = memoryStore()
    const clock = clockAt(T0)
    const options = { store, clock, logger: SILENT }
    await using mine = disposable(await createRegistry(options), {})
    await using other = disposable(await createRegistry(options), {})
    const { entity } = await mine.change('ops', (draft) => draft.create('plugins', CANARY))
    await changed(other, 1)
    const theirs = other.release(entity.id)
    expect(theirs?.status().state).toBe('running')
    mine.release(entity.id)?.rollback('B failed 14 of 310 requests', 'guard')
    await changed(other, 2)
    await changed(mine, 2)
    expect(theirs?.status()).toMatchObject({ state: 'rolled-back', by: 'guard', reason: 'B failed 14 of 310 requests' })
    expect(mine.get('plugins', entity.id)?.release).toMatchObject({ state: 'rolled-back', by: 'guard', at: T0 })
    expect((await mine.audit())[0]).toMatchObject({
      by: 'guard',
      what: `rollback plugins ${entity.id}: B failed 14 of 310 requests`,
    })
  })

  it('stores what code did with the live release, a pause as well', async () => {
    await using registry = await testRegistry()
    const { entity } = await registry.change('ops', (draft) => draft.create('plugins', CANARY))
    const release = registry.release(entity.id)
    release?.pause('lunch')
    await changed(registry, 2)
    release?.resume()
    await changed(registry, 3)
    release?.promote('all is well')
    await changed(registry, 4)
    expect(registry.get('plugins', entity.id)?.release).toMatchObject({ state: 'promoted', reason: 'all is well' })
    expect((await registry.audit({ limit: 3 })).map(({ what }) => what)).toEqual([
      `promote plugins ${entity.id}: all is well`,
      `resume plugins ${entity.id}`,
      `pause plugins ${entity.id}: lunch`,
    ])
  })

  it('keeps what the guard did in force while the store is away, and stores it later', async () => {
    const working = memoryStore()
    let broken = false
    const store: Store = {
      ...working,
      save: (...change) => (broken ? Promise.reject(AWAY) : working.save(...change)),
    }
    let reported: (error: unknown) => void = () => undefined
    const failure = new Promise<unknown>((resolve) => (reported = resolve))
    await using registry = await testRegistry({ store, onError: (error) => reported(error) })
    const { entity } = await registry.change('ops', (draft) => draft.create('plugins', CANARY))
    const release = registry.release(entity.id)
    broken = true
    release?.rollback('B failed', 'guard')
    expect(await failure).toMatchObject({ code: 'ERR_CANARY_STORE' })
    expect(registry.get('plugins', entity.id)?.release?.state).toBe('running')
    expect(release?.status().state).toBe('rolled-back')
    broken = false
    await registry.change('ops', (draft) => draft.patch('plugins', entity.id, { tags: ['x'] }))
    expect(release?.status().state).toBe('rolled-back')
    await changed(registry, 3)
    expect(registry.get('plugins', entity.id)?.release).toMatchObject({ state: 'rolled-back', by: 'guard' })
  })

  it('stores what the guard did just before the registry is closed', async () => {
    const store = memoryStore()
    const registry = await testRegistry({ store: { ...store, close: async () => undefined } })
    const { entity } = await registry.change('ops', (draft) => draft.create('plugins', CANARY))
    registry.release(entity.id)?.rollback('B failed', 'guard')
    await registry.close()
    await using later = await testRegistry({ store })
    expect(later.release(entity.id)?.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
  })

  it('rolls back by its guard for every mount, and remembers it', async () => {
    const store = memoryStore()
    await using registry = await testRegistry({
      store: { ...store, close: async () => undefined },
      guard: { hardLimit: { failureRate: 0.5, over: 50 } },
    })
    await addOrders(registry)
    const { entity } = await registry.change('ops', (draft) =>
      draft.create('plugins', { ...CANARY, config: { ...CANARY.config, percentage: 50, hash: 'none' } }, ORDERS),
    )
    const mount = mountOn(registry, { service: 'orders' })
    const error = new Error('B is down')
    for (let second = 0; second < 20; second += 1) {
      for (let i = 0; i < 50; i += 1) {
        const { place } = mount.find('')
        const decision = place.release?.decideBy(NOBODY, place.plan)
        if (decision === undefined) throw new Error('no release')
        const failed = decision.upstream === 'B'
        place.release?.record({
          decision,
          status: failed ? null : 200,
          durationMs: 5,
          error: failed ? error : null,
          aborted: false,
        })
      }
      registry.clock.seconds += 1
    }
    const { place } = mount.find('')
    expect(place.release?.decideBy(NOBODY, place.plan)).toMatchObject({ upstream: 'A', reason: 'rolled-back' })
    await changed(registry, 3)
    await using later = await testRegistry({ store })
    expect(later.get('plugins', entity.id)?.release).toMatchObject({ state: 'rolled-back', by: 'guard' })
    expect(mountOn(later, { service: 'orders' }).find('').place.release?.decide().upstream).toBe('A')
  })

  it('explains for a caller named in any way', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    const id = await registry.change('ops', (draft) => draft.create('consumers', { username: 'alice' }).entity.id)
    const { entity } = await registry.change('ops', (draft) => draft.create('plugins', CANARY, ORDERS))
    const explanation = registry.explain(entity.id, { consumer: 'alice' })
    expect(explanation).toMatchObject({ identity: id, decision: { hashedBy: 'consumer' } })
    expect(explanation?.decision.origin).toMatch(/^http:\/\/orders-v[12]:3000$/)
    expect(registry.explain(entity.id, {})?.decision.hashedBy).toBe('none')
    expect(registry.explain('nobody', {})).toBeNull()
  })
})

describe('finalizing', () => {
  it("moves a service to B's location and deletes the plugin, in one change", async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    const config = { upstream_host: 'orders-v2', upstream_port: 8080, upstream_uri: '/new', percentage: 10 }
    const { entity } = await registry.change('ops', (draft) =>
      draft.create('plugins', { name: 'canary', config }, ORDERS),
    )
    const mount = mountOn(registry, { service: 'orders' })
    const row = await registry.finalize(entity.id, 'ops')
    expect(row?.entity).toMatchObject({ name: 'orders', protocol: 'http', host: 'orders-v2', port: 8080, path: '/new' })
    expect(registry.version).toBe(3)
    expect(mount.find('').place).toMatchObject({
      release: null,
      A: { origin: 'http://orders-v2:8080', basePath: '/new' },
    })
    expect(registry.get('plugins', entity.id)).toBeNull()
    expect(await registry.finalize(entity.id, 'ops')).toBeNull()
  })

  it('moves a legacy api, and the service of its only route', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    const [onApi, onRoute] = await registry.change('ops', (draft) => {
      draft.create('apis', { name: 'old', upstream_url: 'https://old.example/base' })
      draft.create('routes', { name: 'r' }, ORDERS)
      return [
        draft.create('plugins', CANARY, { kind: 'apis', key: 'old' }).entity.id,
        draft.create('plugins', CANARY, { kind: 'routes', key: 'r' }).entity.id,
      ]
    })
    expect((await registry.finalize(onApi ?? '', 'ops'))?.entity).toMatchObject({
      upstream_url: 'https://orders-v2/base',
    })
    expect((await registry.finalize(onRoute ?? '', 'ops'))?.entity).toMatchObject({ host: 'orders-v2', port: 3000 })
  })

  it('is refused where there is no single location', async () => {
    await using registry = await testRegistry()
    await addOrders(registry)
    const ids = await registry.change('ops', (draft) => {
      draft.create('routes', { name: 'r1' }, ORDERS)
      draft.create('routes', { name: 'r2' }, ORDERS)
      draft.create('consumers', { username: 'alice' })
      return [
        draft.create('plugins', CANARY),
        draft.create('plugins', CANARY, { kind: 'consumers', key: 'alice' }),
        draft.create('plugins', CANARY, { kind: 'routes', key: 'r1' }),
      ].map(({ entity }) => entity.id)
    })
    for (const id of ids) {
      await expect(registry.finalize(id, 'ops')).rejects.toMatchObject({ code: 'ERR_CANARY_STATE' })
    }
    expect(registry.snapshot().rows.filter(({ kind }) => kind === 'plugins')).toHaveLength(3)
  })
})
