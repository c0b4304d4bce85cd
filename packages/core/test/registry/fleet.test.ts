import { describe, expect, it } from 'vitest'
import { type RegistryOptions, createRegistry } from '@canary-release/core/registry'
import { rankedFor } from '../../src/guard/fleet/rendezvous.js'
import { type Process, RegistryFleet } from './fleet-harness.js'

const BAD = { A: 0.01, B: 0.3 }
const WORSE = { A: 0.01, B: 0.1 }
const HEALTHY = { A: 0.02, B: 0.02 }
const RAMP = { percentage: undefined, start: 1_800_000_000, duration: 1000, hash: 'none', steps: 1000 }
const EVEN = { percentage: 50, hash: 'none' }

async function fleetOf(
  count: number,
  options: Partial<RegistryOptions> = {},
  config: object = EVEN,
): Promise<RegistryFleet> {
  const fleet = new RegistryFleet()
  for (let i = 0; i < count; i += 1) await fleet.add(options)
  const [first] = fleet.processes
  await first?.registry.change('ops', (draft) => {
    const { entity } = draft.create('services', { name: 'orders', url: 'http://orders-v1' })
    const { id } = entity
    draft.create('plugins', { name: 'canary', service: { id }, config: { upstream_host: 'orders-v2', ...config } })
  })
  await fleet.seconds(4)
  return fleet
}

const statesOf = (fleet: RegistryFleet) => fleet.processes.map(({ release }) => release.status().state)
const storedOf = async (fleet: RegistryFleet) => {
  const state = await fleet.network.inner.load()
  return state?.rows.find(({ kind }) => kind === 'plugins')?.release ?? null
}
const runOf = (process: Process) => process.registry.get('plugins', process.plugin)?.release?.run ?? ''

async function untilMoved(fleet: RegistryFleet, rates: typeof BAD, most = 120): Promise<void> {
  for (let i = 0; i < most && (await fleet.moves()).length === 0; i += 1) await fleet.seconds(1, rates)
}

