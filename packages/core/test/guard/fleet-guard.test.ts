import { afterEach, describe, expect, it, vi } from 'vitest'
import { MergedRun } from '../../src/guard/fleet/merged-run.js'
import { optionsHash } from '../../src/guard/fleet/options-hash.js'
import { emptyDelta } from '../../src/guard/fleet/published-delta.js'
import { rankedFor } from '../../src/guard/fleet/rendezvous.js'
import type { LogEntry } from '../../src/guard/fleet/shared.js'
import { type GuardOptions, resolveGuardOptions } from '../../src/guard/index.js'
import { Fleet, type Process, RELEASE } from './fleet-harness.js'

const BAD = { A: 0.01, B: 0.2 }
const HEALTHY = { A: 0.02, B: 0.02 }
const stagesOf = (entries: readonly LogEntry[]) =>
  entries.flatMap((entry) => (entry.kind === 'stage' ? [[entry.stage, entry.why]] : []))

async function fleetOf(count: number, options: GuardOptions = {}, seed = 1): Promise<Fleet> {
  const fleet = new Fleet(seed)
  for (let i = 0; i < count; i += 1) fleet.add(options)
  await fleet.seconds(3)
  return fleet
}

/** What was found, judged once more from the log; `hash` is that of the options of the fleet's harness. */
async function replayed(fleet: Fleet, options: GuardOptions = {}): Promise<number> {
  const resolved = resolveGuardOptions({ latency: false, hardLimit: false, ...options }, false)
  const judge = new MergedRun(resolved, optionsHash(resolved, 'none'))
  const page = fleet.page()
  const entries = page.entries.filter(({ tick }) => tick <= (fleet.verdict?.tick ?? 0))
  await judge.read({ ...page, closed: fleet.verdict?.tick ?? 0, entries, verdict: null })
  return judge.run.ln.combined
}

function judgeOf(fleet: Fleet): Process {
  const alive = fleet.memory.reports([RELEASE]).get(RELEASE)?.members ?? []
  const ranked = rankedFor(fleet.stored.run, alive)
  const found = ranked
    .map((name) => fleet.processes.find(({ guard }) => guard.memberName === name))
    .find((process) => process !== undefined)
  if (found === undefined) throw new Error('nobody judges')
  return found
}

describe('several processes', () => {
  it('roll back once, for all, on what they have counted together', async () => {
    const fleet = await fleetOf(4)
    expect(await fleet.untilMoved(60, BAD)).toBeLessThan(60)
    await fleet.seconds(20, BAD)
    expect(fleet.made).toHaveLength(1)
    expect(fleet.made[0]).toMatchObject({ move: 'rollback', reason: fleet.verdict?.reason })
    expect(fleet.made[0]?.reason).toMatch(
      /^rolled back: B failed \d+ of \d+ requests .*; evidence .* against the 148 needed/,
    )
    expect(await replayed(fleet)).toBe(fleet.verdict?.evidence)
    expect(fleet.processes.flatMap(({ errors }) => errors)).toEqual([])
  })

  it('leave a healthy B alone, and score each request once', async () => {
    const fleet = await fleetOf(3)
    await fleet.seconds(120, HEALTHY)
    expect(fleet.made).toEqual([])
    const page = fleet.page()
    expect(page.unscored).toBe(0)
    const { a, b } = judgeOf(fleet).report
    // All but the last two seconds have been judged.
    expect(a.n + b.n).toBeGreaterThan(page.requests - 3 * 3 * 40)
    expect(a.n + b.n).toBeLessThanOrEqual(page.requests)
  })

  it('say what all of them counted, with the members that are alive', async () => {
    const fleet = await fleetOf(3)
    await fleet.seconds(30, HEALTHY)
    const reports = fleet.processes.map(({ guard }) => guard.fleet)
    for (const report of reports) {
      expect(report?.members).toHaveLength(3)
      expect(report?.guard?.verdict).toBe('ok')
      expect((report?.totals.A.n ?? 0) + (report?.totals.B.n ?? 0)).toBeGreaterThan(1000)
    }
    for (const process of fleet.processes) expect(process.report.verdict).toBe('ok')
  })

  it('do not read a clock for a request', async () => {
    const fleet = await fleetOf(1)
    const [process] = fleet.processes
    if (process === undefined) return
    const before = process.clockRead
    process.send(fleet.draws, BAD, 1000)
    expect(process.clockRead).toBe(before)
  })

  it('cost the store nothing without a guard', async () => {
    const fleet = await fleetOf(1)
    const [process] = fleet.processes
    process?.guard.close()
    await fleet.seconds(3)
    expect(process?.guard.prepare()).toEqual([])
    await fleet.seconds(10)
    expect(fleet.memory.reports([RELEASE]).get(RELEASE)?.members).toEqual([])
  })
})

