import { describe, expect, it } from 'vitest'
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

it('the stages of a run share its α', () => {
  let sum = 0
  for (let stage = 1; stage <= 100_000; stage += 1) sum += 1 / stageFactor(stage)
  expect(sum).toBeLessThan(1)
  expect(sum).toBeGreaterThan(0.9999)
})
