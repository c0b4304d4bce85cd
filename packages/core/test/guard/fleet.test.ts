import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Draws } from '../../../../bench/draws.js'
import { neededAlone, neededInStage } from '../../src/guard/fleet/alpha.js'
import { openCheckpoint, sealCheckpoint } from '../../src/guard/saved/checkpoint.js'
import { MergedRun } from '../../src/guard/fleet/merged-run.js'
import { checkedDelta, fromPublished, toPublished } from '../../src/guard/fleet/published-delta.js'
import { rankedFor } from '../../src/guard/fleet/rendezvous.js'
import { SharedClock } from '../../src/guard/fleet/shared-clock.js'
import type { ClosedTick, LogEntry, RunPage } from '../../src/guard/fleet/shared.js'
import { Collector, type GuardOptions, hashIdentity, isFailure, resolveGuardOptions } from '../../src/guard/index.js'
import type { Decision } from '../../src/decision/decision.js'

const STEPS = 1000
const HASH = 'options-1'
const RUN = { release: 'plugin-1', run: 'run-1', hash: HASH }

interface Request {
  readonly decision: Decision
  readonly identity: string | null
  readonly failed: boolean
  readonly ms: number
  /** Ticks until it ends. */
  readonly lasts: number
}

/** The requests of some ticks: a ramp, late failures, identities. */
function history(seed: number, ticks: number, sticky: boolean, perTick = 30): Request[][] {
  const draws = new Draws(seed)
  return Array.from({ length: ticks }, (_, tick) =>
    Array.from({ length: draws.poisson(perTick) }, (): Request => {
      const bucketsOnB = 100 + Math.floor(tick / 7)
      const identity = sticky && draws.uniform() < 0.95 ? `user-${draws.below(400)}` : null
      const bucket = identity === null ? draws.below(STEPS) : Math.abs(hashIdentity(`b${identity}`)) % STEPS
      const upstream = bucket < bucketsOnB ? 'B' : 'A'
      const rest = { reason: 'bucket', hashedBy: 'none', release: 'r', origin: null } as const
      return {
        decision: { upstream, bucketsOnB, steps: STEPS, bucket, ...rest },
        identity,
        failed: draws.uniform() < (upstream === 'B' ? 0.04 : 0.02),
        ms: 5 + draws.below(400),
        lasts: draws.uniform() < 0.1 ? draws.below(5) : 0,
      }
    }),
  )
}

/** What members publish of a history, spread over them by chance, as the log of a run. */
function logOf(requests: readonly Request[][], members: number, options: GuardOptions, sticky: boolean): ClosedTick[] {
  const draws = new Draws(members)
  const { unit, latency } = resolveGuardOptions(options, sticky)
  const collectors = Array.from({ length: members }, (_, i) => ({
    collector: new Collector({ unit, latency, sticky, isFailure }, 1, 0),
    sender: { ...RUN, member: `member-${i}` },
    left: new Set<number>(),
  }))
  const ends: (() => void)[][] = []
  return [...requests, [], [], [], [], []].map((each, tick) => {
    for (const { decision, identity, failed, ms, lasts } of each) {
      const collector = collectors[draws.below(members)]?.collector
      const ticket = collector?.admit(decision, identity) ?? null
      if (ticket === null) continue
      const outcome = { decision, status: failed ? 500 : 200, durationMs: ms, error: null, aborted: false }
      ;(ends[tick + lasts] ??= []).push(() => collector?.observe(ticket, outcome))
    }
    for (const end of ends[tick] ?? []) end()
    const deltas = collectors.map(({ collector, sender, left }, i) => {
      const published = toPublished(sender, collector.take(1, tick + 1), tick, left)
      return { ordinal: i + 1, delta: checkedDelta(JSON.parse(JSON.stringify(published))) }
    })
    return { kind: 'tick', tick, deltas }
  })
}

const START: LogEntry = { kind: 'stage', stage: 1, tick: 0, hash: HASH, why: 'start' }
const pageOf = (entries: readonly LogEntry[], more: Partial<RunPage> = {}): RunPage => ({
  closed: entries.at(-1)?.tick ?? -1,
  entries,
  checkpoint: null,
  verdict: null,
  requests: 0,
  unscored: 0,
  ...more,
})

