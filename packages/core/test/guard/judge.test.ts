import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Decision, UpstreamName } from '../../src/decision/decision.js'
import { requestsInBlock } from '../../src/guard/block.js'
import { Evidence, errorLevels } from '../../src/guard/evidence.js'
import { IdentityFilter } from '../../src/guard/identity-filter.js'
import {
  Collector,
  type Delta,
  type GuardOptions,
  Judge,
  type Ticket,
  addFailures,
  cellOf,
  createDelta,
  hashIdentity,
  isFailure,
  mergeDeltas,
  requestsNeeded,
  resolveGuardOptions,
} from '../../src/guard/index.js'

const judgeOf = (options: GuardOptions = {}) => new Judge(resolveGuardOptions({ unit: 'request', ...options }, false))
const STEPS = 1000

interface Counts {
  readonly nA?: number
  readonly nB?: number
  readonly kA?: number
  readonly kB?: number
  readonly from?: number
}

/** A tick with one share's counts; failures of requests that were decided in tick `from`. */
function tickOf(tick: number, bucketsOnB: number, { nA = 0, nB = 0, kA = 0, kB = 0, from = tick }: Counts): Delta {
  const delta = createDelta(1, tick)
  add(delta, bucketsOnB, { nA, nB, kA, kB, from })
  return delta
}

function add(delta: Delta, bucketsOnB: number, counts: Counts): void {
  const { nA = 0, nB = 0, kA = 0, kB = 0, from = delta.tick } = counts
  const cell = cellOf(delta, bucketsOnB, STEPS)
  cell.decided.A += nA
  cell.decided.B += nB
  cell.ended.A += nA
  cell.ended.B += nB
  if (kA + kB > 0) addFailures(cell, from, kA, kB)
}

function evidenceOf(steps: readonly (readonly { share: number; kA: number; kB: number }[])[]): number {
  const evidence = new Evidence(errorLevels(1.25), 1.25)
  for (const terms of steps) {
    for (const { share, kA, kB } of terms) evidence.add(0, share, kA, kB)
    evidence.close()
  }
  return evidence.ln
}

describe('blocks', () => {
  it('hold about two requests of the smaller arm', () => {
    const sizes = [1, 50, 100, 500, 900, 999].map((buckets) => requestsInBlock(buckets, STEPS))
    expect(sizes).toEqual([2000, 40, 20, 4, 20, 2000])
  })

  it('are extended until they do, and scored by the share that B really had', () => {
    const judge = judgeOf()
    judge.tick(tickOf(1, 50, { nA: 18, nB: 1, kB: 1 }))
    expect(judge.ln.errors).toBe(0)
    judge.tick(tickOf(2, 50, { nA: 19, nB: 2, kA: 1 }))
    expect(judge.ln.errors).toBeCloseTo(evidenceOf([[{ share: 3 / 40, kA: 1, kB: 1 }]]), 12)
  })

  it('hold only failures of their own requests: later ones are scored when they fail, by their nominal share', () => {
    const judge = judgeOf()
    judge.tick(tickOf(1, 500, { nA: 60, nB: 40 }))
    const late = tickOf(2, 500, { nA: 45, nB: 55, kA: 1, kB: 2 })
    add(late, 500, { kB: 2, from: 1 })
    judge.tick(late)
    const expected = evidenceOf([
      [
        { share: 0.55, kA: 1, kB: 2 },
        { share: 0.5, kA: 0, kB: 2 },
      ],
    ])
    expect(judge.ln.errors).toBeCloseTo(expected, 12)
  })

  it('give way to a new share, under which failures of the old one keep theirs', () => {
    const judge = judgeOf()
    judge.tick(tickOf(1, 500, { nA: 50, nB: 50 }))
    const fallen = tickOf(2, 50, { nA: 95, nB: 5, kA: 1 })
    add(fallen, 500, { kA: 3, kB: 3, from: 1 })
    judge.tick(fallen)
    const expected = evidenceOf([
      [
        { share: 0.05, kA: 1, kB: 0 },
        { share: 0.5, kA: 3, kB: 3 },
      ],
    ])
    expect(judge.ln.errors).toBeCloseTo(expected, 12)
  })

  it('that a change of the share cut short are scored by the nominal one', () => {
    const judge = judgeOf()
    judge.tick(tickOf(1, 10, { nA: 99, nB: 1, kB: 1 }))
    judge.tick(tickOf(2, 11, { nA: 99, nB: 1 }))
    expect(judge.ln.errors).toBeCloseTo(evidenceOf([[{ share: 0.01, kA: 0, kB: 1 }]]), 12)
  })

  it('score nothing at 0 and 100 %', () => {
    const judge = judgeOf()
    judge.tick(tickOf(1, 0, { nA: 100, kA: 50 }))
    judge.tick(tickOf(2, STEPS, { nB: 100, kB: 50 }))
    expect(judge.ln.errors).toBe(0)
  })
})

