import type { PublishedDelta, Shared } from '@canary-release/core/guard/internal'
import { type Measure, below, milliseconds, quantile } from './measure.js'

const TICK_MS = 1_000

/** What one process counted of a release in a tick: a share, some failures, latencies. */
function deltaOf(member: string, release: number, tick: number): PublishedDelta {
  const latencies = { A: [120, 20, 121, 15, 130, 5], B: [120, 20, 122, 15, 131, 5] }
  const cell = { share: [100, 1000], decided: [40, 40], ended: [40, 40], failures: [[tick, 1, 1]], latencies } as const
  const names = { member, release: `plugin-${release}`, run: `run-${release}`, hash: 'options' }
  return JSON.parse(JSON.stringify({ ...names, tick, through: tick, cells: [cell] }))
}

/** How long it takes until what processes counted in a tick is taken, while they publish all their releases at once. */
export const tick =
  (processes = 8, releases = 200, ticks = 10): Measure =>
  async (engine) => {
    await using server = await engine.start()
    const stores = Array.from({ length: processes }, () => engine.store(server.address))
    const members = await Promise.all(
      stores.map(async ({ shared }) => {
        if (shared === null) throw new Error(`guards cannot share on ${engine.name}`)
        return { shared, member: (await shared.join()).member }
      }),
    )
    const all = Array.from({ length: releases }, (_, release) => release)
    for (const { shared, member } of members) {
      // oxlint-disable-next-line no-await-in-loop -- not what is measured
      await shared.publish(all.map((release) => ({ ...deltaOf(member, release, 10), cells: [], enters: true })))
    }
    const one: number[] = []
    const whole: number[] = []
    const publish = async (shared: Shared, member: string, at: number, number: number) => {
      // Processes end their ticks by one clock, and send when they come to it: spread over the tick.
      await new Promise((resolve) => setTimeout(resolve, (number / processes) * TICK_MS))
      const begun = performance.now()
      const taken = all.map(async (release) => {
        const [answer] = await shared.publish([deltaOf(member, release, at)])
        if (answer?.kind !== 'taken') throw new Error(`not taken: ${answer?.kind}`)
        one.push(performance.now() - begun)
      })
      await Promise.all(taken)
      whole.push(performance.now() - begun)
    }
    for (let at = 11; at < 11 + ticks; at += 1) {
      // oxlint-disable-next-line no-await-in-loop -- tick by tick
      await Promise.all(members.map(({ shared, member }, number) => publish(shared, member, at, number)))
    }
    await Promise.all(stores.map((store) => store.close()))
    const size = JSON.stringify(deltaOf('00000000-0000-4000-8000-000000000000', 1, 1_800_000_000)).length
    const batch = `${releases} at once: p50 ${milliseconds(quantile(whole, 0.5))}, p99 ${milliseconds(quantile(whole, 0.99))}; ${size} characters each`
    return [
      below(
        `one delta of a tick, ${processes} processes × ${releases} releases, p99`,
        quantile(one, 0.99),
        engine.limits.tick,
        batch,
      ),
    ]
  }