describe('counts of several processes', () => {
  it.each([
    ['request', false],
    ['identity', true],
  ] as const)('give the same evidence to the bit, by %s, for 1, 4 and 16 of them', async (unit, sticky) => {
    for (const seed of [1, 2, 3]) {
      const requests = history(seed, 200, sticky)
      const options: GuardOptions = { unit, alpha: 0.01 }
      const found = await Promise.all(
        [1, 4, 16].map(async (members) => {
          const run = new MergedRun(resolveGuardOptions(options, sticky), HASH)
          await run.read(pageOf([START, ...logOf(requests, members, options, sticky)]))
          return run.run.ln
        }),
      )
      expect(found[0]?.errors).not.toBe(0)
      expect(found[0]?.latency).not.toBe(0)
      for (const ln of found) expect(ln).toStrictEqual(found[0])
    }
  })

  it('survive their way over the wire', () => {
    const [tick] = logOf(history(5, 1, true), 1, { unit: 'identity' }, true)
    const delta = tick?.deltas[0]?.delta
    if (delta === undefined) throw new Error('nothing was counted')
    const back = toPublished({ ...RUN, member: 'member-0' }, fromPublished(delta, 0), delta.through, new Set())
    expect(back).toEqual(delta)
  })

  it('are small: 100 requests a second take less than 1.5 KB a tick', () => {
    const log = logOf(history(6, 60, false, 100), 1, {}, false)
    const sizes = log.flatMap(({ deltas }) => deltas.map(({ delta }) => JSON.stringify(delta).length))
    expect(Math.max(...sizes)).toBeLessThan(1536)
  })

  it('always fit, however many shares and identities a tick has', () => {
    const { unit, latency } = resolveGuardOptions({}, true)
    const collector = new Collector({ unit, latency, sticky: true, isFailure }, 1, 7)
    const draws = new Draws(8)
    const rest = { reason: 'bucket', hashedBy: 'none', release: 'r', origin: null, steps: STEPS, bucket: 1 } as const
    for (let i = 0; i < 30_000; i += 1) {
      const decision = { upstream: i % 2 === 0 ? 'A' : 'B', bucketsOnB: 1 + draws.below(300), ...rest } as const
      const ticket = collector.admit(decision, `user-${i}`)
      if (ticket === null) continue
      collector.observe(ticket, { decision, status: 500, durationMs: draws.below(1000), error: null, aborted: false })
    }
    const left = new Set<number>()
    const delta = toPublished({ ...RUN, member: 'm' }, collector.take(1, 8), 7, left)
    expect(() => checkedDelta(JSON.parse(JSON.stringify(delta)))).not.toThrow()
    expect(JSON.stringify(delta).length).toBeLessThanOrEqual(65_536)
    expect(left.size).toBe(300 - 64)
  })
})

