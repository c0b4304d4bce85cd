import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CanaryError } from '@canary-release/core'
import { type Registry, type RegistryOptions, createRegistry } from '@canary-release/core/registry'
import { type Client, Network } from '../store/network.js'
import { CANARY, type Clock, SILENT, T0, addOrders, changed, clockAt } from './harness.js'

interface Process {
  readonly registry: Registry
  readonly client: Client
  readonly clock: Clock
}

/** Processes on one store, each with a clock and a line of its own. */
async function processes(
  offsets: readonly number[],
  config: object = CANARY.config,
  guard: RegistryOptions['guard'] = false,
) {
  const network = new Network()
  const open = async (offset: number): Promise<Process> => {
    const client = network.connect()
    const clock = clockAt(T0 + offset)
    const options = { logger: SILENT, onError: () => undefined, random: () => 0, changeTimeoutMs: 5_000, guard }
    return { client, clock, registry: await createRegistry({ ...options, store: client, clock }) }
  }
  const all = await Promise.all(offsets.map(open))
  const [first] = all
  if (first === undefined) throw new Error('no process')
  await addOrders(first.registry)
  const { id } = await first.registry.change('ops', (draft) => {
    const parent = { kind: 'services', key: 'orders' } as const
    return draft.create('plugins', { ...CANARY, config }, parent).entity
  })
  await Promise.all(all.map(({ registry }) => changed(registry, 2)))
  return {
    all,
    id,
    network,
    async [Symbol.asyncDispose]() {
      for (const { client } of all) client.line = 'up'
      await Promise.all(all.map(({ registry }) => registry.close()))
    },
  }
}

/** What a release does, as far as it does not follow from a clock. */
function liveOf({ registry }: Process, id: string) {
  const { state, by, reason } = registry.release(id)?.status() ?? expect.fail()
  return { state, by, reason }
}

function storedOf({ registry }: Process, id: string) {
  const { state, by, reason } = registry.get('plugins', id)?.release ?? expect.fail()
  return { state, by, reason }
}

/** Waits until all processes are at one version and their releases do what is stored. */
async function settled(all: readonly Process[], id: string): Promise<void> {
  const differing = () => {
    const [first, ...others] = all.map(({ registry }) => registry.storeStatus.position.id)
    const behind = others.filter((each) => each !== first)
    const live = all.map((process) => [liveOf(process, id), storedOf(process, id)])
    return [...behind, ...live.filter(([is, stored]) => !isDeepStrictEqual(is, stored))]
  }
  await expect.poll(differing, { timeout: 5_000, interval: 2 }).toEqual([])
}

const rollback = ({ registry }: Process, id: string, reason = 'B failed') =>
  registry.release(id)?.rollback(reason, 'guard')

