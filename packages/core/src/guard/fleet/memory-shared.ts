import { CanaryError } from '../../errors.js'
import type { GuardReport } from '../report.js'
import { MOST_CHARACTERS, type PublishedDelta, checkedDelta } from './published-delta.js'
import { RunLog } from './run-log.js'
import { SharedClock } from './shared-clock.js'
import {
  type Checkpoint,
  FORGOTTEN_MS,
  type FleetReport,
  type JudgedRelease,
  type KnownMember,
  type MemberSays,
  type Membership,
  type Published,
  type RunPage,
  SILENT_MS,
  type Shared,
  type StoredVerdict,
} from './shared.js'

/** What several processes share, in the memory of one: for tests of what is built on {@link Shared}. */
export class SharedMemory {
  /** The store's clock. */
  readonly now: () => number
  readonly runs = new Map<string, RunLog>()
  readonly #isOver: (run: string) => boolean
  readonly #alive = new Map<string, number>()
  readonly #says = new Map<string, MemberSays>()
  readonly #releases = new Map<string, { readonly run: string; readonly guard: GuardReport | null }>()
  #ordinals = 0

  /** @param isOver whether the release of a run has begun another one */
  constructor(now: () => number, isOver: (run: string) => boolean = () => false) {
    this.now = now
    this.#isOver = isOver
  }

  join(): Membership {
    this.#ordinals += 1
    const member = crypto.randomUUID()
    this.#alive.set(member, this.now())
    return { member, ordinal: this.#ordinals }
  }

  beat(member: string, says: MemberSays): string[] {
    const now = this.now()
    this.#alive.set(member, now)
    this.#says.set(member, structuredClone(says))
    return [...this.#alive].filter(([, at]) => Math.abs(now - at) < SILENT_MS).map(([each]) => each)
  }

  members(): KnownMember[] {
    const now = this.now()
    return [...this.#says].flatMap(([member, says]) => {
      const ageMs = Math.max(0, now - (this.#alive.get(member) ?? -Infinity))
      return ageMs < FORGOTTEN_MS ? [{ member, ageMs, ...says }] : []
    })
  }

  leave(member: string): void {
    this.#alive.delete(member)
    this.#says.delete(member)
  }

  publish(delta: PublishedDelta): Published {
    const { member, release, run } = delta
    if (this.#isOver(run)) return { kind: 'stale-run', ordinal: 0, closed: -1, reason: null }
    const log = this.#log(run)
    if (this.#releases.get(release)?.run !== run) this.#releases.set(release, { run, guard: null })
    try {
      // As over a network: nothing is shared but text.
      const text = JSON.stringify(delta)
      if (text.length > MOST_CHARACTERS) throw tooLong(text.length)
      return log.publish(checkedDelta(JSON.parse(text)), this.now())
    } catch (error) {
      if (!(error instanceof CanaryError)) throw error
      return log.refuse(String(member), error.message, this.now())
    }
  }

  closeTick(run: string, after: number): RunPage {
    return structuredClone(this.#log(run).close(after, this.now()))
  }

  conclude(run: string, verdict: StoredVerdict): 'first' | StoredVerdict {
    return this.#log(run).conclude(verdict)
  }

  checkpoint(run: string, checkpoint: Checkpoint): boolean {
    return this.#log(run).checkpoint(checkpoint)
  }

  report({ release, run, guard }: JudgedRelease): void {
    if (this.#releases.get(release)?.run === run) this.#releases.set(release, { run, guard })
  }

  reports(releases: readonly string[]): Map<string, FleetReport> {
    const now = this.now()
    const found = new Map<string, FleetReport>()
    for (const release of releases) {
      const known = this.#releases.get(release)
      if (known === undefined) continue
      const { totals, late, members } = this.#log(known.run)
      const alive = members.filter((each) => Math.abs(now - (this.#alive.get(each) ?? -Infinity)) < SILENT_MS)
      found.set(release, { ...known, totals: structuredClone(totals), late, members: alive })
    }
    return found
  }

  #log(run: string): RunLog {
    let log = this.runs.get(run)
    if (log === undefined) this.runs.set(run, (log = new RunLog()))
    return log
  }
}

/** One process's way to a {@link SharedMemory}. */
export interface MemoryShared extends Shared {
  /** While true, every call fails as if the store were away. */
  away: boolean
}

/**
 * A {@link Shared} in memory.
 *
 * @param local the process's own clock: see {@link SharedClock}
 */
export function memoryShared(
  memory: SharedMemory,
  local: () => number,
  onJump: (ms: number) => void = () => {},
): MemoryShared {
  const clock = new SharedClock(local, onJump)
  async function call<Answer>(ask: () => Answer): Promise<Answer> {
    const sent = local()
    await Promise.resolve()
    if (shared.away) throw new CanaryError('ERR_CANARY_STORE', 'the store is away')
    const answer = ask()
    clock.sample(sent, memory.now(), local())
    return answer
  }
  const shared: MemoryShared = {
    away: false,
    now: () => clock.now(),
    join: () => call(() => memory.join()),
    beat: (member, says) => call(() => memory.beat(member, says)),
    members: () => call(() => memory.members()),
    leave: (member) => call(() => memory.leave(member)),
    publish: (deltas) => call(() => deltas.map((delta) => memory.publish(delta))),
    closeTick: (run, after) => call(() => memory.closeTick(run, after)),
    conclude: (run, verdict) => call(() => memory.conclude(run, verdict)),
    checkpoint: (run, checkpoint) => call(() => memory.checkpoint(run, checkpoint)),
    report: (reports) => call(() => reports.forEach((report) => memory.report(report))),
    reports: (releases) => call(() => memory.reports(releases)),
  }
  return shared
}

function tooLong(length: number): CanaryError {
  return new CanaryError('ERR_CANARY_OPTION', `a delta must have at most ${MOST_CHARACTERS} characters, got ${length}`)
}