describe('registries that share a store', () => {
  it('roll a bad B back in all of them, by one move', async () => {
    await using fleet = await fleetOf(3)
    await untilMoved(fleet, BAD)
    await fleet.seconds(20, BAD)
    expect(statesOf(fleet)).toEqual(['rolled-back', 'rolled-back', 'rolled-back'])
    const moves = await fleet.moves()
    expect(moves).toHaveLength(1)
    expect(moves[0]).toMatch(/^rollback plugins .*: rolled back: B failed \d+ of \d+ requests/)
    for (const { release, errors } of fleet.processes) {
      expect(release.status().by).toBe('guard')
      expect(release.guard?.report().verdict).toBe('breach')
      expect(errors).toEqual([])
    }
  })

  it('leave a healthy B alone, and change nothing', async () => {
    await using fleet = await fleetOf(2)
    const { version } = fleet.processes[0]?.registry ?? expect.fail()
    await fleet.seconds(120, HEALTHY)
    expect(statesOf(fleet)).toEqual(['running', 'running'])
    expect(fleet.processes.map(({ registry }) => registry.version)).toEqual([version, version])
  })

  it('reach one verdict and make one move if the judge dies', async () => {
    await using fleet = await fleetOf(3)
    await fleet.seconds(3, WORSE)
    const [first] = fleet.processes
    const members = first?.registry.fleet(first.plugin)?.members ?? []
    expect(members).toHaveLength(3)
    const [judge] = rankedFor(first === undefined ? '' : runOf(first), members)
    for (const process of fleet.processes) {
      const own = (await process.registry.members()).find(({ self }) => self)
      if (own?.id === judge) {
        fleet.kill(process)
        break
      }
    }
    expect(fleet.processes).toHaveLength(2)
    expect(await fleet.moves()).toEqual([])
    await untilMoved(fleet, WORSE)
    await fleet.seconds(30, WORSE)
    expect(statesOf(fleet)).toEqual(['rolled-back', 'rolled-back'])
    expect(await fleet.moves()).toHaveLength(1)
  })

  it('put the moves of a person and of the guard into one order', async () => {
    await using fleet = await fleetOf(2)
    const [first] = fleet.processes
    if (first === undefined) return
    for (let i = 0; i < 60; i += 1) {
      // oxlint-disable-next-line no-await-in-loop -- a person decides while the guard finds out
      await fleet.seconds(1, BAD)
      if ((await fleet.moves()).length > 0) break
      if (i % 2 === 0) await first.registry.move(first.plugin, 'pause', 'to see', 'ops')
      else await first.registry.move(first.plugin, 'resume', null, 'ops')
    }
    await fleet.seconds(10, BAD)
    const stored = await storedOf(fleet)
    expect(stored).toMatchObject({ state: 'rolled-back', by: 'guard' })
    for (const { release } of fleet.processes) {
      const { state, by, reason } = release.status()
      expect({ state, by, reason }).toEqual({ state: stored?.state, by: stored?.by, reason: stored?.reason })
    }
  })

  it('leave a promotion alone that came before the verdict was stored', async () => {
    await using fleet = await fleetOf(2)
    const [first] = fleet.processes
    if (first === undefined) return
    let verdicts = 0
    for (const { store } of fleet.processes) {
      const { shared } = store
      if (shared === null) return expect.fail()
      const { conclude } = shared
      shared.conclude = async (run, verdict) => {
        verdicts += 1
        await first.registry.move(first.plugin, 'promote', 'no doubt', 'ops')
        return conclude(run, verdict)
      }
    }
    await fleet.seconds(30, BAD)
    expect(verdicts).toBe(1)
    expect(statesOf(fleet)).toEqual(['promoted', 'promoted'])
    expect(await fleet.moves()).toEqual([])
  })

  it('begin a run without evidence with a restart', async () => {
    await using fleet = await fleetOf(2)
    await untilMoved(fleet, BAD)
    const [first] = fleet.processes
    if (first === undefined) return
    const before = runOf(first)
    await first.registry.move(first.plugin, 'restart', 'repaired', 'ops')
    await fleet.seconds(30, HEALTHY)
    expect(runOf(first)).not.toBe(before)
    expect(statesOf(fleet)).toEqual(['running', 'running'])
    for (const { release } of fleet.processes) {
      const report = release.guard?.report()
      expect(report?.verdict).toBe('ok')
      expect(report?.b.k).toBeLessThan(40)
    }
    expect(await fleet.moves()).toHaveLength(1)
  })

  it('pause a ramp on evidence, and let it go on when that falls', async () => {
    await using fleet = await fleetOf(2, {}, { ...RAMP, duration: 36_000, start: 1_800_000_000 - 18_000 })
    for (let i = 0; i < 200 && !statesOf(fleet).includes('paused'); i += 1) await fleet.seconds(1, { A: 0, B: 0.05 })
    await fleet.seconds(2)
    expect(statesOf(fleet)).toEqual(['paused', 'paused'])
    expect(await storedOf(fleet)).toMatchObject({ state: 'paused', by: 'guard' })
    for (let i = 0; i < 200 && statesOf(fleet).includes('paused'); i += 1) await fleet.seconds(1, { A: 0.3, B: 0 })
    expect(statesOf(fleet)).toEqual(['running', 'running'])
    const moves = await fleet.moves()
    expect(moves.map((what) => what.split(' ')[0])).toEqual(['pause', 'resume'])
    expect(moves[1]).toMatch(/: resumed: the evidence against B fell/)
    expect(await storedOf(fleet)).not.toHaveProperty('breach')
  })

  it('begin another run when a person resumes what was paused for a breach', async () => {
    await using fleet = await fleetOf(2, { guard: { latency: false, hardLimit: false, onBreach: 'pause' } })
    await untilMoved(fleet, BAD)
    await fleet.seconds(10, BAD)
    expect(statesOf(fleet)).toEqual(['paused', 'paused'])
    const before = await storedOf(fleet)
    expect(before).toMatchObject({ by: 'guard', breach: true })
    const [first] = fleet.processes
    await first?.registry.move(first.plugin, 'resume', null, 'ops')
    await fleet.seconds(20, HEALTHY)
    expect((await storedOf(fleet))?.run).not.toBe(before?.run)
    expect(statesOf(fleet)).toEqual(['running', 'running'])
    expect(await fleet.moves()).toHaveLength(1)
  })

  it('publish nothing more of a release that is rolled back', async () => {
    await using fleet = await fleetOf(2)
    await untilMoved(fleet, BAD)
    await fleet.seconds(5)
    let published = 0
    for (const { store } of fleet.processes) {
      const { shared } = store
      if (shared === null) return expect.fail()
      const { publish } = shared
      shared.publish = (deltas) => {
        published += deltas.length
        return publish(deltas)
      }
    }
    await fleet.seconds(30)
    expect(published).toBe(0)
  })

  it('let nothing of a guard with other options into the evidence, and say so', async () => {
    await using fleet = await fleetOf(2)
    await fleet.seconds(10, HEALTHY)
    const late = await fleet.add({ guard: { latency: false, hardLimit: false, alpha: 0.05 } })
    await fleet.seconds(20, HEALTHY)
    expect(late.lines.join('\n')).toMatch(/other options than those that the run is judged by/)
    const scored = (process: Process) => {
      const { a, b } = process.release.guard?.report() ?? expect.fail()
      return a.n + b.n
    }
    const [first, second] = fleet.processes
    if (first === undefined || second === undefined) return
    await fleet.pass(5000)
    const before = scored(first)
    // Only those with other options get requests.
    for (let i = 0; i < 20; i += 1) {
      late.send(fleet.draws, BAD, 50)
      // oxlint-disable-next-line no-await-in-loop -- second by second
      await fleet.pass(1000)
    }
    expect(scored(first)).toBe(before)
    expect(statesOf(fleet)).toEqual(['running', 'running', 'running'])
  })
})

