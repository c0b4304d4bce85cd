import { type Registry, createRegistry } from '@canary-release/core/registry'
import { expect, test } from 'vitest'
import { Draws } from '../../../bench/draws.js'
import { SILENT, addOrders } from '../../core/test/registry/harness.js'
import { until } from '../../../test/servers/processes.js'
import { requireBinary } from '../../../test/servers/requirement.js'
import { whatIsOpened } from './opened.js'

const describeWithRedis = requireBinary('redis-server')
const { keep, server, open } = whatIsOpened()
const GUARD = { latency: false, hardLimit: false, tickMs: 100 } as const
const EVEN = { name: 'canary', config: { upstream_host: 'orders-v2', percentage: 50, hash: 'none' } }

async function gateway(port: number): Promise<Registry> {
  const registry = await createRegistry({ store: open(port), logger: SILENT, guard: GUARD })
  keep({ [Symbol.asyncDispose]: () => registry.close() })
  return registry
}

/** Requests of one gateway, of which some of B's fail. */
function send(registry: Registry, plugin: string, draws: Draws, rateOfB: number): void {
  const release = registry.release(plugin) ?? expect.fail()
  for (let i = 0; i < 10; i += 1) {
    const decision = release.decide({})
    const status = draws.uniform() < (decision.upstream === 'B' ? rateOfB : 0.01) ? 503 : 200
    release.record({ decision, status, error: null, aborted: false, durationMs: 5 })
  }
}

describeWithRedis('gateways on one Redis', () => {
  test('roll a bad B back by one move, and go on with a restart', async () => {
    const redis = await server()
    const [mine, theirs] = [await gateway(redis.port), await gateway(redis.port)]
    await addOrders(mine)
    const { entity } = await mine.change('ops', (draft) =>
      draft.create('plugins', EVEN, { kind: 'services', key: 'orders' }),
    )
    const { id } = entity
    await until(() => theirs.version === mine.version, 'both have it')
    const draws = new Draws(1)
    const both = [mine, theirs]
    const stateOf = (registry: Registry) => registry.release(id)?.status().state
    await until(() => {
      for (const registry of both) send(registry, id, draws, 0.3)
      return both.every((registry) => stateOf(registry) === 'rolled-back')
    }, 'it is rolled back')
    const run = mine.get('plugins', id)?.release?.run
    expect((await mine.members()).map(({ self }) => self).toSorted()).toEqual([false, true])
    await mine.move(id, 'restart', 'repaired', 'ops')
    expect(mine.get('plugins', id)?.release?.run).not.toBe(run)
    await until(() => {
      for (const registry of both) send(registry, id, draws, 0.01)
      return (theirs.fleet(id)?.members.length ?? 0) === 2
    }, 'both count in the next run')
    expect(both.map(stateOf)).toEqual(['running', 'running'])
    expect((await mine.audit({ by: 'guard' })).map(({ what }) => what.split(' ')[0])).toEqual(['rollback'])
  })
})
