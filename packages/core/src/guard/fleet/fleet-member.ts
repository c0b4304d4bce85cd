import { CanaryError } from '../../errors.js'
import type { FleetParticipant } from './fleet-guard.js'
import type { PublishedDelta } from './published-delta.js'
import type { JudgedRelease, KnownMember, MemberSays, Membership, Shared } from './shared.js'

/** Milliseconds between two looks at the clock. */
const STEP_MS = 250
/** Milliseconds between two heartbeats. */
const BEAT_MS = 500
/** The same while there is nothing to judge: it keeps the clock, and says that the process is there. */
const IDLE_BEAT_MS = 5_000
/** Milliseconds between two readings of what the judges of other processes say. */
const REPORTS_MS = 2_000
/** Milliseconds after which a call counts as failed, whatever becomes of it. */
const DEADLINE_MS = 2_500
/** Deltas in one call. */
const MOST_AT_ONCE = 200
/** Calls in which it publishes what is left when it ends. */
const MOST_CALLS = 8

/** What a process says of itself, whatever it does. */
export type MemberAbout = Pick<MemberSays, 'host' | 'pid' | 'version'>

/**
 * One process among those that share a store: it ticks the guards of its releases, publishes what they counted, says
 * that it is alive, and gives each guard its turn to judge. Counting goes on where the store is away.
 */
export class FleetMember {
  readonly #shared: Shared
  readonly #about: MemberAbout
  readonly #onError: (error: unknown) => void
  readonly #guards = new Set<FleetParticipant>()
  /** Those that have still to publish that they leave. */
  readonly #leaving = new Set<FleetParticipant>()
  #membership: Membership | null = null
  #alive: readonly string[] = []
  #away = false
  #beatAt = -Infinity
  #reportsAt = -Infinity
  #tickedAt: number | null = null
  #syncing: Promise<void> | null = null
  #timer: NodeJS.Timeout | null = null

  /** @param onError hears of a store that went away, once each time, and of what else fails */
  constructor(shared: Shared, about: MemberAbout, onError: (error: unknown) => void) {
    this.#shared = withDeadline(shared)
    this.#about = about
    this.#onError = onError
  }

  /** Whether the store does not answer at present, so that each process judges alone. */
  get isAway(): boolean {
    return this.#away
  }

  /** The name under which the process has joined; `null` before that. */
  get name(): string | null {
    return this.#membership?.member ?? null
  }

  /** The processes that share the store. */
  members(): Promise<readonly KnownMember[]> {
    return this.#shared.members()
  }

