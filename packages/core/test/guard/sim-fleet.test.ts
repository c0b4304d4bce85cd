import { describe, expect, it } from 'vitest'
import { MergedRun } from '../../src/guard/fleet/merged-run.js'
import { emptyDelta } from '../../src/guard/fleet/published-delta.js'
import { RunLog } from '../../src/guard/fleet/run-log.js'
import { resolveGuardOptions } from '../../src/guard/index.js'
import { Draws } from '../../../../bench/draws.js'
import { type FleetScenario, simulateFleet, stageFactor } from '../../../../bench/guard-sim-members.js'

// The short form of bench/guard-sim-fleet: fewer runs, the same seeds each time.
const ALPHA = 0.05
const HEALTHY: Omit<FleetScenario, 'name' | 'members'> = {
  rule: 'stages',
  lateAfterA: 0,
  dies: 0,
  deploys: [],
  outages: [],
  share: 0.5,
  rates: { A: 0.01, B: 0.01 },
}
const alarms = (changes: Partial<FleetScenario>, members: number, runs: number) =>
  Array.from({ length: runs }, (_, run) =>
    simulateFleet({ ...HEALTHY, name: 'short', members, ...changes }, ALPHA, 1_000_003 * (run + 1)),
  ).filter((ending) => ending !== null).length

describe('with A and B the same in several processes', () => {
  it.each([1, 4, 16])('%i processes whose counts come late after A failed raise no more false alarms than α', (n) => {
    // At most 3 expected of 60; σ = 1.7.
    for (const lateAfterA of [3, 30]) expect(alarms({ lateAfterA }, n, 60)).toBeLessThanOrEqual(8)
  })

  it('dropping what comes late would raise one in each release', () => {
    expect(alarms({ rule: 'drop', lateAfterA: 3 }, 4, 20)).toBe(20)
  })

  it('judging on without a member that expired would raise them too', () => {
    expect(alarms({ rule: 'wait', lateAfterA: 30 }, 16, 20)).toBeGreaterThan(15)
  })

  it.each([
    ['members that die', { dies: 1 / 100 }],
    ['two deploys with other options', { deploys: [300, 600] }],
    ['a store that is away ten times', { outages: [50, 130, 210, 290, 370, 450, 530, 610, 690, 770] }],
  ])('%s raise no more false alarms than α', (_, changes) => {
    expect(alarms(changes, 4, 60)).toBeLessThanOrEqual(8)
  })
})

describe('the log of a run, as it is', () => {
  const OPTIONS = resolveGuardOptions({ latency: false, hardLimit: false, alpha: ALPHA }, false)
  const run = { release: 'plugin-1', run: 'run-1', hash: 'options-1' }

  /** Members that stand still for up to 30 s after A failed; whether B, which is as good as A, is found worse in 10 min. */
  async function isFoundWorse(seed: number): Promise<boolean> {
    const draws = new Draws(seed)
    const log = new RunLog()
    const judge = new MergedRun(OPTIONS, run.hash)
    const members = Array.from({ length: 8 }, (_, i) => ({
      sender: { ...run, member: `member-${i}` },
      entered: false,
      fresh: false,
      free: 0,
      queue: [] as ReturnType<typeof emptyDelta>[],
    }))
    for (let tick = 0; tick < 600; tick += 1) {
      const now = (tick + 1) * 1000
      for (const each of members) {
        const [kA, kB] = [draws.poisson(0.06), draws.poisson(0.06)]
        const [nA, nB] = [kA + draws.poisson(6), kB + draws.poisson(6)]
        const share: [number, number] = [500, 1000]
        const cell = { share, decided: [nA, nB], ended: [nA, nB], failures: [[tick, kA, kB]] }
        const counts = each.fresh ? [] : [cell as ReturnType<typeof emptyDelta>['cells'][number]]
        if (each.entered) each.queue.push({ ...emptyDelta(each.sender, tick), cells: counts })
        each.fresh = false
        if (kA > 0) each.free = Math.max(each.free, tick + draws.below(30))
        if (each.free > tick) continue
        for (const delta of each.queue.splice(0)) {
          if (log.publish(delta, now).kind === 'late') each.entered = false
        }
        if (each.entered) continue
        const answer = log.publish({ ...emptyDelta(each.sender, tick), enters: true }, now)
        each.entered = each.fresh = answer.kind === 'taken'
      }
      await judge.read(log.close(judge.closed, now))
      const acts = judge.act({ state: 'running', ramping: false, bucketsOnB: 500, steps: 1000 })
      if (acts.length > 0) return true
    }
    return false
  }

  it('raises no more false alarms than α where processes stand still because A fails', async () => {
    let alarms = 0
    for (let i = 1; i <= 60; i += 1) if (await isFoundWorse(1_000_003 * i)) alarms += 1
    // At most 3 expected of 60; σ = 1.7.
    expect(alarms).toBeLessThanOrEqual(8)
  })
})

it('the stages of a run share its α', () => {
  let sum = 0
  for (let stage = 1; stage <= 100_000; stage += 1) sum += 1 / stageFactor(stage)
  expect(sum).toBeLessThan(1)
  expect(sum).toBeGreaterThan(0.9999)
})