describe('a judge', () => {
  it.each([1, 2, 3, 4, 5])(
    'that is killed, and the next one too, changes nothing about the one verdict (seed %i)',
    async (seed) => {
      const fleet = await fleetOf(4, {}, seed)
      for (let i = 0; i < 200 && fleet.made.length === 0; i += 1) {
        await fleet.second({ A: 0.02, B: 0.12 }, 5)
        if (fleet.draws.uniform() < 0.05 && fleet.processes.length > 1) fleet.kill(judgeOf(fleet))
        if (fleet.draws.uniform() < 0.04) fleet.add()
      }
      await fleet.seconds(30, BAD)
      expect(fleet.made).toHaveLength(1)
      expect(fleet.made[0]?.reason).toBe(fleet.verdict?.reason)
      expect(await replayed(fleet)).toBe(fleet.verdict?.evidence)
    },
  )

  it('that dies between its verdict and the move leaves the move to the next one', async () => {
    const fleet = await fleetOf(3)
    const judge = judgeOf(fleet)
    judge.mute = true
    for (let i = 0; i < 60 && fleet.verdict === null; i += 1) await fleet.second(BAD)
    expect(fleet.verdict).not.toBeNull()
    expect(fleet.made).toEqual([])
    fleet.kill(judge)
    await fleet.seconds(6, BAD)
    expect(fleet.made).toEqual([{ move: 'rollback', reason: fleet.verdict?.reason, by: expect.any(String) }])
    expect(fleet.made[0]?.by).not.toBe(judge.name)
  })

  it('whose move fails tries again', async () => {
    const fleet = await fleetOf(2)
    for (const process of fleet.processes) process.mute = true
    for (let i = 0; i < 60 && fleet.verdict === null; i += 1) await fleet.second(BAD)
    await fleet.seconds(5, BAD)
    expect(fleet.made).toEqual([])
    for (const process of fleet.processes) process.mute = false
    await fleet.seconds(2, BAD)
    expect(fleet.made).toHaveLength(1)
  })

  it('that stands still for 30 s is replaced, and takes part again when it is back', async () => {
    const fleet = await fleetOf(3)
    await fleet.seconds(20, HEALTHY)
    const judge = judgeOf(fleet)
    judge.frozen = true
    await fleet.seconds(30, HEALTHY)
    expect(judgeOf(fleet)).not.toBe(judge)
    expect(stagesOf(fleet.log())).toEqual([
      [1, 'start'],
      [2, 'lost'],
    ])
    judge.frozen = false
    await fleet.seconds(30, HEALTHY)
    expect(judgeOf(fleet)).toBe(judge)
    expect(judge.guard.fleet?.members).toHaveLength(3)
    expect(judge.guard.fleet?.late).toBeGreaterThan(0)
    expect(judge.report.reason).toBeNull()
    expect(fleet.made).toEqual([])
    // More than one in a hundred was not scored.
    await fleet.untilMoved(60, BAD)
    expect(fleet.made).toHaveLength(1)
    expect(fleet.made[0]?.reason).toMatch(/; \d+\.\d % of the run's requests were not scored$/)
    expect(await replayed(fleet)).toBe(fleet.verdict?.evidence)
  })

  it('beside another one finds the same: one verdict, one move', async () => {
    const fleet = await fleetOf(3)
    for (const { shared } of fleet.processes) {
      const { beat } = shared
      shared.beat = async (member, says) => (await beat(member, says)).filter((each) => each === member)
    }
    await fleet.untilMoved(60, BAD)
    await fleet.seconds(5, BAD)
    expect(fleet.made).toHaveLength(1)
    expect(await replayed(fleet)).toBe(fleet.verdict?.evidence)
  })

  it('calls the application once for a breach, in one process', async () => {
    const told: number[] = []
    const fleet = new Fleet(3)
    for (let i = 0; i < 3; i += 1) fleet.add({ onBreach: ({ evidence }) => void told.push(evidence.combined) })
    await fleet.seconds(60, BAD)
    expect(told).toHaveLength(1)
    expect(told[0]).toBeCloseTo(Math.exp(fleet.verdict?.evidence ?? Number.NaN), 6)
    expect(fleet.made).toEqual([])
  })
})

describe('a pause on evidence', () => {
  async function paused(): Promise<Fleet> {
    const fleet = await fleetOf(3, { alpha: 1e-9, pauseEvidence: 10 })
    fleet.stored.view = { ...fleet.stored.view, ramping: true }
    expect(await fleet.untilMoved(60, BAD)).not.toBeNull()
    expect(fleet.made.map(({ move }) => move)).toEqual(['pause'])
    return fleet
  }

  it('is lifted by the next judge, when the evidence has fallen', async () => {
    const fleet = await paused()
    await fleet.stop(judgeOf(fleet))
    await fleet.seconds(120, { A: 0.2, B: 0.01 })
    expect(fleet.made.map(({ move }) => move)).toEqual(['pause', 'resume'])
  })

  it('that a person lifted is left alone by the next judge too', async () => {
    const fleet = await paused()
    fleet.person('running')
    await fleet.seconds(3, BAD)
    await fleet.stop(judgeOf(fleet))
    await fleet.seconds(3, BAD)
    expect(fleet.made.map(({ move }) => move)).toEqual(['pause'])
  })
})

describe('a run', () => {
  it('outlives a deploy of all processes, with its evidence', async () => {
    const fleet = await fleetOf(2)
    await fleet.seconds(8, { A: 0.01, B: 0.12 })
    await fleet.seconds(4)
    const before = judgeOf(fleet).report.evidence.combined
    expect(before).toBeGreaterThan(2)
    const old = [...fleet.processes]
    for (const process of old) {
      fleet.add()
      await fleet.seconds(2)
      await fleet.stop(process)
    }
    await fleet.seconds(5)
    expect(judgeOf(fleet).report.evidence.combined).toBe(before)
    expect(stagesOf(fleet.log())).toEqual([[1, 'start']])
  })

  it('that begins anew has nothing of the one before', async () => {
    const fleet = await fleetOf(2)
    await fleet.untilMoved(60, BAD)
    fleet.person('running', 'run-2')
    await fleet.seconds(30, HEALTHY)
    expect(fleet.made).toHaveLength(1)
    expect(fleet.verdict).toBeNull()
    expect(judgeOf(fleet).report.evidence.combined).toBeLessThan(10)
    await fleet.untilMoved(1, BAD)
    for (let i = 0; i < 60 && fleet.made.length === 1; i += 1) await fleet.second(BAD)
    expect(fleet.made).toHaveLength(2)
  })

  it('is checkpointed, so that its log stays short', async () => {
    const fleet = await fleetOf(2)
    await fleet.seconds(200, HEALTHY)
    expect(fleet.page().checkpoint).not.toBeNull()
    expect(fleet.log().length).toBeLessThan(70)
  })
})

describe('a store that is away', () => {
  afterEach(() => void vi.useRealTimers())

  it('is one that does not answer in time, and one whose late answer comes after all', async () => {
    const fleet = await fleetOf(1)
    const [process] = fleet.processes
    if (process === undefined) return
    vi.useFakeTimers()
    const { beat } = process.shared
    let answer = (): void => {}
    process.shared.beat = (member, says) =>
      new Promise((resolve) => {
        answer = () => void beat(member, says).then(resolve)
      })
    const second = fleet.second(HEALTHY)
    await vi.advanceTimersByTimeAsync(2600)
    await second
    expect(process.member.isAway).toBe(true)
    expect(process.errors).toEqual([expect.objectContaining({ code: 'ERR_CANARY_STORE' })])
    answer()
    process.shared.beat = beat
    await fleet.seconds(3, HEALTHY)
    expect(process.member.isAway).toBe(false)
    expect(fleet.page().unscored).toBe(0)
  })

  it('and comes back costs no evidence: what was counted meanwhile is scored', async () => {
    const fleet = await fleetOf(3)
    await fleet.seconds(10, HEALTHY)
    for (const { shared } of fleet.processes) shared.away = true
    await fleet.seconds(40, HEALTHY)
    const before = fleet.page().requests
    for (const { shared } of fleet.processes) shared.away = false
    await fleet.seconds(10, HEALTHY)
    const page = fleet.page()
    expect(page.unscored).toBe(0)
    expect(page.requests - before).toBeGreaterThan(45 * 3 * 15)
    expect(stagesOf(page.entries)).toEqual([])
    for (const { errors } of fleet.processes) expect(errors).toHaveLength(1)
  })

  it('for long costs the evidence, and one stage, however many processes there are', async () => {
    const fleet = await fleetOf(6)
    await fleet.seconds(10, HEALTHY)
    for (const { shared } of fleet.processes) shared.away = true
    await fleet.seconds(200, HEALTHY)
    for (const { shared } of fleet.processes) shared.away = false
    await fleet.seconds(10, HEALTHY)
    expect(stagesOf(fleet.log())).toEqual([[2, 'lost']])
    expect(fleet.memory.reports([RELEASE]).get(RELEASE)?.members).toHaveLength(6)
    expect(await fleet.untilMoved(60, BAD)).not.toBeNull()
    expect(fleet.verdict?.stage).toBe(2)
  })

  it('leaves each process to judge alone, at once; the others follow when it is back', async () => {
    const fleet = await fleetOf(2)
    for (const { shared } of fleet.processes) shared.away = true
    for (let i = 0; i < 120 && fleet.processes.some(({ local }) => local.length === 0); i += 1) await fleet.second(BAD)
    for (const { local } of fleet.processes) {
      expect(local).toHaveLength(1)
      expect(local[0]).toMatchObject({ move: 'rollback' })
      expect(local[0]?.reason).toMatch(/judged by one process alone, as the store is away$/)
    }
    expect(fleet.made).toEqual([])
    for (const { shared } of fleet.processes) shared.away = false
    await fleet.seconds(5, BAD)
    expect(fleet.made).toHaveLength(1)
    expect(fleet.verdict).toMatchObject({ kind: 'local', reason: fleet.made[0]?.reason })
  })

  it('does not make a process judge alone whose number in the run is not known', async () => {
    const fleet = new Fleet(1)
    const process = fleet.add()
    process.shared.away = true
    await fleet.seconds(60, BAD)
    expect(process.local).toEqual([])
  })

  it('does not keep a process from ending', async () => {
    const fleet = await fleetOf(1)
    const [process] = fleet.processes
    if (process === undefined) return
    process.shared.away = true
    await process.member.close()
    expect(process.errors).toHaveLength(1)
  })
})

describe('a rolling deploy with other options', () => {
  it('is said loudly, never mixes evidence, and goes on with the new ones when the old ones are gone', async () => {
    const fleet = await fleetOf(2)
    await fleet.seconds(10, HEALTHY)
    const old = [...fleet.processes]
    const young = [fleet.add({ alpha: 0.02 }), fleet.add({ alpha: 0.02 })]
    await fleet.seconds(20, HEALTHY)
    for (const { lines } of young) expect(lines).toEqual([expect.stringMatching(/other options/)])
    const counted = (entries: readonly LogEntry[]) =>
      entries.flatMap((entry) => (entry.kind === 'tick' ? entry.deltas.map(({ delta }) => delta.hash) : []))
    expect(new Set(counted(fleet.log())).size).toBe(1)
    for (const process of old) await fleet.stop(process)
    await fleet.seconds(15, HEALTHY)
    expect(stagesOf(fleet.log())).toEqual([
      [1, 'start'],
      [2, 'options'],
    ])
    await fleet.seconds(10, HEALTHY)
    const stage = fleet.log().find((entry) => entry.kind === 'stage' && entry.stage === 2)
    for (const entry of fleet.log()) {
      if (entry.kind !== 'tick') continue
      const hashes = new Set(entry.deltas.map(({ delta }) => delta.hash))
      expect([...hashes]).toEqual([entry.tick < (stage?.tick ?? 0) ? counted(fleet.log())[0] : stageHash(stage)])
    }
    expect(await fleet.untilMoved(90, BAD)).not.toBeNull()
    expect(await replayed(fleet, { alpha: 0.02 })).toBe(fleet.verdict?.evidence)
    expect(fleet.verdict?.stage).toBe(2)
  })

  const stageHash = (entry: LogEntry | undefined) => (entry?.kind === 'stage' ? entry.hash : null)
})

describe('clocks', () => {
  it('that are 5 min apart count the same ticks', async () => {
    const fleet = new Fleet(4)
    for (const ahead of [0, 300_000, -300_000]) fleet.add({}, { ahead })
    await fleet.seconds(20, HEALTHY)
    const [first, ...others] = fleet.processes.map(({ shared }) => shared.now())
    for (const other of others) expect(Math.abs(other - (first ?? 0))).toBeLessThan(10)
    expect(stagesOf(fleet.log())).toEqual([[1, 'start']])
    expect(fleet.page().unscored).toBe(0)
    expect(await fleet.untilMoved(60, BAD)).not.toBeNull()
    expect(await replayed(fleet)).toBe(fleet.verdict?.evidence)
  })

  it.each([300_000, -300_000])('of the store that is set by %i ms stops nothing', async (by) => {
    const fleet = await fleetOf(2)
    await fleet.seconds(10, HEALTHY)
    fleet.setClock(by)
    await fleet.seconds(10, HEALTHY)
    fleet.add()
    await fleet.seconds(10, HEALTHY)
    expect(fleet.memory.reports([RELEASE]).get(RELEASE)?.members).toHaveLength(3)
    expect(await fleet.untilMoved(90, BAD)).not.toBeNull()
    expect(fleet.made).toHaveLength(1)
    expect(await replayed(fleet)).toBe(fleet.verdict?.evidence)
  })
})

describe('a held ramp', () => {
  it('is let on by the judge through the record, as far as B has been judged', async () => {
    const fleet = await fleetOf(2, { hold: true })
    fleet.stored.view = { ...fleet.stored.view, ramping: true, bucketsOnB: 100, gate: 100 }
    const [process] = fleet.processes
    expect(process?.guard.holding()).toMatch(/^held: /)
    await fleet.seconds(60, HEALTHY, 100)
    expect(fleet.gates.length).toBeGreaterThan(0)
    expect(fleet.gates).toEqual(fleet.gates.toSorted((a, b) => a - b))
    const { gate } = fleet.stored.view
    expect(gate).toBeGreaterThan(100)
    expect(process?.guard.holding()).toBeNull()
  })
})

describe('a ramp whose record', () => {
  it('does not hold it is held where it stands, once guards are told to', async () => {
    const fleet = await fleetOf(2, { hold: true })
    fleet.stored.view = { ...fleet.stored.view, ramping: true, bucketsOnB: 100 }
    await fleet.seconds(1)
    expect(fleet.gates).toEqual([100])
  })

  it('holds it is let go, once no guard is told to hold', async () => {
    const fleet = await fleetOf(2)
    fleet.stored.view = { ...fleet.stored.view, ramping: true, bucketsOnB: 100, gate: 100 }
    await fleet.seconds(5)
    expect(fleet.gates).toEqual([1000])
  })
})

describe('a member that lies', () => {
  it('is refused, and says so', async () => {
    const fleet = await fleetOf(2)
    const [liar] = fleet.processes
    if (liar === undefined) return
    const { publish } = liar.shared
    liar.shared.publish = (deltas) =>
      publish(
        deltas.map((delta) =>
          delta.enters === true
            ? delta
            : {
                ...emptyDelta(delta, delta.tick, delta.through),
                cells: [{ share: [1, 2], decided: [0, 0], ended: [0, 0], failures: [[delta.tick, 0, 9]] }],
              },
        ),
      )
    await fleet.seconds(30, HEALTHY)
    expect(liar.lines).toEqual([expect.stringMatching(/refused: failures must not be more than the requests decided/)])
    expect(fleet.memory.reports([RELEASE]).get(RELEASE)?.members).toHaveLength(1)
    expect(fleet.made).toEqual([])
  })
})

describe('the options of a fleet', () => {
  const hashOf = (options: GuardOptions, hash: unknown = 'none') =>
    optionsHash(resolveGuardOptions(options, false), hash)

  it('have one hash for what is judged alike', () => {
    expect(hashOf({ alpha: 0.01, errors: { tolerate: 2 } })).toBe(hashOf({ errors: { tolerate: 2 }, alpha: 0.01 }))
    expect(hashOf({ onBreach: 'pause' })).toBe(hashOf({}))
    const all = [
      hashOf({}),
      hashOf({ alpha: 0.02 }),
      hashOf({ latency: false }),
      hashOf({ version: '2' }),
      hashOf({}, { cookie: 'id' }),
    ]
    expect(new Set(all).size).toBe(all.length)
  })

  it('are refused with several judges, or with a function that nobody can compare', () => {
    expect(() => hashOf({ judges: 2 })).toThrow(/guard\.judges must be 1/)
    const isFailure = () => false
    expect(() => hashOf({ errors: { isFailure } })).toThrow(/guard\.version must be given/)
    expect(hashOf({ errors: { isFailure }, version: '1' })).not.toBe(hashOf({ errors: { isFailure }, version: '2' }))
  })
})
