import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { type Registry, ViolationError, createRegistry, memoryStore } from '@canary-release/core/registry'
import { SILENT, T0, changed, disposable } from './harness.js'

type Config = Readonly<Record<string, unknown>>
type Command =
  | { readonly do: 'clock'; readonly ms: number }
  | { readonly do: 'decide' | 'write back' }
  | { readonly do: 'patch'; readonly config: Config }
  | { readonly do: 'put'; readonly config: Config }
  | { readonly do: 'enabled'; readonly enabled: boolean }
  | { readonly do: 'pause' | 'resume' | 'live pause' | 'live resume' }
  | { readonly do: 'guard' | 'person' }
  | { readonly do: 'restart' | 'start' | 'location' }

/** Which of the two processes, and what it does. */
type Step = readonly [process: 0 | 1, command: Command]

const config = fc.record(
  {
    duration: fc.oneof(fc.integer({ min: 1, max: 20_000 }), fc.double({ min: 0.001, max: 1e6, noNaN: true })),
    steps: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 100_000 })),
    upstream_fallback: fc.boolean(),
  },
  { requiredKeys: [] },
)
const commands: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('clock' as const), ms: fc.integer({ min: 0, max: 3_000_000 }) }),
  },
  fc.record({ do: fc.constant('clock' as const), ms: fc.integer({ min: -300_000, max: 0 }) }),
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('decide' as const, 'write back' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('patch' as const, 'put' as const), config }) },
  fc.record({ do: fc.constant('enabled' as const), enabled: fc.boolean() }),
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('pause' as const, 'resume' as const, 'live pause' as const, 'live resume' as const),
    }),
  },
)
const steps = (of: fc.Arbitrary<Command>) =>
  fc.array(fc.tuple(fc.constantFrom(0, 1), of), { maxLength: 25, size: 'max' })

type Fraction = readonly [numerator: bigint, denominator: bigint]

interface Processes extends AsyncDisposable {
  readonly registries: readonly [Registry, Registry]
  readonly id: string
  readonly wait: (ms: number) => void
}

/** Two processes on one store whose clocks differ, with a canary that both know. */
async function twoProcesses(skewMs: number, start: Config): Promise<Processes> {
  const store = memoryStore()
  let nowMs = T0 * 1000
  const open = async (clock: () => number) =>
    disposable(await createRegistry({ store: { ...store, close: async () => undefined }, logger: SILENT, clock }), {})
  const registries = [await open(() => nowMs), await open(() => nowMs + skewMs)] as const
  const { entity } = await registries[0].change('ops', (draft) =>
    draft.create('plugins', { name: 'canary', config: { upstream_host: 'v2', ...start } }),
  )
  await changed(registries[1], registries[0].version)
  return {
    registries,
    id: entity.id,
    wait: (ms) => void (nowMs += ms),
    async [Symbol.asyncDispose]() {
      for (const registry of registries) await registry.close()
    },
  }
}

/** Does one step; both processes know of it then. */
async function perform({ registries, id, wait }: Processes, [process, command]: Step): Promise<void> {
  const registry = registries[process]
  const release = registry.release(id)
  if (release === null) throw new Error('there is no release')
  const { state } = release.status()
  const life = registry.get('plugins', id)?.entity.enabled === false ? 'disabled' : state
  const change = (body: object) => orRefused(registry.change('ops', (draft) => draft.patch('plugins', id, body)))
  if (command.do === 'clock') wait(command.ms)
  else if (command.do === 'decide') release.decide({ consumer: 'x' })
  else if (command.do === 'patch') await change({ config: command.config })
  else if (command.do === 'put') await put(registry, id, command.config)
  else if (command.do === 'write back') await put(registry, id, {})
  else if (command.do === 'enabled') await change({ enabled: command.enabled })
  else if (command.do === 'start') await change({ config: { start: T0 + registry.version } })
  else if (command.do === 'location') await change({ config: { upstream_port: registry.version + 1 } })
  else if (command.do === 'restart') await registry.move(id, 'restart', null, 'ops')
  else if (command.do === 'guard') release.rollback('rolled back: B failed', 'guard')
  else if (command.do === 'person') await registry.move(id, 'rollback', null, 'ops')
  else if (command.do === 'pause' && life === 'running') await registry.move(id, 'pause', null, 'ops')
  else if (command.do === 'resume' && life === 'paused') await registry.move(id, 'resume', null, 'ops')
  else if (command.do === 'live pause' && life === 'running') release.pause('B is slow', 'guard')
  else if (command.do === 'live resume' && life === 'paused') release.resume('ada')
  await settled(registries)
}