describe('what a guard knows of a run', () => {
  const cases = fc.record({
    sticky: fc.boolean(),
    seed: fc.integer({ min: 1, max: 1000 }),
    before: fc.integer({ min: 1, max: 90 }),
    after: fc.integer({ min: 1, max: 60 }),
    latency: fc.boolean(),
  })

  it('goes on from a checkpoint as if there had been none, to the bit', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ sticky, seed, before, after, latency }) => {
        const options: GuardOptions = latency ? {} : { latency: false }
        const log = logOf(history(seed, before + after, sticky), 2, options, sticky)
        const resolved = resolveGuardOptions(options, sticky)
        const [through, first, second] = [0, 1, 2].map(() => new MergedRun(resolved, HASH))
        if (through === undefined || first === undefined || second === undefined) return
        await through.read(pageOf([START, ...log]))
        await first.read(pageOf([START, ...log.slice(0, before)]))
        const checkpoint = await first.checkpoint(true)
        expect(checkpoint).not.toBeNull()
        await second.read(pageOf(log.slice(before), { checkpoint }))
        expect(second.run.save()).toStrictEqual(through.run.save())
        expect(second.stage).toBe(1)
      }),
      { seed: 11, numRuns: 25 },
    )
  })

  it('takes at most 4 KB without identities, after an hour of a ramp too', async () => {
    const run = new MergedRun(resolveGuardOptions({}, false), HASH)
    await run.read(pageOf([START, ...logOf(history(4, 1200, false, 60), 1, {}, false)]))
    const checkpoint = await run.checkpoint(true)
    expect(checkpoint?.state.length).toBeLessThanOrEqual(4096)
    expect(checkpoint?.identities).toBeNull()
  })

  it('keeps more than 5000 identities as a filter, and those that come later on top of it', async () => {
    const resolved = resolveGuardOptions({ unit: 'identity', latency: false }, true)
    const failing = (tick: number, from: number, to: number): ClosedTick => ({
      kind: 'tick',
      tick,
      deltas: [
        {
          ordinal: 1,
          delta: checkedDelta({
            ...RUN,
            member: 'm',
            tick,
            through: tick,
            cells: [
              {
                share: [100, STEPS],
                decided: [600, 0],
                ended: [600, 0],
                failures: [[tick, 500, 0]],
                failed: { A: Array.from({ length: to - from }, (_, i) => hashIdentity(`user-${from + i}`)), B: [] },
              },
            ],
          }),
        },
      ],
    })
    const log = Array.from({ length: 40 }, (_, tick) => failing(tick, tick * 200, tick * 200 + 300))
    const [through, first] = [new MergedRun(resolved, HASH), new MergedRun(resolved, HASH)]
    await through.read(pageOf([START, ...log]))
    await first.read(pageOf([START, ...log.slice(0, 30)]))
    const whole = await first.checkpoint(true)
    if (whole === null) throw new Error('nothing was saved')
    expect(whole.identities).toEqual(expect.any(String))
    first.saved(whole, true)
    await first.read(pageOf(log.slice(30, 35)))
    const onTop = await first.checkpoint(true)
    expect(onTop?.identities).toBeNull()
    expect(onTop?.state.length).toBeLessThan(16_384)
    if (onTop === null) return
    const second = new MergedRun(resolved, HASH)
    await second.read(pageOf(log.slice(35), { checkpoint: { ...onTop, identities: whole.identities } }))
    expect(second.run.ln).toStrictEqual(through.run.ln)
    await expect(new MergedRun(resolved, HASH).read(pageOf([], { checkpoint: onTop }))).rejects.toThrow(
      'with its identities',
    )
  })

  it.each([
    ['nothing', ''],
    ['what is not deflated', Buffer.from('{}').toString('base64')],
    ['no base64', '\u0000%%%'],
  ])('is not read from %s', async (_, state) => {
    await expect(openCheckpoint({ tick: 1, state, identities: null })).rejects.toBeInstanceOf(Error)
  })

  it('is not read from what unfolds to more than a checkpoint can be', async () => {
    const saved = {
      format: 1,
      stage: 1,
      begun: 0,
      hash: 'x'.repeat(2 ** 24),
      why: 'start',
      tick: 0,
      run: null,
    } as const
    const { state } = await sealCheckpoint(1, saved, null)
    expect(state.length).toBeLessThan(50_000)
    await expect(openCheckpoint({ tick: 1, state, identities: null })).rejects.toThrow(RangeError)
  })
})