describe('the judgement', () => {
  it('needs five failures of B, whatever the evidence says', () => {
    const judge = judgeOf({ hardLimit: false, latency: false })
    for (let tick = 1; tick <= 4; tick += 1) judge.tick(tickOf(tick, 10, { nA: 1980, nB: 20, kB: 1 }))
    expect(judge.ln.errors).toBeGreaterThan(Math.log(100))
    expect(judge.breach).toBeNull()
    judge.tick(tickOf(5, 10, { nA: 1980, nB: 20, kB: 1 }))
    expect(judge.breach).toBe('evidence')
  })

  it('needs as many times the evidence as there are judges', () => {
    const [one, three] = [judgeOf({ latency: false, judges: 1 }), judgeOf({ latency: false, judges: 3 })]
    let first = Infinity
    let second = Infinity
    for (let tick = 1; second === Infinity; tick += 1) {
      for (const judge of [one, three]) judge.tick(tickOf(tick, 500, { nA: 50, nB: 50, kB: 1 }))
      if (one.breach !== null) first = Math.min(first, tick)
      if (three.breach !== null) second = tick
    }
    expect(three.ln.combined).toBeGreaterThanOrEqual(Math.log(300))
    expect(first).toBeLessThan(second)
  })

  it('reaches the hard limit when both arms fail together', () => {
    const judge = judgeOf()
    judge.tick(tickOf(1, 500, { nA: 40, nB: 40, kA: 40, kB: 40 }))
    expect(judge.breach).toBeNull()
    judge.tick(tickOf(2, 500, { nA: 40, nB: 40, kA: 40, kB: 40 }))
    expect(judge.breach).toBe('hard-limit')
    expect(judge.finding).toMatchObject({ kind: 'hard-limit', b: { n: 80, k: 80 } })
  })

  it('does not take the failures of many earlier requests for those of few later ones', () => {
    const judge = judgeOf()
    for (let tick = 1; tick <= 30; tick += 1) judge.tick(tickOf(tick, 500, { nA: 50, nB: 50 }))
    for (let tick = 31; tick <= 60; tick += 1) {
      const delta = tickOf(tick, 50, { nA: 95, nB: 5 })
      add(delta, 500, { kA: 8, kB: 8, from: tick - 30 })
      judge.tick(delta)
      expect(judge.breach).toBeNull()
    }
  })

  it('estimates the odds ratio', () => {
    const judge = judgeOf({ hardLimit: false })
    expect(judge.oddsRatio).toBeNull()
    for (let tick = 1; tick <= 100; tick += 1) judge.tick(tickOf(tick, 100, { nA: 900, nB: 100, kA: 9, kB: 10 }))
    // 10 % against 1 %: 11.
    expect(judge.oddsRatio).toBeGreaterThan(10)
    expect(judge.oddsRatio).toBeLessThan(12)
  })

  it('knows how many requests it takes', () => {
    // The medians of the simulation: 600 and 230, with α halved.
    expect(requestsNeeded(0.001, 0.01, 0.05, 0.005)).toBeGreaterThan(510)
    expect(requestsNeeded(0.001, 0.01, 0.05, 0.005)).toBeLessThan(690)
    expect(requestsNeeded(0.01, 0.05, 0.05, 0.005)).toBeGreaterThan(195)
    expect(requestsNeeded(0.01, 0.05, 0.05, 0.005)).toBeLessThan(265)
    expect(requestsNeeded(0.01, 0.01, 0.05)).toBe(Infinity)
  })
})