describe('a registry without its store', () => {
  it('judges alone, and its rollback becomes a move on the run later', async () => {
    await using fleet = await fleetOf(2)
    const [cut, other] = fleet.processes
    if (cut === undefined || other === undefined) return
    await fleet.seconds(5, HEALTHY)
    cut.away = true
    for (let i = 0; i < 200 && cut.release.status().state === 'running'; i += 1) {
      cut.send(fleet.draws, { A: 0, B: 1 }, 50)
      // oxlint-disable-next-line no-await-in-loop -- second by second
      await fleet.pass(1000)
    }
    expect(cut.release.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
    expect(other.release.status().state).toBe('running')
    cut.away = false
    await fleet.pass(35_000)
    expect(statesOf(fleet)).toEqual(['rolled-back', 'rolled-back'])
    expect((await fleet.moves()).map((what) => what.split(' ')[0])).toEqual(['rollback'])
    expect(other.release.status().reason).toMatch(/judged by one process alone, as the store is away/)
  })

  it('gives its own rollback up if a person has begun again meanwhile', async () => {
    await using fleet = await fleetOf(2)
    const [cut, other] = fleet.processes
    if (cut === undefined || other === undefined) return
    await fleet.seconds(5, HEALTHY)
    cut.away = true
    for (let i = 0; i < 200 && cut.release.status().state === 'running'; i += 1) {
      cut.send(fleet.draws, { A: 0, B: 1 }, 50)
      // oxlint-disable-next-line no-await-in-loop -- second by second
      await fleet.pass(1000)
    }
    expect(cut.release.status().state).toBe('rolled-back')
    await other.registry.move(other.plugin, 'restart', 'another B is there', 'ops')
    cut.away = false
    await fleet.pass(35_000)
    expect(statesOf(fleet)).toEqual(['running', 'running'])
    expect(await fleet.moves()).toEqual([])
    expect(cut.release.status().by).toBe('ops')
  })

  it('closes, and leaves nothing that rejects', async () => {
    await using fleet = await fleetOf(2)
    const [cut] = fleet.processes
    if (cut === undefined) return
    fleet.kill(cut)
    let closed = false
    const closing = cut.registry.close().then(() => (closed = true))
    await fleet.pass(8000)
    expect(closed).toBe(true)
    await closing
  })
})

describe('clocks that differ', () => {
  it('show one share of a ramp', async () => {
    const fleet = await fleetOf(1, {}, RAMP)
    await using _ = fleet
    await fleet.add({}, 300_000)
    await fleet.add({}, -300_000)
    const shares = () => fleet.processes.map(({ release }) => release.status().bucketsOnB)
    for (let i = 0; i < 10; i += 1) {
      // oxlint-disable-next-line no-await-in-loop -- second by second
      await fleet.seconds(7, HEALTHY)
      const due = Math.floor(fleet.passed / 1000)
      expect(shares()).toEqual([due, due, due])
    }
  })

  it('show one share of a ramp that is held, and of one that goes on', async () => {
    const guarded = { guard: { latency: false, hardLimit: false, hold: true } } as const
    const fleet = await fleetOf(1, guarded, { ...RAMP, steps: 10, duration: 100 })
    await using _ = fleet
    const guard = { latency: false, hardLimit: false, hold: true } as const
    await fleet.add({ guard }, 300_000)
    // This one was not told to hold.
    await fleet.add({ guard: { ...guard, hold: false } }, -300_000)
    const seen: { readonly share: number; readonly due: number }[] = []
    for (let i = 0; i < 60; i += 1) {
      // oxlint-disable-next-line no-await-in-loop -- second by second
      await fleet.seconds(5, HEALTHY, 40)
      const shares = new Set(fleet.processes.map(({ release }) => release.status().bucketsOnB))
      expect(shares.size).toBe(1)
      const due = Math.min(10, Math.floor(fleet.passed / 10_000))
      for (const share of shares) seen.push({ share, due })
    }
    expect(seen.at(-1)?.share).toBeGreaterThan(1)
    // Held: by its time alone more would be on B.
    expect(seen.filter(({ share, due }) => share < due).length).toBeGreaterThan(5)
    for (const [i, { share }] of seen.entries()) expect(share).toBeGreaterThanOrEqual(seen[i - 1]?.share ?? 0)
    const stored = await storedOf(fleet)
    expect(stored?.gate).toBeGreaterThan(1)
  })
})

describe('the options of a registry whose store is shared', () => {
  it('refuse guards that could not be judged together', async () => {
    await using fleet = new RegistryFleet()
    const { store } = await fleet.add()
    const refused = (guard: RegistryOptions['guard']) => createRegistry({ store, guard })
    await expect(refused({ judges: 2 })).rejects.toMatchObject({
      code: 'ERR_CANARY_OPTION',
      message: expect.stringMatching(/^guard\.judges must be 1/),
    })
    await expect(refused({ errors: { isFailure: () => false } })).rejects.toMatchObject({
      code: 'ERR_CANARY_OPTION',
      message: expect.stringMatching(/^guard\.version must be given/),
    })
  })
})

describe('the members of a registry', () => {
  it('are all that have the store open, with the counts of all', async () => {
    await using fleet = await fleetOf(3)
    await fleet.seconds(10, HEALTHY)
    const [first] = fleet.processes
    if (first === undefined) return
    const members = await first.registry.members()
    expect(members).toHaveLength(3)
    expect(members.filter(({ self }) => self)).toHaveLength(1)
    for (const each of members) {
      expect(each).toMatchObject({ pid: process.pid, refused: 0, expired: 0 })
      expect(each.ageMs).toBeLessThan(2000)
      expect(each.tickedAt).toBeGreaterThan(fleet.now - 5000)
    }
    const figures = first.registry.fleet(first.plugin)
    expect(figures?.members.toSorted()).toEqual(members.map(({ id }) => id).toSorted())
    const own = first.release.status().counts
    expect(figures?.counts.A.n).toBeGreaterThan(own.A.requests)
    const { registry } = fleet.processes[1] ?? expect.fail()
    fleet.processes.splice(1, 1)
    const closing = registry.close()
    await fleet.pass(1000)
    await closing
    expect(await first.registry.members()).toHaveLength(2)
  })

  it('are there without anything to judge', async () => {
    await using fleet = new RegistryFleet()
    const one = await fleet.add({ guard: false })
    await fleet.add({ guard: false })
    await fleet.pass(30_000)
    const members = await one.registry.members()
    expect(members.map(({ ageMs }) => ageMs < 10_000)).toEqual([true, true])
  })
})
