import * as fc from 'fast-check'
import type { PublishedDelta } from '../../src/guard/fleet/published-delta.js'
import type { Shared } from '../../src/guard/fleet/shared.js'

// Random steps, by which stores are compared with RunLog.

/** What a member, a judge or time may do. */
export type Step =
  | { readonly kind: 'enter' | 'leave'; readonly member: number; readonly hash: number }
  | { readonly kind: 'count'; readonly member: number; readonly hash: number; readonly jump: number; readonly failed: number } // prettier-ignore
  | { readonly kind: 'close' | 'checkpoint' | 'conclude'; readonly back: number }
  | { readonly kind: 'pass'; readonly ms: number }

const member = fc.integer({ min: 1, max: 3 })
/** Mostly the same options. */
const options = fc.constantFrom(1, 1, 1, 1, 2)
const back = fc.integer({ min: -1, max: 6 })
// What passes is never about as long as what counts as long: the two clocks are some milliseconds apart.
export const aStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('enter' as const), member, hash: options }) },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('count' as const),
      member,
      hash: options,
      jump: fc.constantFrom(0, 1, 1, 1, 1, 2, 2000),
      failed: fc.constantFrom(0, 0, 1, 9),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), member, hash: options }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('close' as const), back }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('checkpoint' as const, 'conclude' as const), back }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(200, 4_000, 11_000) }) },
)

export const RUN = 'run-1'

/** What a step does, to any of the stores that are compared. */
export function actOf(
  step: Exclude<Step, { kind: 'pass' }>,
  ticks: Map<string, number>,
): (shared: Shared) => Promise<unknown> {
  const highest = Math.max(10, ...ticks.values())
  switch (step.kind) {
    case 'close':
      return (shared) => shared.closeTick(RUN, step.back < 0 ? -1 : highest - step.back)
    case 'conclude': {
      const numbers = { tick: step.back, stage: 1, evidence: 1.25 + step.back, needed: 2 }
      return (shared) => shared.conclude(RUN, { kind: 'evidence', ...numbers, reason: 'because', member: 'm1' })
    }
    case 'checkpoint': {
      const identities = step.back % 2 === 0 ? `identities ${highest}` : null
      return (shared) => shared.checkpoint(RUN, { tick: highest - step.back, state: `state ${highest}`, identities })
    }
  }
  const name = `m${step.member}`
  const from = ticks.get(name) ?? highest
  const tick = step.kind === 'count' ? from + step.jump : step.kind === 'leave' ? from + 1 : Math.max(from, highest)
  if (tick < from + 1000) ticks.set(name, tick)
  const sender = { member: name, release: 'plugin-1', run: RUN, hash: `options-${step.hash}` }
  const bare: PublishedDelta = { ...sender, tick, through: tick, cells: [] }
  if (step.kind !== 'count') {
    const how = step.kind === 'enter' ? ({ enters: true } as const) : ({ leaves: true } as const)
    return (shared) => shared.publish([{ ...bare, ...how }])
  }
  const cell: PublishedDelta['cells'][number] = {
    share: [500, 1000],
    decided: [4, 3],
    ended: [4, 3],
    failures: step.failed === 0 ? [] : [[tick, step.failed, 1]],
  }
  return (shared) => shared.publish([{ ...bare, cells: [cell] }])
}
