import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type Registry, type RegistryOptions, type Store, createRegistry } from '@canary-release/core/registry'
import { expect, test } from 'vitest'
import { CANARY, SILENT, T0, addOrders, clockAt } from '../../core/test/registry/harness.js'
import { startCutProxy } from '../../../test/servers/cut-proxy.js'
import { until } from '../../../test/servers/processes.js'
import { requireBinary } from '../../../test/servers/requirement.js'
import { whatIsOpened } from './opened.js'

const describeWithRedis = requireBinary('redis-server')
const { keep, server, open } = whatIsOpened()

/** A gateway's registry. What it reports is kept. */
async function gateway(store: Store, options: Partial<RegistryOptions> = {}) {
  const reported: unknown[] = []
  const onError = (error: unknown) => reported.push(error)
  const registry = await createRegistry({ store, logger: SILENT, onError, ...options })
  keep({ [Symbol.asyncDispose]: () => registry.close() })
  return Object.assign(registry, { reported })
}

const rename = (registry: Registry, host: string) =>
  registry.change('ops', (draft) => draft.patch('services', 'orders', { host }))
const hostOf = (registry: Registry) => registry.get('services', 'orders')?.entity.host
const addCanary = (registry: Registry) =>
  registry.change('ops', (draft) => draft.create('plugins', CANARY, { kind: 'services', key: 'orders' }).entity.id)

/** All that is in force; the order of rows says nothing. */
function inForce(registry: Registry) {
  const { at, rows } = registry.snapshot()
  return { at, rows: rows.toSorted((a, b) => (a.entity.id < b.entity.id ? -1 : 1)) }
}

const REFUSED = { code: 'ERR_CANARY_STORE', status: 503, outcome: 'not-written' }

