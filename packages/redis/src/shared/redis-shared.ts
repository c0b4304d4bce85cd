import { randomUUID } from 'node:crypto'
import { CanaryError } from '@canary-release/core'
import {
  type ClosedTick,
  type FleetReport,
  type JudgedRelease,
  type KnownMember,
  type LogEntry,
  MOST_CHARACTERS,
  type MemberSays,
  type Membership,
  type Published,
  type PublishedDelta,
  type RunPage,
  type Shared,
  SharedClock,
  type StoredVerdict,
  checkedDelta,
} from '@canary-release/core/guard/internal'
import type { Connection } from '../connection.js'
import { DataFault, explained } from '../faults.js'
import type { Keys } from '../keys.js'
import type { Link, Reply } from '../link.js'
import type { Script } from '../scripts.js'
import { NONSENSE, listFrom } from '../wire.js'
import { ON_MEMBERS } from './members-script.js'
import { ON_RUN } from './run-script.js'

/** What guards share, on the server: each call is one script. */
export class RedisShared implements Shared {
  readonly #connection: Connection
  readonly #keys: Keys
  readonly #clock: SharedClock
  readonly #shift: () => number

  /** @param shift milliseconds that the server's clock is put on: tests let time pass by it */
  constructor(connection: Connection, keys: Keys, onJump: (ms: number) => void, shift: () => number = () => 0) {
    this.#connection = connection
    this.#keys = keys
    this.#shift = shift
    this.#clock = new SharedClock(() => performance.timeOrigin + performance.now() + shift(), onJump)
  }

  now(): number {
    return this.#clock.now()
  }

  async join(): Promise<Membership> {
    const member = randomUUID()
    const [ordinal] = await this.#onMembers('join', member)
    return { member, ordinal: Number(ordinal) }
  }

  async beat(member: string, says: MemberSays): Promise<readonly string[]> {
    const [, alive] = await this.#onMembers('beat', member, JSON.stringify(says))
    return listFrom(alive).map(String)
  }