describe('moves of several processes', () => {
  it('lose no rollback of the guard because its clock stepped back', async () => {
    await using place = await processes([0, 0])
    const { all, id } = place
    const [mine, other] = all as [Process, Process]
    await mine.registry.move(id, 'pause', 'lunch', 'ops')
    await mine.registry.move(id, 'resume', null, 'ops')
    await changed(other.registry, 4)
    other.clock.seconds -= 3_600
    rollback(other, id)
    await changed(mine.registry, 5)
    await settled(all, id)
    expect(liveOf(mine, id)).toEqual({ state: 'rolled-back', by: 'guard', reason: 'B failed' })
  })

  it.each([
    ['restarts the release', (registry: Registry, id: string) => registry.move(id, 'restart', 'repaired', 'ops')],
    [
      'puts another B in place',
      (registry: Registry, id: string) =>
        registry.change('ops', (draft) => draft.patch('plugins', id, { config: { upstream_host: 'v3' } })),
    ],
    [
      'moves the service',
      (registry: Registry) => registry.change('ops', (draft) => draft.patch('services', 'orders', { host: 'v1-new' })),
    ],
  ] as const)('drop what a process did that was cut off, once a person %s', async (_, change) => {
    await using place = await processes([0, 300])
    const { all, id } = place
    const [mine, other] = all as [Process, Process]
    other.client.line = 'refused'
    rollback(other, id)
    expect(liveOf(other, id).state).toBe('rolled-back')
    await change(mine.registry, id)
    const run = mine.registry.get('plugins', id)?.release?.run
    other.client.line = 'up'
    await changed(other.registry, 3)
    await settled(all, id)
    expect(liveOf(other, id).state).toBe('running')
    expect(other.registry.get('plugins', id)?.release?.run).toBe(run)
    expect(other.registry.version).toBe(3)
    // Of the new run, the guard's word counts.
    rollback(other, id, 'again')
    await changed(mine.registry, 4)
    await settled(all, id)
    expect(liveOf(mine, id)).toEqual({ state: 'rolled-back', by: 'guard', reason: 'again' })
  })

  it('give a follower that cannot write back to the others, with the next run', async () => {
    await using place = await processes([0, -300])
    const { all, id } = place
    const [mine, follower] = all as [Process, Process]
    follower.client.save = () =>
      Promise.reject(new CanaryError('ERR_CANARY_STORE', 'read only', { outcome: 'not-written' }))
    rollback(follower, id)
    expect(liveOf(mine, id).state).toBe('running')
    mine.clock.seconds += 60
    await mine.registry.move(id, 'restart', null, 'ops')
    await changed(follower.registry, 3)
    expect(liveOf(follower, id)).toEqual({ state: 'running', by: 'ops', reason: null })
    expect(follower.registry.release(id)?.status().bucketsOnB).toBe(100)
  })

  it.each([
    ['pause', 'rolled-back', 'guard'],
    ['promote', 'rolled-back', 'guard'],
    ['rollback', 'rolled-back', 'guard'],
    ['restart', 'running', 'ops'],
  ] as const)('come in one order where a person wants to %s and the guard to roll back', async (move, state, by) => {
    await using place = await processes([300, -300])
    const { all, id } = place
    const [mine, other] = all as [Process, Process]
    // Neither has heard of the other.
    other.client.line = 'refused'
    rollback(other, id)
    await mine.registry.move(id, move, 'person', 'ops')
    other.client.line = 'up'
    await expect.poll(() => liveOf(mine, id)).toMatchObject({ state, by })
    await settled(all, id)
    expect(all.map((process) => liveOf(process, id))).toMatchObject([
      { state, by },
      { state, by },
    ])
  })

  it('drop a pause of the guard that a person was faster to make needless', async () => {
    await using place = await processes([0, 300])
    const { all, id } = place
    const [mine, other] = all as [Process, Process]
    other.client.line = 'refused'
    other.registry.release(id)?.pause('evidence', 'guard')
    await mine.registry.move(id, 'promote', 'done', 'ops')
    other.client.line = 'up'
    await changed(other.registry, 3)
    await settled(all, id)
    expect(liveOf(other, id)).toEqual({ state: 'promoted', by: 'ops', reason: 'done' })
  })

  it('keep the share of a pause, whatever the clocks say', async () => {
    await using place = await processes([0, 300, -300], { upstream_host: 'v2', start: T0, duration: 10_000 })
    const { all, id } = place
    const [mine, ahead, behind] = all as [Process, Process, Process]
    for (const { clock } of all) clock.seconds += 1_000
    await ahead.registry.move(id, 'pause', null, 'ops')
    await Promise.all(all.map(({ registry }) => changed(registry, 3)))
    for (const { clock } of all) clock.seconds += 1_000
    const shares = () => all.map(({ registry }) => registry.release(id)?.status().bucketsOnB)
    expect(shares()).toEqual([130, 130, 130])
    await behind.registry.change('ops', (draft) => draft.patch('plugins', id, { tags: ['x'] }))
    await Promise.all(all.map(({ registry }) => changed(registry, 4)))
    expect(shares()).toEqual([130, 130, 130])
    expect(mine.registry.get('plugins', id)?.release).toEqual(behind.registry.get('plugins', id)?.release)
  })

  it('begin the run of a release by their commit, and every process agrees on it', async () => {
    await using place = await processes([0, 300])
    const { all, id } = place
    const [mine, other] = all as [Process, Process]
    const runs: unknown[] = []
    const step = async (change: () => Promise<unknown>, begins: boolean) => {
      const { version } = mine.registry
      const before = mine.registry.get('plugins', id)?.release?.run
      await change()
      await Promise.all(all.map(({ registry }) => changed(registry, version + 1)))
      const [here, there] = all.map(({ registry }) => registry.get('plugins', id)?.release?.run)
      expect(here).toBe(there)
      expect(here === before).toBe(!begins)
      if (begins) expect(here).toBe((await mine.registry.audit({ limit: 1 }))[0]?.id)
      runs.push(here)
    }
    const patch = (config: object) => () =>
      mine.registry.change('ops', (draft) => draft.patch('plugins', id, { config }))
    await step(() => other.registry.move(id, 'pause', null, 'ops'), false)
    await step(() => mine.registry.move(id, 'resume', null, 'ops'), false)
    await step(patch({ percentage: 20 }), false)
    await step(patch({ upstream_port: 81 }), true)
    await step(() => mine.registry.change('ops', (draft) => draft.patch('services', 'orders', { port: 82 })), true)
    await step(() => mine.registry.change('ops', (draft) => draft.patch('services', 'orders', { tags: ['x'] })), false)
    await step(() => other.registry.move(id, 'rollback', null, 'ops'), false)
    await step(() => other.registry.move(id, 'restart', null, 'ops'), true)
    await step(
      () =>
        other.registry.change('ops', (draft) => {
          const { entity } = draft.create('services', { name: 'other', url: 'http://other' })
          draft.patch('plugins', id, { service: { id: entity.id } })
        }),
      true,
    )
    expect(new Set(runs).size).toBe(5)
  })

  it('begin another run where a pause for a breach is resumed, and go on where the release was', async () => {
    const guard = { onBreach: 'pause', hardLimit: { failureRate: 0.5, over: 50 } } as const
    const config = { upstream_host: 'v2', start: T0 - 500, duration: 1_000, hash: 'none' }
    await using place = await processes([0, 0], config, guard)
    const { all, id } = place
    const [mine, other] = all as [Process, Process]
    const release = other.registry.release(id) ?? expect.fail()
    const run = other.registry.get('plugins', id)?.release?.run
    for (let second = 0; second < 20 && release.status().state === 'running'; second += 1) {
      for (let i = 0; i < 100; i += 1) {
        const decision = release.decide({})
        const status = decision.upstream === 'B' ? 500 : 200
        release.record({ decision, status, durationMs: 5, error: null, aborted: false })
      }
      for (const { clock } of all) clock.seconds += 1
    }
    expect(release.status()).toMatchObject({ state: 'paused', by: 'guard' })
    const { bucketsOnB } = release.status()
    await changed(mine.registry, 3)
    expect(mine.registry.get('plugins', id)?.release).toMatchObject({ state: 'paused', by: 'guard', breach: true, run })
    await mine.registry.move(id, 'resume', 'looked at', 'ops')
    await changed(other.registry, 4)
    const resumed = other.registry.get('plugins', id)?.release
    expect(resumed).toMatchObject({ state: 'running', by: 'ops' })
    expect(resumed?.run).not.toBe(run)
    expect(resumed?.breach).toBeUndefined()
    expect(release.status()).toMatchObject({ state: 'running', bucketsOnB })
    expect(release.guard?.report()).toMatchObject({ verdict: 'blind', b: { n: 0, k: 0 } })
    // A person's pause begins nothing.
    await mine.registry.move(id, 'pause', 'lunch', 'ops')
    await mine.registry.move(id, 'resume', null, 'ops')
    expect(mine.registry.get('plugins', id)?.release?.run).toBe(resumed?.run)
  })

  it(
    'come to one state everywhere, whoever was cut off and whatever the clocks say',
    { timeout: 120_000 },
    async () => {
      const moves = { pause: 4, resume: 4, rollback: 2, promote: 1, restart: 2 } as const
      const names = fc.oneof(
        ...Object.entries(moves).map(([move, weight]) => ({
          weight,
          arbitrary: fc.constant(move as keyof typeof moves),
        })),
      )
      const who = fc.integer({ min: 0, max: 2 })
      const aStep = fc.oneof(
        { weight: 4, arbitrary: fc.record({ kind: fc.constant('live' as const), who, move: names, by: fc.constantFrom('guard', 'code') }) }, // prettier-ignore
        { weight: 3, arbitrary: fc.record({ kind: fc.constant('person' as const), who, move: names }) },
        {
          weight: 1,
          arbitrary: fc.record({ kind: fc.constant('edit' as const), who, port: fc.integer({ min: 80, max: 82 }) }),
        },
        { weight: 3, arbitrary: fc.record({ kind: fc.constant('line' as const), who, up: fc.boolean() }) },
        {
          weight: 2,
          arbitrary: fc.record({ kind: fc.constant('clock' as const), who, by: fc.constantFrom(-120, 1, 60) }),
        },
      )
      const states = new Set<string>()
      await fc.assert(
        fc.asyncProperty(fc.array(aStep, { minLength: 3, maxLength: 14 }), async (steps) => {
          await using place = await processes([0, 300, -300])
          const { all, id } = place
          for (const step of steps) {
            const { registry, client, clock } = all[step.who] ?? expect.fail()
            const release = registry.release(id)
            try {
              /* oxlint-disable no-await-in-loop -- one step after another */
              if (step.kind === 'clock') clock.seconds += step.by
              else if (step.kind === 'line') client.line = step.up ? 'up' : 'refused'
              else if (step.kind === 'person') await registry.move(id, step.move, `${step.move} by a person`, 'ops')
              else if (step.kind === 'edit') {
                const config = { upstream_port: step.port }
                await registry.change('ops', (draft) => draft.patch('plugins', id, { config }))
              } else if (step.move === 'resume') release?.resume(step.by)
              else release?.[step.move](`${step.move} by ${step.by}`, step.by)
              /* oxlint-enable no-await-in-loop */
            } catch (error) {
              if (!(error instanceof CanaryError)) throw error
            }
          }
          for (const { client } of all) client.line = 'up'
          await settled(all, id)
          const records = all.map(({ registry }) => registry.get('plugins', id)?.release)
          expect(records[1]).toEqual(records[0])
          expect(records[2]).toEqual(records[0])
          states.add(records[0]?.state ?? '')
        }),
        { seed: 5, numRuns: 150 },
      )
      expect([...states].toSorted()).toEqual(['paused', 'promoted', 'rolled-back', 'running'])
    },
  )
})