describeWithRedis('gateways on one Redis', () => {
  test('have the same in force, whoever changed it', async () => {
    const redis = await server()
    const [mine, theirs] = [await gateway(open(redis.port)), await gateway(open(redis.port))]
    await addOrders(mine)
    await until(() => theirs.version === 1, 'it is there')
    expect(inForce(theirs)).toEqual(inForce(mine))
    await Promise.all([rename(mine, 'a'), rename(theirs, 'b'), addCanary(theirs)])
    await until(() => mine.version === 4 && theirs.version === 4, 'all are there')
    expect(inForce(theirs)).toEqual(inForce(mine))
    expect(await theirs.audit()).toEqual(await mine.audit())
  })

  test('make changes at the same time that are not in each other’s way, and none is refused', async () => {
    const redis = await server()
    const gateways = await Promise.all(Array.from({ length: 8 }, () => gateway(open(redis.port))))
    const [first] = gateways
    await first?.change('ops', (draft) => {
      for (let i = 0; i < 80; i += 1) draft.create('services', { name: `service-${i}`, url: 'http://orders' })
    })
    await until(() => gateways.every(({ version }) => version === 1), 'all have them')
    await Promise.all(
      gateways.map(async (registry, who) => {
        for (let i = 0; i < 10; i += 1) {
          const name = `service-${who * 10 + i}`
          await registry.change('ops', (draft) => draft.patch('services', name, { host: `host-${who}` }))
        }
      }),
    )
    await until(() => gateways.every(({ version }) => version === 81), 'all have all')
    for (const registry of gateways) expect(registry.snapshot().at).toEqual(first?.snapshot().at)
    expect(first?.get('services', 'service-79')?.entity.host).toBe('host-7')
  })

  test('go on while it is gone, refuse changes at once, and follow when it is back', async () => {
    const redis = await server()
    const [mine, theirs] = [await gateway(open(redis.port)), await gateway(open(redis.port))]
    await addOrders(mine)
    const plugin = await addCanary(mine)
    await until(() => theirs.version === 2, 'it is there')
    await redis.kill()
    await until(() => !mine.storeStatus.connected && !theirs.storeStatus.connected, 'both know')
    const begun = performance.now()
    await expect(rename(mine, 'b')).rejects.toMatchObject(REFUSED)
    expect(performance.now() - begun).toBeLessThan(1000)
    expect(hostOf(mine)).toBe('orders-v1')
    // What the guard does is in force here at once, and stored as soon as it can be.
    mine.release(plugin)?.rollback('too many errors')
    expect(mine.release(plugin)?.status().state).toBe('rolled-back')
    expect(theirs.release(plugin)?.status().state).toBe('running')
    await redis.start()
    await until(() => theirs.release(plugin)?.status().state === 'rolled-back', 'the move has followed')
    await rename(theirs, 'c')
    await until(() => hostOf(mine) === 'c', 'changes are made again')
    expect(inForce(mine)).toEqual(inForce(theirs))
  })

  test('answer in time while it stands still, and close', async () => {
    const redis = await server()
    const mine = await gateway(open(redis.port), { changeTimeoutMs: 300 })
    await addOrders(mine)
    redis.freeze()
    const begun = performance.now()
    const results = await Promise.allSettled(['b', 'c', 'd'].map((host) => rename(mine, host)))
    expect(performance.now() - begun).toBeLessThan(5000)
    for (const result of results) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ERR_CANARY_STORE', status: 503 } })
    }
    expect(hostOf(mine)).toBe('orders-v1')
    await mine.close()
  })

  test('keep the last state in force where it was emptied, until someone accepts what is stored', async () => {
    const redis = await server()
    const [mine, theirs] = [await gateway(open(redis.port)), await gateway(open(redis.port))]
    await addOrders(mine)
    await until(() => theirs.version === 1, 'it is there')
    await redis.command('FLUSHALL')
    await until(() => mine.storeStatus.rewound !== null && theirs.storeStatus.rewound !== null, 'both know')
    for (const registry of [mine, theirs]) {
      expect(hostOf(registry)).toBe('orders-v1')
      await expect(rename(registry, 'b')).rejects.toMatchObject(REFUSED)
      expect(registry.reported).toMatchObject([{ message: expect.stringMatching(/emptied, put back or failed over/) }])
    }
    const stored = mine.storeStatus.rewound?.stored
    if (stored !== undefined) await mine.accept(stored)
    expect(mine.snapshot().rows).toEqual([])
    await addOrders(mine)
    expect(hostOf(mine)).toBe('orders-v1')
  })

  test('take one order where a person and a guard act at once', async () => {
    const redis = await server()
    const proxy = keep(await startCutProxy(redis.port))
    // Clocks that are 10 minutes apart decide nothing.
    const mine = await gateway(open(proxy.port), { clock: clockAt(T0 + 300) })
    const theirs = await gateway(open(redis.port), { clock: clockAt(T0 - 300) })
    await addOrders(theirs)
    const plugin = await addCanary(theirs)
    await until(() => mine.version === 2, 'it is there')
    proxy.cut()
    await until(() => !mine.storeStatus.connected, 'it is cut off')
    mine.release(plugin)?.rollback('too many errors')
    await theirs.move(plugin, 'promote', 'looks good', 'ops')
    proxy.mend()
    await until(() => mine.storeStatus.connected, 'it is back')
    const state = (registry: Registry) => registry.release(plugin)?.status().state
    await until(() => mine.version === theirs.version && mine.version >= 3, 'both stand at the same')
    await until(() => state(mine) === state(theirs), 'both have the same in force')
    const stored = await gateway(open(redis.port))
    expect([state(mine), state(theirs)]).toEqual([state(stored), state(stored)])
  })

  test('begin while it is away with what the cache holds, stale and without changes', async () => {
    const redis = await server()
    const folder = mkdtempSync(join(tmpdir(), 'canary-cache-'))
    keep({ [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true }) })
    const cache = join(folder, 'last.json')
    const first = await gateway(open(redis.port), { cache })
    await addOrders(first)
    await first.close()
    await redis.kill()
    const second = await gateway(open(redis.port), { cache })
    expect(second.storeStatus).toMatchObject({ connected: false, stale: true })
    expect(hostOf(second)).toBe('orders-v1')
    await expect(rename(second, 'b')).rejects.toMatchObject(REFUSED)
    await redis.start()
    await until(() => second.storeStatus.connected && !second.storeStatus.stale, 'it has been read')
    await rename(second, 'b')
    expect(hostOf(second)).toBe('b')
    await redis.kill()
    await expect(gateway(open(redis.port))).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
  })

  test('say once that somebody else wrote into the log, and do not read all anew without end', async () => {
    const redis = await server()
    const mine = await gateway(open(redis.port))
    await addOrders(mine)
    await redis.command('XADD', '{canary:default}:log', '7-0', 'id', 'nobody')
    await until(() => mine.reported.length > 0, 'it is reported')
    const scans = async () =>
      Number(/cmdstat_hscan:calls=(\d+)/.exec(await redis.command('INFO', 'commandstats'))?.[1] ?? 0)
    const before = await scans()
    await setTimeout(1000)
    expect((await scans()) - before).toBeLessThan(10)
    await redis.command('XTRIM', '{canary:default}:log', 'MAXLEN', '0')
    expect(hostOf(mine)).toBeDefined()
  })

  test.each(['log', 'ids', 'audit'])('write nothing where somebody else wrote into %s', async (stream) => {
    const redis = await server()
    const mine = await gateway(open(redis.port))
    await addOrders(mine)
    await redis.command('XADD', `{canary:default}:${stream}`, '7-0', 'id', 'nobody')
    const lengths = () =>
      Promise.all(['log', 'ids', 'audit'].map((name) => redis.command('XLEN', `{canary:default}:${name}`)))
    const before = await lengths()
    await expect(rename(mine, 'a')).rejects.toMatchObject({ ...REFUSED, message: expect.stringMatching(/not whole/) })
    expect(await lengths()).toEqual(before)
  })
})