  async members(): Promise<readonly KnownMember[]> {
    const known = listFrom((await this.#onMembers('look', ''))[2])
    const members: KnownMember[] = []
    for (let i = 0; i + 2 < known.length; i += 3) {
      const [member, age, says = null] = known.slice(i, i + 3)
      members.push({ ...parsed<MemberSays>(says), member: String(member), ageMs: Number(age) })
    }
    return members
  }

  async leave(member: string): Promise<void> {
    await this.#onMembers('leave', member)
  }

  /** They are sent at once, and answered in their order. */
  publish(deltas: readonly PublishedDelta[]): Promise<readonly Published[]> {
    return Promise.all(deltas.map((delta) => this.#publish(delta)))
  }

  async closeTick(run: string, after: number): Promise<RunPage> {
    const reply = listFrom(await this.#onRun(run, 'close', [String(after)]))
    const [closed, ticks, stages, checkpoint, identities, verdict, requests, unscored] = reply
    const entries: LogEntry[] = [
      ...ticksOf(listFrom(ticks)),
      ...listFrom(stages).map((stage) => parsed<LogEntry>(stage)),
    ]
    return {
      closed: Number(closed),
      // A stage begins before the counts of its first tick.
      entries: entries.sort((a, b) => a.tick - b.tick || (a.kind === 'stage' ? -1 : 1)),
      checkpoint: typeof checkpoint === 'string' ? checkpointOf(checkpoint, identities) : null,
      verdict: typeof verdict === 'string' ? parsed<StoredVerdict>(verdict) : null,
      requests: Number(requests),
      unscored: Number(unscored),
    }
  }

  async conclude(run: string, verdict: StoredVerdict): Promise<'first' | StoredVerdict> {
    const reply = await this.#onRun(run, 'conclude', [JSON.stringify(verdict)])
    return reply === 'first' ? reply : parsed<StoredVerdict>(reply)
  }

  async checkpoint(run: string, { tick, state, identities }: NonNullable<RunPage['checkpoint']>): Promise<boolean> {
    // An empty text is no identities: those that are known stay.
    return (await this.#onRun(run, 'checkpoint', [String(tick), state, identities ?? ''])) === 1
  }

  async report(reports: readonly JudgedRelease[]): Promise<void> {
    if (reports.length === 0) return
    const pairs = reports.flatMap(({ release, run, guard }) => [release, JSON.stringify({ run, guard })])
    await this.#ask((link) => link.send(['HSET', this.#keys.reports, ...pairs]))
  }

  async reports(releases: readonly string[]): Promise<ReadonlyMap<string, FleetReport>> {
    const found = new Map<string, FleetReport>()
    if (releases.length === 0) return found
    const alive = new Set(listFrom((await this.#onMembers('look', ''))[1]))
    await this.#ask(async (link) => {
      const [runs, reports] = await Promise.all(
        [this.#keys.releases, this.#keys.reports].map(async (key) =>
          listFrom(await link.send(['HMGET', key, ...releases])),
        ),
      )
      await Promise.all(
        releases.map(async (release, i) => {
          const run = runs?.[i]
          if (typeof run !== 'string') return
          const [state, parts] = await Promise.all([
            link.send(['HGET', this.#keys.run(run), 'state']),
            link.send(['HGETALL', this.#keys.parts(run)]),
          ])
          if (typeof state === 'string') found.set(release, reportOf(run, state, listFrom(parts), reports?.[i], alive))
        }),
      )
    })
    return found
  }

  async #publish(delta: PublishedDelta): Promise<Published> {
    const { member, release, run } = delta
    const text = JSON.stringify(delta)
    let wrong: string | null = null
    try {
      if (text.length > MOST_CHARACTERS)
        wrong = `a delta must have at most ${MOST_CHARACTERS} characters, got ${text.length}`
      else checkedDelta(JSON.parse(text))
    } catch (error) {
      if (!(error instanceof CanaryError)) throw error
      wrong = error.message
    }
    const answer = await (wrong === null
      ? this.#onRun(run, 'publish', [text])
      : this.#onRun(run, 'refuse', [member, wrong, release, run]))
    const [kind, ordinal, closed, reason] = listFrom(answer)
    return {
      kind: String(kind) as Published['kind'],
      ordinal: Number(ordinal),
      closed: Number(closed),
      reason: typeof reason === 'string' ? reason : null,
    }
  }

  async #onRun(run: string, what: string, args: readonly string[]): Promise<Reply> {
    const { rows, releases } = this.#keys
    const ofRun = [this.#keys.run(run), this.#keys.deltas(run), this.#keys.ticks(run), this.#keys.parts(run)]
    const [done] = await this.#timed(ON_RUN, [...ofRun, rows, releases], what, args)
    if (done === undefined) throw explained(new DataFault(NONSENSE))
    return done
  }

  #onMembers(what: string, member: string, says = ''): Promise<readonly Reply[]> {
    const { members, ordinals, says: sayings } = this.#keys
    return this.#timed(ON_MEMBERS, [members, ordinals, sayings], what, [member, says])
  }

  /** Runs a script whose answer begins with the server's time. */
  #timed(script: Script, keys: readonly string[], what: string, args: readonly string[]): Promise<readonly Reply[]> {
    return this.#ask(async (link) => {
      const local = () => performance.timeOrigin + performance.now() + this.#shift()
      const sent = local()
      const [time, ...answer] = listFrom(await link.run(script, keys, [what, String(this.#shift()), ...args]))
      this.#clock.sample(sent, Number(time), local())
      return answer
    })
  }

  async #ask<Answer>(ask: (link: Link) => Promise<Answer>): Promise<Answer> {
    try {
      return await ask(await this.#connection.link())
    } catch (error) {
      throw explained(error)
    }
  }
}

/** Ticks with the counts of all that took part, from pairs of `tick:ordinal` and `requests delta`. */
function ticksOf(pairs: readonly Reply[]): readonly ClosedTick[] {
  const ticks = new Map<number, { ordinal: number; delta: PublishedDelta }[]>()
  for (const pair of pairs) {
    const [field, text] = listFrom(pair)
    const [tick = 0, ordinal = 0] = String(field).split(':').map(Number)
    const delta = parsed<PublishedDelta>(String(text).slice(String(text).indexOf(' ') + 1))
    const known = ticks.get(tick) ?? []
    ticks.set(tick, known)
    known.push({ ordinal, delta })
  }
  return [...ticks].map(([tick, deltas]) => ({
    kind: 'tick',
    tick,
    deltas: deltas.sort((a, b) => a.ordinal - b.ordinal),
  }))
}

function checkpointOf(text: string, identities: Reply | undefined): RunPage['checkpoint'] {
  const space = text.indexOf(' ')
  const known = typeof identities === 'string' ? identities : null
  return { tick: Number(text.slice(0, space)), state: text.slice(space + 1), identities: known }
}

function reportOf(
  run: string,
  state: string,
  parts: readonly Reply[],
  report: Reply | undefined,
  alive: ReadonlySet<Reply>,
): FleetReport {
  const { totals, late } = parsed<Pick<FleetReport, 'totals' | 'late'>>(state)
  const said = typeof report === 'string' ? parsed<JudgedRelease>(report) : null
  const members: string[] = []
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const [name = '', part = null] = parts.slice(i, i + 2)
    if (alive.has(name) && parsed<{ readonly takesPart: boolean }>(part).takesPart) members.push(String(name))
  }
  return { run, totals, late, members, guard: said?.run === run ? said.guard : null }
}

/** JSON that the script or another process of this package wrote. */
function parsed<Value>(text: Reply): Value {
  try {
    // oxlint-disable-next-line typescript/consistent-type-assertions -- whoever may write there is trusted as a member
    return JSON.parse(String(text)) as Value
  } catch (cause) {
    throw new DataFault('what guards share in Redis cannot be read: delete the keys of its runs', { cause })
  }
}
