import { type GuardOptions, type Hash, type Release, createRelease } from '@canary-release/core'
import { Draws } from './draws.js'

// Whole releases, with a clock of their own: what a guard does of its evidence, and not the evidence alone.

const START = 1_800_000_000
const MINUTE = 60
const quiet = { info() {}, warn() {}, error() {} }

interface Share {
  readonly percentage?: number
  readonly start?: number
  readonly duration?: number
}

class Stage {
  readonly release: Release
  readonly draws: Draws
  #nowMs = START * 1000

  constructor(seed: number, hash: Hash, guard: GuardOptions, share: Share) {
    this.draws = new Draws(seed)
    this.release = createRelease({
      name: `release-${seed}`,
      upstreams: { A: 'http://a', B: 'http://b' },
      hash,
      guard,
      ...share,
      clock: () => this.#nowMs,
      random: () => this.draws.uniform(),
      logger: quiet,
    })
  }

  get seconds(): number {
    return this.#nowMs / 1000 - START
  }

  /** A second of requests, each of which fails by the rate that its side has for whoever sends it. */
  second(requests: number, who: () => string, rate: (side: 'A' | 'B', who: string) => number): void {
    for (let i = 0; i < requests; i += 1) {
      const consumer = who()
      const decision = this.release.decide({ consumer })
      const status = this.draws.uniform() < rate(decision.upstream, consumer) ? 500 : 200
      this.release.record({ decision, status, durationMs: 10, error: null, aborted: false })
    }
    this.#nowMs += 1000
  }

  get rolledBack(): boolean {
    return this.release.status().state === 'rolled-back'
  }
}

const nobody = () => ''
const EVIDENCE: GuardOptions = { latency: false, hardLimit: false }

/** A bad B is rolled back, repaired and begins again. 1: it was rolled back once more in ten minutes. */
export function afterRestart(seed: number): number {
  const stage = new Stage(seed, 'none', { latency: false }, { percentage: 50 })
  while (!stage.rolledBack) stage.second(20, nobody, (side) => (side === 'B' ? 0.3 : 0.02))
  stage.release.restart('repaired')
  for (let i = 0; i < 10 * MINUTE && !stage.rolledBack; i += 1) stage.second(20, nobody, () => 0.02)
  stage.release.close()
  return stage.rolledBack ? 1 : 0
}

/** Requests to B until a B of 5 % against 1 % is rolled back, ten times in a row. */
export function tenTimes(seed: number): number[] {
  const stage = new Stage(seed, 'none', EVIDENCE, { percentage: 50 })
  const requests = Array.from({ length: 10 }, () => {
    stage.release.restart('again')
    while (!stage.rolledBack) stage.second(10, nobody, (side) => (side === 'B' ? 0.05 : 0.01))
    return stage.release.guard?.report().b.n ?? Infinity
  })
  stage.release.close()
  return requests
}

/** What became of a held ramp: whether it was stuck, and whether it left a share that was not judged. */
export interface Held {
  readonly identities: number
  readonly stuck: boolean
  readonly unjudged: boolean
  readonly percentage: number
}

const SILENCE = 10 * MINUTE

/** An hour and a half of a ramp of 30 minutes, held, with 3 to 300 consumers who ask five times a second together. */
export function heldRamp(seed: number): Held {
  const stage = new Stage(seed, 'consumer', { hold: true, latency: false }, { start: START, duration: 30 * MINUTE })
  const { release, draws } = stage
  const identities = Math.round(3 * 100 ** draws.uniform())
  const last = new Map<number, number>()
  release.on('decision', ({ bucket }) => void (bucket === null || last.set(bucket, stage.seconds)))
  let unjudged = false
  let moved = 0
  let servedB = 0
  let judged = 0
  let reached = 0
  for (let second = 0; second < 90 * MINUTE; second += 1) {
    const before = { share: release.status().bucketsOnB, hold: release.guard?.report().hold }
    const b = release.status().counts.B.requests
    stage.second(
      5,
      () => `consumer-${draws.below(identities)}`,
      () => 0,
    )
    const { bucketsOnB, counts } = release.status()
    if (counts.B.requests > b) servedB = second
    if (bucketsOnB > reached) moved = second
    // The guard has looked since, at what it had then.
    const had = release.guard?.report().hold?.had ?? 0
    if (before.hold != null && had >= before.hold.needed) judged = before.share
    // Nobody was judged who fell into these: they may not be left.
    if (before.share > 0 && bucketsOnB > before.share && before.share > judged) {
      for (const [bucket, at] of last) {
        const recent = at < second && at > second - SILENCE + 2
        if (recent && bucket >= judged && bucket < Math.max(before.share, bucketsOnB - 1)) unjudged = true
      }
    }
    reached = bucketsOnB
  }
  const over = release.status().state === 'complete'
  const stuck = !over && stage.seconds - Math.max(moved, servedB) > SILENCE
  release.close()
  return { identities, stuck, unjudged, percentage: reached / 10 }
}

/** Five partners, of whom B fails 40 %, for half an hour. 1: the verdict is `blind`, and where B has some it says why. */
export function fivePartners(seed: number): number {
  const stage = new Stage(seed, 'consumer', EVIDENCE, { percentage: 50 })
  for (let i = 0; i < 30 * MINUTE; i += 1)
    stage.second(
      5,
      () => `partner-${stage.draws.below(5)}`,
      (side) => (side === 'B' ? 0.4 : 0),
    )
  const report = stage.release.guard?.report()
  const { A, B } = stage.release.status().counts
  stage.release.close()
  const says =
    A.requests === 0 || B.requests === 0 || report?.reason?.startsWith('too few identities to judge') === true
  return report?.verdict === 'blind' && says ? 1 : 0
}

/** Who fails for all, on a side that it chose, while A and B are the same. 1: B was rolled back. */
export function oneForAll(hostile: { readonly percentage: number; readonly perSecond: number }) {
  return (seed: number): number => {
    const stage = new Stage(seed, 'consumer', {}, { percentage: hostile.percentage })
    const { draws, release } = stage
    const name = onB(release)
    for (let i = 0; i < 10 * MINUTE && !stage.rolledBack; i += 1) {
      const others = draws.poisson(10)
      const all = hostile.perSecond + others
      stage.second(
        all,
        () => (draws.uniform() * all < hostile.perSecond ? name : `consumer-${draws.below(500)}`),
        (_side, who) => (who === name ? 1 : 0.01),
      )
    }
    release.close()
    return stage.rolledBack ? 1 : 0
  }
}

function onB(release: Release): string {
  for (let i = 0; ; i += 1) {
    const consumer = `hostile-${i}`
    if (release.explain({ consumer }).decision.upstream === 'B') return consumer
  }
}

/** An account that is broken, and a visitor who wants B rolled back. */
export const ONE_FOR_ALL = [
  { name: 'one account that fails its one request a second', percentage: 5, perSecond: 1 },
  { name: 'one hostile identity with 90 % of all requests, which fails all of them', percentage: 5, perSecond: 90 },
  { name: 'the same at 50 % on B', percentage: 50, perSecond: 90 },
] as const