describe('several processes', () => {
  interface Sent {
    readonly arm: UpstreamName
    readonly identity: string | null
    readonly failed: boolean
    readonly ms: number
    readonly delay: number
    readonly process: number
    readonly bucketsOnB: number
  }
  const sent = fc.record<Sent>({
    arm: fc.constantFrom('A', 'B'),
    identity: fc.option(fc.constantFrom('ann', 'bob', 'cy', 'dee', 'eve', 'fay'), { freq: 4 }),
    failed: fc.boolean(),
    ms: fc.constantFrom(1, 20, 60, 200, 5000),
    delay: fc.integer({ min: 0, max: 3 }),
    process: fc.integer({ min: 0, max: 2 }),
    bucketsOnB: fc.constantFrom(50, 500),
  })
  const ticks = fc.array(fc.array(sent, { maxLength: 80 }), { minLength: 1, maxLength: 8 })

  function decisionOf({ arm, bucketsOnB }: Sent): Decision {
    const rest = { bucket: 1, hashedBy: 'none', release: 'r', origin: null } as const
    return { upstream: arm, reason: 'bucket', bucketsOnB, steps: STEPS, ...rest }
  }

  /** What each of some processes saw, tick by tick. */
  function deltasOf(history: Sent[][], unit: 'request' | 'identity', processes: number): Delta[][] {
    const { latency } = resolveGuardOptions({}, false)
    const collectors = Array.from(
      { length: processes },
      () => new Collector({ unit, latency, sticky: unit === 'identity', isFailure }, 1, 0),
    )
    const pending: { readonly due: number; readonly end: () => void }[] = []
    return [...history, [], [], []].map((requests, tick) => {
      for (const request of requests) {
        const collector = collectors[request.process % processes]
        const decision = decisionOf(request)
        // An identity stays on its side: its arm follows from its name and the share.
        const arm = request.identity === null ? request.arm : request.identity < 'c' ? 'B' : 'A'
        const ticket: Ticket | null = collector?.admit({ ...decision, upstream: arm }, request.identity) ?? null
        if (ticket === null) continue
        const status = request.failed ? 500 : 200
        const end = () =>
          collector?.observe(ticket, { decision, status, durationMs: request.ms, error: null, aborted: false })
        pending.push({ due: tick + request.delay, end })
      }
      for (const { due, end } of pending) if (due === tick) end()
      return collectors.map((collector) => collector.take(1, tick + 1))
    })
  }

  it.each(['request', 'identity'] as const)('leave the evidence as it is, by %s', (unit) => {
    fc.assert(
      fc.property(ticks, (history) => {
        const judges = [1, 2, 3].map((processes) => {
          const judge = judgeOf({ unit, hardLimit: false })
          for (const deltas of deltasOf(history, unit, processes)) judge.tick(mergeDeltas(deltas))
          return judge
        })
        const [one, two, three] = judges
        for (const other of [two, three]) {
          expect(other?.ln.errors).toBeCloseTo(one?.ln.errors ?? Number.NaN, 9)
          expect(other?.ln.latency).toBeCloseTo(one?.ln.latency ?? Number.NaN, 9)
          expect([other?.a, other?.b]).toEqual([one?.a, one?.b])
        }
      }),
      { seed: 5, numRuns: 150 },
    )
  })

  it('are not judged together for different ticks or runs', () => {
    expect(() => mergeDeltas([createDelta(1, 1), createDelta(1, 2)])).toThrow(RangeError)
    expect(() => mergeDeltas([createDelta(1, 1), createDelta(2, 1)])).toThrow(RangeError)
    expect(() => mergeDeltas([])).toThrow(RangeError)
  })
})

describe('identities', () => {
  function failure(tick: number, names: readonly string[], arm: UpstreamName, bucketsOnB = 50): Delta {
    const delta = createDelta(1, tick)
    for (const name of names) cellOf(delta, bucketsOnB, STEPS).failedIdentities.set(hashIdentity(name), arm)
    return delta
  }

  it('count with their first failure only, each as a block of its own', () => {
    const judge = judgeOf({ unit: 'identity' })
    judge.tick(failure(1, ['ann'], 'B'))
    judge.tick(failure(2, ['ann'], 'B'))
    judge.tick(failure(3, ['bob', 'ann'], 'B', 100))
    const expected = evidenceOf([[{ share: 0.05, kA: 0, kB: 1 }], [{ share: 0.1, kA: 0, kB: 1 }]])
    expect(judge.ln.errors).toBeCloseTo(expected, 12)
  })

  it('that fail again and again on B do not roll it back', () => {
    const judge = judgeOf({ unit: 'identity', hardLimit: false })
    for (let tick = 1; tick <= 500; tick += 1) judge.tick(failure(tick, ['ann', 'bob'], 'B'))
    expect(judge.breach).toBeNull()
  })

  it('are remembered, and few are taken for others while there is room', () => {
    const filter = new IdentityFilter()
    const names = Array.from({ length: 50_000 }, (_, i) => hashIdentity(`user-${i}`))
    let taken = 0
    for (const name of names) if (!filter.add(name)) taken += 1
    // Expected 28 (the filter is 20 % full at the end); σ = 5.
    expect(taken).toBeLessThan(60)
    expect(names.every((name) => filter.has(name))).toBe(true)
    expect(filter.full).toBe(false)
    filter.clear()
    expect(names.some((name) => filter.has(name))).toBe(false)
  })
})
