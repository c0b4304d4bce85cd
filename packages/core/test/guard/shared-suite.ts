import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Draws } from '../../../../bench/draws.js'
import { MergedRun } from '../../src/guard/fleet/merged-run.js'
import { type PublishedDelta, emptyDelta } from '../../src/guard/fleet/published-delta.js'
import {
  type LogEntry,
  type MemberSays,
  type Published,
  type RunPage,
  type Shared,
  type StoredVerdict,
} from '../../src/guard/fleet/shared.js'
import { type GuardReport, resolveGuardOptions } from '../../src/guard/index.js'

/** A store that several processes share. */
export interface SharedHarness {
  /** Connects another process. */
  connect(): Promise<Shared>
  /** Lets time pass for the store and all processes: by its clock, or by waiting. */
  pass(ms: number): Promise<void>
  /** The release of a run begins another one. */
  end(release: string, run: string): Promise<void>
  close(): Promise<void>
}

const HASH = 'options-1'
const STEPS = 1000

interface Counts {
  readonly decided?: readonly [number, number]
  readonly failed?: readonly [number, number]
  readonly bucketsOnB?: number
  readonly from?: number
}

const SAYS: MemberSays = { host: 'host-1', pid: 7, version: '1.0.0', tickedAt: null, refused: 0, expired: 0 }

const NAMES = { release: 'plugin-1', hash: HASH }

/** A process in the suite: it publishes what it is told. */
class Process {
  readonly shared: Shared
  readonly member: string
  readonly run: string
  hash = HASH

  private constructor(shared: Shared, member: string, run: string) {
    this.shared = shared
    this.member = member
    this.run = run
  }

  static async join(harness: SharedHarness, run: string): Promise<Process> {
    const shared = await harness.connect()
    return new Process(shared, (await shared.join()).member, run)
  }

  get sender() {
    return { ...NAMES, hash: this.hash, member: this.member, run: this.run }
  }

  async publish(...deltas: PublishedDelta[]): Promise<Published> {
    const answers = await this.shared.publish(deltas)
    expect(answers).toHaveLength(deltas.length)
    const last = answers.at(-1)
    if (last === undefined) throw new Error('nothing was published')
    return last
  }

  enter(tick: number): Promise<Published> {
    return this.publish({ ...emptyDelta(this.sender, tick), enters: true })
  }

  count(tick: number, counts: Counts = {}, through = tick): Promise<Published> {
    return this.publish(this.delta(tick, counts, through))
  }

  delta(tick: number, { decided = [10, 10], failed = [0, 0], bucketsOnB = 500, from = tick }: Counts, through = tick) {
    const failures: [number, number, number][] = failed[0] + failed[1] > 0 ? [[from, ...failed]] : []
    const [A, B] = decided
    const cell = { share: [bucketsOnB, STEPS], decided: [A, B], ended: [A, B], failures } satisfies object
    return { ...emptyDelta(this.sender, tick, through), cells: [cell] } as PublishedDelta
  }

  close(after = -1): Promise<RunPage> {
    return this.shared.closeTick(this.run, after)
  }
}

const ticksOf = (entries: readonly LogEntry[]) => entries.filter(({ kind }) => kind === 'tick').map(({ tick }) => tick)
const stagesOf = (entries: readonly LogEntry[]) =>
  entries.flatMap((entry) => (entry.kind === 'stage' ? [[entry.stage, entry.tick, entry.why]] : []))

const VERDICT: StoredVerdict = {
  kind: 'evidence',
  tick: 12,
  stage: 1,
  evidence: 5.25,
  needed: 5,
  reason: 'rolled back: B failed',
  member: 'somebody',
}

const REPORT: GuardReport = {
  verdict: 'ok',
  evidence: { errors: 1, latency: null, combined: 1 },
  needed: 100,
  pValue: 1,
  a: { n: 5, k: 0 },
  b: { n: 5, k: 0 },
  oddsRatio: null,
  unit: 'request',
  reason: null,
  lastFailure: null,
  hold: null,
}

