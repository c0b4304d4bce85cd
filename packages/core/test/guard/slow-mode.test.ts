import { describe, expect, it } from 'vitest'
import { Draws } from '../../../../bench/draws.js'
import {
  Judge,
  cellOf,
  createDelta,
  createLatencies,
  latencyBucket,
  resolveGuardOptions,
} from '../../src/guard/index.js'

/** Requests to B until it is rolled back; each side takes 400 ms for a part of its requests, and 40 ms for the others. */
function requestsUntilFound(seed: number, slow: { readonly A: number; readonly B: number }): number {
  const draws = new Draws(seed)
  const judge = new Judge(resolveGuardOptions({}, false))
  for (let tick = 0; tick < 300; tick += 1) {
    const delta = createDelta(1, tick)
    const cell = cellOf(delta, 50, 1000)
    const latencies = (cell.latencies = createLatencies())
    for (let i = draws.poisson(100); i > 0; i -= 1) {
      const arm = draws.uniform() < 0.05 ? 'B' : 'A'
      const ms = (draws.uniform() < slow[arm] ? 400 : 40) * Math.exp(0.1 * draws.normal())
      cell.decided[arm] += 1
      cell.ended[arm] += 1
      const bucket = latencyBucket(ms)
      latencies[arm][bucket] = (latencies[arm][bucket] ?? 0) + 1
    }
    judge.tick(delta)
    if (judge.breach !== null) return judge.b.n
  }
  return Infinity
}

const found = (slow: { readonly A: number; readonly B: number }) =>
  Array.from({ length: 41 }, (_, run) => requestsUntilFound(1_000_003 * (run + 1), slow)).toSorted((a, b) => a - b)

describe('a slow mode of A’s', () => {
  it('that B takes nearly always is found, although A’s upper quantiles lie in it', () => {
    // The median of 101 runs was 53.
    expect(found({ A: 0.3, B: 0.95 })[20]).toBeLessThan(80)
  })

  it('that B takes as often is not held against it', () => {
    expect(found({ A: 0.3, B: 0.3 })[0]).toBe(Infinity)
  })
})