  /** Makes a guard tick; the returned function ends its part. */
  readonly register = (guard: FleetParticipant): (() => void) => {
    this.#guards.add(guard)
    if (this.#membership !== null) guard.join(this.#membership.member, this.#shared.now())
    this.#leaving.delete(guard)
    return () => {
      if (!this.#guards.delete(guard)) return
      guard.leave()
      this.#leaving.add(guard)
    }
  }

  /** Steps on a timer that keeps no process alive. */
  start(): void {
    this.#timer ??= setInterval(() => void this.step(), STEP_MS).unref()
  }

  /** Ends ticks that are over, then talks with the store, unless it still does. Never rejects. */
  async step(): Promise<void> {
    this.#count()
    this.#syncing ??= this.#sync().finally(() => (this.#syncing = null))
    await this.#syncing
  }

  /** Publishes what is left and leaves. Settles within some seconds where the store is away. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    await this.#syncing
    for (const guard of this.#guards) {
      guard.leave()
      this.#leaving.add(guard)
    }
    this.#guards.clear()
    const membership = this.#membership
    this.#membership = null
    if (membership === null) return
    try {
      for (let i = 0; i < MOST_CALLS && this.#leaving.size > 0; i += 1) await this.#publish()
      await this.#shared.leave(membership.member)
    } catch (error) {
      this.#failed(error)
    }
  }

  #count(): void {
    // Before it has joined, it neither knows the time nor may judge.
    if (this.#membership === null) return
    const now = this.#shared.now()
    for (const guard of this.#guards) {
      try {
        guard.count(now, this.#away)
      } catch (error) {
        this.#onError(error)
      }
    }
  }

  async #sync(): Promise<void> {
    try {
      const isIdle = this.#guards.size + this.#leaving.size === 0
      const member = await this.#joined()
      await this.#beat(member, isIdle ? IDLE_BEAT_MS : BEAT_MS)
      // A process whose guards do nothing costs the store no more than that.
      if (isIdle) return void (this.#away = false)
      await this.#publish()
      await this.#judge()
      await this.#hear()
      this.#away = false
    } catch (error) {
      this.#failed(error)
    }
  }

  async #joined(): Promise<string> {
    if (this.#membership !== null) return this.#membership.member
    const membership = await this.#shared.join()
    this.#membership = membership
    const now = this.#shared.now()
    for (const guard of this.#guards) guard.join(membership.member, now)
    return membership.member
  }

  async #beat(member: string, everyMs: number): Promise<void> {
    const now = this.#shared.now()
    if (now - this.#beatAt < everyMs && now >= this.#beatAt) return
    this.#alive = await this.#shared.beat(member, this.#says())
    this.#beatAt = this.#shared.now()
  }

  #says(): MemberSays {
    const troubles = [...this.#guards].map(({ trouble }) => trouble)
    const count = (what: string) => troubles.filter((trouble) => trouble === what).length
    return { ...this.#about, tickedAt: this.#tickedAt, refused: count('refused'), expired: count('expired') }
  }

  async #publish(): Promise<void> {
    const prepared = [...this.#guards, ...this.#leaving].flatMap((guard) =>
      guard.prepare().map((delta): readonly [FleetParticipant, PublishedDelta] => [guard, delta]),
    )
    for (let at = 0; at < prepared.length; at += MOST_AT_ONCE) {
      const some = prepared.slice(at, at + MOST_AT_ONCE)
      const answers = await this.#shared.publish(some.map(([, delta]) => delta))
      for (const [i, [guard, delta]] of some.entries()) {
        const answer = answers[i]
        if (answer === undefined) continue
        guard.answered(delta, answer)
        if (answer.kind === 'taken') this.#tickedAt = this.#shared.now()
      }
    }
    for (const guard of this.#leaving) if (guard.prepare().length === 0) this.#leaving.delete(guard)
  }

  async #judge(): Promise<void> {
    const reports: JudgedRelease[] = []
    for (const guard of this.#guards) {
      const report = await this.#turnOf(guard)
      if (report !== null) reports.push(report)
    }
    if (reports.length > 0) await this.#shared.report(reports)
  }

  /** A release that fails is no reason not to judge the others; a store that is away is one. */
  async #turnOf(guard: FleetParticipant): Promise<JudgedRelease | null> {
    try {
      return await guard.judge(this.#shared, this.#alive)
    } catch (error) {
      if (error instanceof CanaryError && error.code === 'ERR_CANARY_STORE') throw error
      this.#onError(error)
      return null
    }
  }

  async #hear(): Promise<void> {
    const now = this.#shared.now()
    if (now - this.#reportsAt < REPORTS_MS && now >= this.#reportsAt) return
    const guards = [...this.#guards]
    const reports = await this.#shared.reports(guards.map(({ release }) => release))
    this.#reportsAt = now
    for (const guard of guards) {
      const report = reports.get(guard.release)
      if (report !== undefined) guard.hear(report)
    }
  }

  #failed(error: unknown): void {
    if (!this.#away) this.#onError(error)
    this.#away = true
  }
}

/** The same store, each of whose calls settles in time. */
function withDeadline(shared: Shared): Shared {
  return {
    now: () => shared.now(),
    join: () => within(shared.join()),
    beat: (member, says) => within(shared.beat(member, says)),
    members: () => within(shared.members()),
    leave: (member) => within(shared.leave(member)),
    publish: (deltas) => within(shared.publish(deltas)),
    closeTick: (run, after) => within(shared.closeTick(run, after)),
    conclude: (run, verdict) => within(shared.conclude(run, verdict)),
    checkpoint: (run, checkpoint) => within(shared.checkpoint(run, checkpoint)),
    report: (reports) => within(shared.report(reports)),
    reports: (releases) => within(shared.reports(releases)),
  }
}

function within<Answer>(call: Promise<Answer>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new CanaryError('ERR_CANARY_STORE', `the store did not answer in ${DEADLINE_MS} ms`))
    const timer = setTimeout(late, DEADLINE_MS).unref()
    call.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
