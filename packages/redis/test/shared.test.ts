import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SharedMemory, memoryShared } from '../../core/src/guard/fleet/memory-shared.js'
import type { PublishedDelta } from '@canary-release/core/guard/internal'
import { RUN, aStep, actOf } from '../../core/test/guard/shared-steps.js'
import { sharedSuite } from '../../core/test/guard/shared-suite.js'
import { startCutProxy } from '../../../test/servers/cut-proxy.js'
import { until } from '../../../test/servers/processes.js'
import { type RedisServer, startRedis } from '../../../test/servers/redis.js'
import { requireBinary } from '../../../test/servers/requirement.js'
import { Connection } from '../src/connection.js'
import { dialer } from '../src/dialer.js'
import { keysOf } from '../src/keys.js'
import { RedisShared } from '../src/shared/redis-shared.js'

const SAYS = { host: 'host-1', pid: 1, version: '1.0.0', tickedAt: null, refused: 0, expired: 0 }

const describeWithRedis = requireBinary('redis-server')
let names = 0

describeWithRedis('on redis-server,', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server[Symbol.asyncDispose]())

  /** What processes share under a name of its own. */
  function share() {
    names += 1
    const keys = keysOf(`shared-${names}`)
    const dial = dialer(server.url)
    const opened: Connection[] = []
    let shift = 0
    return {
      keys,
      async connect() {
        const connection = new Connection(() => dial(keys.head))
        opened.push(connection)
        return new RedisShared(
          connection,
          keys,
          () => undefined,
          () => shift,
        )
      },
      async pass(ms: number) {
        shift += ms
      },
      async end(release: string) {
        await server.command('HSET', keys.rows, `plugins/${release}`, '7 {"entity":{},"release":{"run":"another"}}')
      },
      async close() {
        for (const connection of opened) connection.close()
      },
    }
  }

  sharedSuite('Redis', async () => share())

  test('nothing is counted twice when an answer is lost, and nothing can be shared while it is away', async () => {
    await using own = await startRedis()
    await using link = await startCutProxy(own.port)
    const keys = keysOf('shared')
    const dial = dialer(`redis://127.0.0.1:${link.port}`)
    const connection = new Connection(() => dial(keys.head))
    const shared = new RedisShared(connection, keys, () => undefined)
    const { member } = await shared.join()
    const delta = (tick: number): PublishedDelta => ({
      member,
      release: 'plugin-1',
      run: RUN,
      hash: 'options-1',
      tick,
      through: tick,
      cells: [{ share: [500, 1000], decided: [4, 3], ended: [4, 3], failures: [] }],
    })
    await shared.publish([{ ...delta(10), cells: [], enters: true }])
    link.loseAnswers()
    await expect(shared.publish([delta(11)])).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
    await expect(shared.closeTick(RUN, -1)).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
    const before = shared.now()
    link.mend()
    await until(() => shared.beat(member, SAYS).then(Boolean, () => false), 'it is back')
    expect(await shared.publish([delta(11), delta(12)])).toMatchObject([{ kind: 'known' }, { kind: 'taken' }])
    expect(await shared.closeTick(RUN, -1)).toMatchObject({ closed: 12, requests: 14 })
    expect(shared.now()).toBeGreaterThanOrEqual(before)
    connection.close()
    await expect(shared.beat(member, SAYS)).rejects.toMatchObject({ code: 'ERR_CANARY_CLOSED' })
  })

  test('what is done on the server is what RunLog does, whatever members do', { timeout: 120_000 }, async () => {
    let lost = 0
    await fc.assert(
      fc.asyncProperty(fc.array(aStep, { minLength: 20, maxLength: 80 }), async (steps) => {
        const redis = share()
        let now = 1_700_000_000_000
        const memory = memoryShared(new SharedMemory(() => now), () => now)
        const shared = await redis.connect()
        const ticks = new Map<string, number>()
        for (const step of steps) {
          if (step.kind === 'pass') {
            now += step.ms
            // oxlint-disable-next-line no-await-in-loop -- one after another
            await redis.pass(step.ms)
            continue
          }
          const act = actOf(step, ticks)
          // oxlint-disable-next-line no-await-in-loop -- one after another
          const [there, here] = [await act(shared), await act(memory)]
          expect(there).toEqual(here)
          if (JSON.stringify(there).includes('"lost"')) lost += 1
        }
        await redis.close()
      }),
      { seed: 5, numRuns: 60 },
    )
    // Otherwise the hard part of it was never met.
    expect(lost).toBeGreaterThan(20)
  })
})