describe('the stages of a run', () => {
  it('begin without evidence, and need more of it', async () => {
    const log = logOf(history(3, 100, false), 2, { latency: false }, false)
    const run = new MergedRun(resolveGuardOptions({ latency: false }, false), HASH)
    await run.read(pageOf([START, ...log.slice(0, 50)]))
    expect(run.run.ln.errors).not.toBe(0)
    expect(run.run.needed).toBe(neededInStage(1, 0.01))
    await run.read(pageOf([{ ...START, stage: 2, tick: 60, why: 'lost' }]))
    expect(run.run.ln.errors).toBe(0)
    expect(run.run.needed).toBe(neededInStage(2, 0.01))
  })

  it('of other options are left alone', async () => {
    const log = logOf(history(3, 100, false), 2, { latency: false }, false)
    const run = new MergedRun(resolveGuardOptions({ latency: false }, false), 'options-2')
    await run.read(pageOf([START, ...log]))
    expect([run.isOurs, run.run.ln.errors]).toEqual([false, 0])
    expect(run.act({ state: 'running', ramping: true, bucketsOnB: 1, steps: 2 })).toEqual([])
  })

  it('share α with the members that judge alone', () => {
    let sum = 0
    for (let n = 1; n <= 100_000; n += 1) sum += 1 / neededInStage(n, 0.05) + 1 / neededAlone(n, 0.05)
    expect(sum).toBeLessThanOrEqual(0.05)
    expect(sum).toBeGreaterThan(0.0499)
  })
})

describe('the store’s clock', () => {
  it('is known by the sample with the shortest way', () => {
    let local = 1000
    const clock = new SharedClock(
      () => local,
      () => {},
    )
    clock.sample(900, 5100, 1100)
    expect(clock.now()).toBe(5100)
    local = 2000
    clock.sample(1998, 6099, 2000)
    expect(clock.now()).toBeGreaterThan(6099)
    local = 10_000
    expect(clock.now()).toBeCloseTo(14_100, 6)
  })

  it('never falls, whatever is sampled, and is never faster or slower by more than 5 % without a jump', () => {
    const steps = fc.array(
      fc.record({ passes: fc.nat(3000), off: fc.integer({ min: -900, max: 900 }), trip: fc.nat(300) }),
      { minLength: 2, maxLength: 60 },
    )
    fc.assert(
      fc.property(steps, (samples) => {
        let local = 1_000_000
        const jumps: number[] = []
        const clock = new SharedClock(
          () => local,
          (ms) => jumps.push(ms),
        )
        clock.sample(local, local, local)
        let last = clock.now()
        for (const { passes, off, trip } of samples) {
          local += passes
          clock.sample(local - trip, local - trip / 2 + off / 2, local)
          const now = clock.now()
          expect(now - last).toBeGreaterThanOrEqual(passes * 0.95 - 1e-6)
          expect(now - last).toBeLessThanOrEqual(passes * 1.05 + 1e-6)
          last = now
        }
        expect(jumps).toEqual([])
      }),
      { seed: 3, numRuns: 200 },
    )
  })

  it('says when it jumps, follows forward at once and backward slowly', () => {
    let local = 0
    const jumps: number[] = []
    const clock = new SharedClock(
      () => local,
      (ms) => jumps.push(ms),
    )
    clock.sample(0, 1_000_000, 0)
    local = 100
    clock.sample(100, 1_300_100, 100)
    expect(clock.now()).toBe(1_300_100)
    local = 200
    clock.sample(200, 1_000_200, 200)
    expect(jumps).toEqual([300_000, -300_000])
    const before = clock.now()
    local = 1200
    expect(clock.now() - before).toBeCloseTo(950, 6)
  })
})

describe('the judge', () => {
  const members = Array.from({ length: 5 }, (_, i) => `member-${i}`)

  it('of a run is the same for everybody, whatever the order', () => {
    for (let run = 0; run < 50; run += 1) {
      expect(rankedFor(`run-${run}`, members.toReversed())).toEqual(rankedFor(`run-${run}`, members))
    }
    expect(rankedFor('run', [])).toEqual([])
  })

  it('of few runs changes when one of five members is gone, and runs are spread over all', () => {
    const runs = Array.from({ length: 1000 }, (_, i) => `run-${i}`)
    const judges = runs.map((run) => rankedFor(run, members)[0])
    for (const member of members) {
      // 200 expected; σ = 13.
      expect(Math.abs(judges.filter((each) => each === member).length - 200)).toBeLessThan(60)
    }
    for (const [i, run] of runs.entries()) {
      const without = rankedFor(run, members.slice(1))[0]
      if (judges[i] !== members[0]) expect(without).toBe(judges[i])
    }
  })
})