function put(registry: Registry, id: string, more: Config): Promise<unknown> {
  return orRefused(
    registry.change('ops', (draft) => {
      const row = draft.get('plugins', id)
      if (row === null) throw new Error('there is no plugin')
      return draft.replace('plugins', id, { ...row.entity, config: { ...row.entity.config, ...more } })
    }),
  )
}

/** A percentage that reaches none of the steps is refused. */
async function orRefused(change: Promise<unknown>): Promise<void> {
  try {
    await change
  } catch (error) {
    if (!(error instanceof ViolationError)) throw error
  }
}

/** What was done with a live release is stored after what was asked for before, and told after it was stored. */
async function settled(registries: readonly [Registry, Registry]): Promise<void> {
  for (const registry of registries) await registry.change('nobody', () => null)
  const version = Math.max(...registries.map((registry) => registry.version))
  await Promise.all(registries.map((registry) => changed(registry, version)))
}

it('no edit, write-back, move, clock or other process lowers the share of a ramp in any process', async () => {
  let edits = 0
  await fc.assert(
    fc.asyncProperty(steps(commands), fc.integer({ min: -200_000, max: 200_000 }), async (sequence, skewMs) => {
      await using processes = await twoProcesses(skewMs, { start: T0, duration: 3600, steps: 100 })
      const floors: [Fraction, Fraction] = [
        [0n, 1n],
        [0n, 1n],
      ]
      for (const step of sequence) {
        await perform(processes, step)
        edits += 1
        for (const process of [0, 1] as const) {
          const status = processes.registries[process].release(processes.id)?.status()
          if (status === undefined) throw new Error('there is no release')
          if (processes.registries[process].get('plugins', processes.id)?.entity.enabled === false) continue
          const [onB, of] = [BigInt(status.bucketsOnB), BigInt(status.steps)]
          const [leastOnB, leastOf] = floors[process]
          const said = `${leastOnB}/${leastOf} fell to ${onB}/${of} in process ${process} by ${JSON.stringify(step)}`
          expect(onB * leastOf >= leastOnB * of, said).toBe(true)
          floors[process] = [onB, of]
        }
      }
    }),
    { seed: 53, numRuns: 300 },
  )
  expect(edits).toBeGreaterThan(2000)
})

const lifting: fc.Arbitrary<Command> = fc.record({
  do: fc.constantFrom('restart' as const, 'start' as const, 'location' as const),
})
const others: fc.Arbitrary<Command> = fc.oneof(
  { weight: 3, arbitrary: commands },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('person' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('patch' as const, 'put' as const),
      config: fc.record(
        {
          percentage: fc.constantFrom(null, 10, 20, 100),
          duration: fc.integer({ min: 1, max: 10_000 }),
          steps: fc.integer({ min: 10, max: 1000 }),
        },
        { requiredKeys: [] },
      ),
    }),
  },
)

it('nothing but a restart, another start or another location of B lifts the rollback of the guard', async () => {
  let lifted = 0
  await fc.assert(
    fc.asyncProperty(
      steps(others),
      fc.constantFrom<Config>({ percentage: 10 }, { start: T0, duration: 3600 }),
      fc.tuple(fc.constantFrom(0, 1), lifting),
      fc.integer({ min: -200_000, max: 200_000 }),
      async (sequence, start, lift, skewMs) => {
        await using processes = await twoProcesses(skewMs, start)
        const { registries, id } = processes
        await perform(processes, [0, { do: 'guard' }])
        for (const step of sequence) {
          await perform(processes, step)
          for (const registry of registries) {
            const said = JSON.stringify(step)
            expect(registry.release(id)?.status(), said).toMatchObject({ state: 'rolled-back', by: 'guard' })
            expect(registry.release(id)?.decide({ consumer: 'x' }).upstream, said).toBe('A')
            expect(registry.get('plugins', id)?.release, said).toMatchObject({ state: 'rolled-back', by: 'guard' })
          }
        }
        await perform(processes, lift)
        for (const registry of registries) expect(registry.release(id)?.status().state).not.toBe('rolled-back')
        lifted += 1
      },
    ),
    { seed: 54, numRuns: 200 },
  )
  expect(lifted).toBe(200)
})