/** What each implementation of {@link Shared} must do. */
export function sharedSuite(name: string, open: () => Promise<SharedHarness>): void {
  describe(`${name} as what guards share`, () => {
    let harness: SharedHarness
    const run = 'run-1'
    const join = () => Process.join(harness, run)

    beforeEach(async () => void (harness = await open()))
    afterEach(() => harness.close())

    /** Two processes that have entered, so that tick 11 is the first that counts. */
    async function two(): Promise<[Process, Process]> {
      const [one, other] = [await join(), await join()]
      await one.enter(10)
      await other.enter(10)
      return [one, other]
    }

    describe('members', () => {
      it('join under names and numbers of their own', async () => {
        const shared = await harness.connect()
        const joined = [await shared.join(), await (await harness.connect()).join(), await shared.join()]
        expect(new Set(joined.map(({ member }) => member)).size).toBe(3)
        const ordinals = joined.map(({ ordinal }) => ordinal)
        expect(ordinals).toEqual([...new Set(ordinals)].toSorted((a, b) => a - b))
      })

      it('are alive while they are heard of, and no more once they have left', async () => {
        const [one, other, third] = [await join(), await join(), await join()]
        expect(new Set(await one.shared.beat(one.member, SAYS))).toEqual(
          new Set([one, other, third].map((p) => p.member)),
        )
        await other.shared.leave(other.member)
        expect(await one.shared.beat(one.member, SAYS)).not.toContain(other.member)
        await harness.pass(1500)
        await one.shared.beat(one.member, SAYS)
        await harness.pass(1000)
        expect(await one.shared.beat(one.member, SAYS)).toEqual([one.member])
      })

      it('are listed with what they said last, for a minute after they were heard of', async () => {
        const [one, other] = [await join(), await join()]
        await one.shared.beat(one.member, SAYS)
        await other.shared.beat(other.member, SAYS)
        await harness.pass(1000)
        await other.shared.beat(other.member, { ...SAYS, pid: 8, refused: 2 })
        const listed = async () => new Map((await one.shared.members()).map((known) => [known.member, known]))
        const found = await listed()
        expect(found.get(one.member)).toMatchObject({ host: 'host-1', pid: 7, refused: 0 })
        expect(found.get(one.member)?.ageMs).toBeGreaterThanOrEqual(1000)
        expect(found.get(other.member)).toMatchObject({ pid: 8, refused: 2 })
        expect(found.get(other.member)?.ageMs).toBeLessThan(1000)
        await other.shared.leave(other.member)
        expect([...(await listed()).keys()]).toEqual([one.member])
        await harness.pass(60_000)
        expect(await listed()).toEqual(new Map())
      })

      it('are numbered in each run, by their first delta', async () => {
        const [one, other] = await two()
        expect([(await one.count(11)).ordinal, (await other.count(11)).ordinal]).toEqual([1, 2])
      })

      it('see a clock that does not fall', async () => {
        const shared = await harness.connect()
        await shared.join()
        let last = shared.now()
        for (let i = 0; i < 5; i += 1) {
          await harness.pass(i * 20)
          expect(shared.now()).toBeGreaterThanOrEqual(last)
          last = shared.now()
        }
      })
    })

    describe('deltas', () => {
      it('count once, however often they are published', async () => {
        const [one] = await two()
        expect((await one.count(11, { failed: [1, 2] })).kind).toBe('taken')
        expect((await one.count(11, { failed: [1, 2] })).kind).toBe('known')
        const report = (await one.shared.reports([NAMES.release])).get(NAMES.release)
        expect(report).toMatchObject({ run, late: 0, totals: { A: { n: 10, k: 1 }, B: { n: 10, k: 2 } } })
      })

      it('of a member that has not entered are late', async () => {
        const one = await join()
        expect((await one.count(11)).kind).toBe('late')
        expect((await one.shared.reports([NAMES.release])).get(NAMES.release)).toMatchObject({ late: 20 })
      })

      it('of a run that is over are stale', async () => {
        const [one] = await two()
        await harness.end(NAMES.release, run)
        expect((await one.count(11)).kind).toBe('stale-run')
      })

      it('are answered in their order', async () => {
        const [one] = await two()
        const answers = await one.shared.publish([one.delta(11, {}), one.delta(11, {}), one.delta(12, {})])
        expect(answers.map(({ kind }) => kind)).toEqual(['taken', 'known', 'taken'])
      })

      const HOSTILE: readonly [string, (one: Process) => unknown][] = [
        ['a negative count', (one) => one.delta(11, { decided: [-1, 5] })],
        ['a fraction', (one) => one.delta(11, { decided: [0.5, 5] })],
        ['a count beyond whole numbers', (one) => one.delta(11, { decided: [2 ** 60, 5] })],
        ['more failures than requests', (one) => one.delta(11, { decided: [1, 1], failed: [0, 2] })],
        ['failures under a share of no requests', (one) => one.delta(11, { decided: [0, 0], failed: [0, 1] })],
        ['failures of requests yet to be decided', (one) => one.delta(11, { failed: [1, 0], from: 12 })],
        ['a share above 1', (one) => one.delta(11, { bucketsOnB: 1001 })],
        ['a text for a number', (one) => ({ ...one.delta(11, {}), tick: '11' })],
        ['cells that are no list', (one) => ({ ...one.delta(11, {}), cells: { length: 3 } })],
        ['a field that nobody knows', (one) => ({ ...one.delta(11, {}), __proto__: null, more: 1 })],
        ['one share twice', (one) => ({ ...one.delta(11, {}), cells: [0, 1].map(() => one.delta(11, {}).cells[0]) })],
        [
          '65 cells',
          (one) => ({
            ...one.delta(11, {}),
            cells: Array.from({ length: 65 }, (_, i) => one.delta(11, { bucketsOnB: i + 1 }).cells[0]),
          }),
        ],
        [
          'more than 64 KB',
          (one) => ({
            ...one.delta(11, {}),
            cells: [
              { ...one.delta(11, {}).cells[0], failed: { A: Array.from({ length: 40_000 }, (_, i) => i), B: [] } },
            ],
          }),
        ],
        ['more latencies than requests', (one) => withLatencies(one, [50, 11])],
        ['a tick far ahead', (one) => one.delta(5000, {})],
        ['a tick that was there', (one) => one.delta(9, {}, 12)],
        ['an end before its tick', (one) => one.delta(12, {}, 11)],
      ]

      it.each(HOSTILE)('with %s are refused whole, and nobody waits for their member', async (_, make) => {
        const [one, other] = await two()
        await one.count(11)
        const answer = await one.publish({ ...(make(other) as PublishedDelta) })
        expect(answer).toMatchObject({ kind: 'refused' })
        expect(answer.reason).toEqual(expect.any(String))
        const report = (await one.shared.reports([NAMES.release])).get(NAMES.release)
        expect(report?.totals).toEqual({ A: { n: 10, k: 0 }, B: { n: 10, k: 0 } })
        expect((await one.close()).closed).toBe(11)
        // It is heard again once it enters anew.
        expect((await other.count(12)).kind).not.toBe('taken')
        expect((await other.enter(12)).kind).toBe('taken')
        expect((await other.count(13)).kind).toBe('taken')
      })
    })

    describe('a tick', () => {
      it('is closed when each member has published it, an empty one too', async () => {
        const [one, other] = await two()
        await one.count(11)
        expect((await one.close()).closed).toBe(10)
        await other.publish(emptyDelta(other.sender, 11))
        const page = await other.close()
        expect(page).toMatchObject({ closed: 11, checkpoint: null, verdict: null, requests: 20, unscored: 0 })
        expect(ticksOf(page.entries)).toEqual([11])
        expect(stagesOf(page.entries)).toEqual([[1, 11, 'start']])
      })

      it('comes with what all have published of it, in the order of their numbers', async () => {
        const [one, other] = await two()
        await other.count(11, { decided: [3, 4] })
        await one.count(11, { decided: [5, 6] })
        const entry = (await one.close()).entries.find(({ kind }) => kind === 'tick')
        expect(entry?.kind === 'tick' && entry.deltas.map(({ ordinal, delta }) => [ordinal, delta])).toEqual([
          [1, one.delta(11, { decided: [5, 6] })],
          [2, other.delta(11, { decided: [3, 4] })],
        ])
      })

      it('stays closed, and is given to whoever asks from before it', async () => {
        const [one, other] = await two()
        for (const tick of [11, 12, 13]) for (const each of [one, other]) await each.count(tick)
        expect(ticksOf((await one.close()).entries)).toEqual([11, 12, 13])
        expect(ticksOf((await other.close(12)).entries)).toEqual([13])
        expect(await other.close(13)).toMatchObject({ closed: 13, entries: [] })
        expect((await other.close(500)).closed).toBe(13)
      })

      it('does not wait for a member that has left', async () => {
        const [one, other] = await two()
        await one.count(11)
        await other.publish({ ...other.delta(11, {}), leaves: true })
        await one.count(12)
        const page = await one.close()
        expect([page.closed, stagesOf(page.entries)]).toEqual([12, [[1, 11, 'start']]])
        expect((await other.count(12)).kind).toBe('late')
      })

      it('waits for a member from its entry on', async () => {
        const [one, other] = await two()
        const third = await join()
        await third.enter(11)
        for (const tick of [11, 12]) for (const each of [one, other]) await each.count(tick)
        expect((await one.close()).closed).toBe(11)
        await third.count(12)
        expect((await one.close()).closed).toBe(12)
      })

      it('takes in nobody who enters when it is closed', async () => {
        const [one, other] = await two()
        const third = await join()
        for (const tick of [11, 12]) for (const each of [one, other]) await each.count(tick)
        await one.close()
        expect(await third.enter(11)).toMatchObject({ kind: 'late', closed: 12 })
        expect((await third.enter(12)).kind).toBe('taken')
      })
    })

    describe('a member that lets the others wait', () => {
      async function expired(): Promise<[Process, Process]> {
        const [one, other] = await two()
        await one.count(11)
        await other.count(11)
        await one.count(12)
        await one.count(13)
        expect((await one.close()).closed).toBe(11)
        await harness.pass(10_100)
        return [one, other]
      }

      it('expires after ten seconds: what has begun meanwhile is not scored, and evidence begins anew', async () => {
        const [one] = await expired()
        const page = await one.close()
        expect(page).toMatchObject({ closed: 13, requests: 80, unscored: 40 })
        expect(ticksOf(page.entries)).toEqual([11])
        expect(stagesOf(page.entries)).toEqual([
          [1, 11, 'start'],
          [2, 14, 'lost'],
        ])
        await one.count(14)
        expect(ticksOf((await one.close(13)).entries)).toEqual([14])
      })

      it('is late with what it still publishes, and counts again once it has entered anew', async () => {
        const [one, other] = await expired()
        await one.close()
        expect((await other.count(12)).kind).toBe('late')
        const report = (await one.shared.reports([NAMES.release])).get(NAMES.release)
        expect(report).toMatchObject({ late: 20, totals: { A: { n: 50, k: 0 } } })
        expect((await other.enter(14)).kind).toBe('taken')
        await one.count(14)
        await one.count(15)
        expect((await one.close()).closed).toBe(14)
        await other.count(15)
        const page = await one.close(13)
        expect([page.closed, ticksOf(page.entries)]).toEqual([15, [14, 15]])
      })

      it('begins no further stage where nothing was scored in the last one', async () => {
        const [one, other] = await two()
        for (const each of [one, other]) await each.count(11)
        await one.close()
        for (const each of [one, other, one]) await each.enter(20)
        await one.enter(21)
        expect(stagesOf((await one.close()).entries)).toEqual([
          [1, 11, 'start'],
          [2, expect.any(Number), 'lost'],
        ])
        for (const each of [one, other]) await each.count(22)
        await one.close()
        await one.enter(25)
        for (const each of [one, other]) await each.count(26)
        expect(stagesOf((await one.close()).entries).map(([stage]) => stage)).toEqual([1, 2, 3])
      })

      it('is not expired while the store itself was away from all', async () => {
        const [one, other] = await two()
        await harness.pass(30_000)
        for (let tick = 11; tick <= 40; tick += 1) await one.count(tick)
        for (let tick = 11; tick <= 40; tick += 1) await other.count(tick)
        const page = await one.close()
        expect([page.closed, page.unscored]).toEqual([40, 0])
      })
    })

    describe('members with other options', () => {
      it('wait, until nobody with those of the stage was heard of for ten seconds', async () => {
        const [one, other] = await two()
        const third = await join()
        third.hash = 'options-2'
        expect((await third.enter(10)).kind).toBe('waiting')
        expect((await third.publish(emptyDelta(third.sender, 11))).kind).toBe('waiting')
        for (const each of [one, other]) await each.publish({ ...each.delta(11, {}), leaves: true })
        expect((await third.close()).closed).toBe(11)
        await harness.pass(10_100)
        await third.publish(emptyDelta(third.sender, 12))
        const page = await third.close()
        expect(stagesOf(page.entries)).toEqual([
          [1, 11, 'start'],
          [2, 13, 'options'],
        ])
        expect(await third.count(13)).toMatchObject({ kind: 'taken' })
        expect(ticksOf((await third.close()).entries)).toEqual([11, 13])
      })
    })

    it('never scores what members of other options had published when these took over', async () => {
      const [one, other] = await two()
      const third = await join()
      third.hash = 'options-2'
      await third.enter(10)
      await one.count(11)
      await one.count(12)
      await harness.pass(10_100)
      await third.publish(emptyDelta(third.sender, 11))
      const page = await third.close()
      expect(stagesOf(page.entries).at(-1)).toEqual([1, 13, 'options'])
      for (const tick of [12, 13]) await third.count(tick)
      const closed = await third.close()
      expect([closed.closed, ticksOf(closed.entries)]).toEqual([13, [13]])
      expect((await other.count(11)).kind).toBe('late')
    })

    describe('conclusions', () => {
      it('are the first that was made', async () => {
        const [one, other] = await two()
        expect(await one.shared.conclude(run, VERDICT)).toBe('first')
        expect(await other.shared.conclude(run, { ...VERDICT, tick: 13 })).toEqual(VERDICT)
        expect((await other.close()).verdict).toEqual(VERDICT)
      })

      it('made at once are one', async () => {
        const all = await Promise.all(Array.from({ length: 8 }, join))
        const answers = await Promise.all(all.map(({ shared, member }) => shared.conclude(run, { ...VERDICT, member })))
        expect(answers.filter((answer) => answer === 'first')).toHaveLength(1)
      })
    })

    describe('checkpoints', () => {
      it('go forward only, to ticks that are closed, and trim the log', async () => {
        const [one, other] = await two()
        for (const tick of [11, 12, 13, 14]) for (const each of [one, other]) await each.count(tick)
        await one.close()
        const { shared } = one
        expect(await shared.checkpoint(run, { tick: 15, state: 'x', identities: null })).toBe(false)
        expect(await shared.checkpoint(run, { tick: 12, state: 'twelve', identities: 'all' })).toBe(true)
        expect(await other.shared.checkpoint(run, { tick: 12, state: 'again', identities: null })).toBe(false)
        expect(await other.shared.checkpoint(run, { tick: 11, state: 'older', identities: null })).toBe(false)
        const page = await other.close(-1)
        expect(page.checkpoint).toEqual({ tick: 12, state: 'twelve', identities: 'all' })
        expect(ticksOf(page.entries)).toEqual([13, 14])
        expect(stagesOf(page.entries)).toEqual([])
        expect((await other.close(12)).checkpoint).toBeNull()
        expect(await shared.checkpoint(run, { tick: 13, state: 'thirteen', identities: null })).toBe(true)
        expect((await other.close(-1)).checkpoint).toEqual({ tick: 13, state: 'thirteen', identities: 'all' })
      })
    })

    describe('reports', () => {
      it('are what the judge last said, beside the counts of all', async () => {
        const [one, other] = await two()
        await one.count(11, { failed: [1, 0] })
        await other.count(11)
        const { release } = NAMES
        expect((await one.shared.reports([release])).get(release)?.guard).toBeNull()
        await one.shared.report([{ release, run, guard: REPORT }])
        await Promise.all([one, other].map(({ shared, member }) => shared.beat(member, SAYS)))
        const found = await other.shared.reports([release, 'plugin-2'])
        expect([...found.keys()]).toEqual([release])
        expect(found.get(release)).toEqual({
          run,
          totals: { A: { n: 20, k: 1 }, B: { n: 20, k: 0 } },
          late: 0,
          members: expect.arrayContaining([one.member, other.member]),
          guard: REPORT,
        })
      })
    })

    it('gives one verdict, equal to a replay, however judges are killed', async () => {
      const options = resolveGuardOptions({ latency: false, hardLimit: false, alpha: 0.05 }, false)
      const draws = new Draws(7)
      const all = await Promise.all(Array.from({ length: 4 }, join))
      for (const each of all) await each.enter(10)
      const log: LogEntry[] = []
      let judge = new MergedRun(options, HASH)
      let verdict: StoredVerdict | null = null
      const told: ('first' | StoredVerdict)[] = []
      for (let tick = 11; tick < 800 && verdict === null; tick += 1) {
        for (const each of all) {
          const decided = [draws.poisson(8), draws.poisson(8)] as const
          const failed = [Math.min(decided[0], draws.poisson(0.05)), Math.min(decided[1], draws.poisson(0.3))] as const
          await each.count(tick, { decided, failed })
        }
        // Killed between any two of its calls: the next one knows nothing but what is stored.
        if (draws.uniform() < 0.3) judge = new MergedRun(options, HASH)
        const by = all[draws.below(4)] ?? all[0]
        if (by === undefined) break
        const page = await by.close(judge.closed)
        log.push(...page.entries.filter((entry) => entry.tick > (log.at(-1)?.tick ?? 0) || log.length === 0))
        if (draws.uniform() < 0.1) continue
        await judge.read(page)
        const acts = judge.act({ state: 'running', ramping: false, bucketsOnB: 500, steps: STEPS })
        if (acts.some(({ kind }) => kind === 'rollback')) {
          const found = judge.verdict('evidence', by.member)
          told.push(await by.shared.conclude(run, found))
          verdict = found
        } else if (draws.uniform() < 0.1) {
          const checkpoint = await judge.checkpoint(true)
          if (checkpoint !== null) judge.saved(checkpoint, await by.shared.checkpoint(run, checkpoint))
        }
      }
      expect(told).toEqual(['first'])
      const replay = new MergedRun(options, HASH)
      const ofVerdict = log.filter(({ tick }) => tick <= (verdict?.tick ?? 0))
      const page = { closed: verdict?.tick ?? 0, checkpoint: null, verdict: null, requests: 0, unscored: 0 }
      await replay.read({ ...page, entries: ofVerdict })
      expect(replay.run.ln.combined).toBe(verdict?.evidence)
      expect(verdict?.evidence).toBeGreaterThanOrEqual(verdict?.needed ?? Infinity)
    })
  })
}

function withLatencies(one: Process, A: number[]): unknown {
  const delta = one.delta(11, {})
  return { ...delta, cells: [{ ...delta.cells[0], latencies: { A, B: [] } }] }
}
