import { randomUUID } from 'node:crypto'
import { CanaryError } from '@canary-release/core'
import {
  FORGOTTEN_MS,
  type FleetReport,
  type JudgedRelease,
  type KnownMember,
  MOST_CHARACTERS,
  type MemberSays,
  type Membership,
  type Published,
  type PublishedDelta,
  type RunPage,
  type RunState,
  SILENT_MS,
  type SavedMember,
  type Shared,
  SharedClock,
  type StoredVerdict,
  checkedDelta,
} from '@canary-release/core/guard/internal'
import type { Session } from '../connections.js'
import { comparable } from '../encoded.js'
import type { SqlNames } from '../migrations.js'
import { type Publishing, runBatch } from './run-batch.js'
import { CALL_MS, RunQueue } from './run-queue.js'
import { NOW_SQL, RunTables, type Surroundings, parsed } from './run-tables.js'

/** Milliseconds after which the row of a member that is not heard of is removed. */
const REMOVED_MS = 600_000

/** Does work on a connection, in so many milliseconds. Rejects with what is wrong, for people. */
export type Ask = <Answer>(ms: number, work: (session: Session) => Promise<Answer>) => Promise<Answer>

/** What guards share, in tables. What happens to a run is decided here, while its row is locked. */
export class PostgresShared implements Shared {
  readonly #names: SqlNames
  readonly #ask: Ask
  readonly #clock: SharedClock
  readonly #shift: () => number
  readonly #queue: RunQueue

  /** @param shift milliseconds that the server's clock is put on: tests let time pass by it */
  constructor(names: SqlNames, ask: Ask, onJump: (ms: number) => void, shift: () => number = () => 0) {
    this.#names = names
    this.#ask = ask
    this.#shift = shift
    this.#clock = new SharedClock(() => this.#local(), onJump)
    this.#queue = new RunQueue((calls, ms) =>
      ask(ms, (session) => runBatch(new RunTables(session, names), calls, (read) => this.#timed(read))),
    )
  }

  now(): number {
    return this.#clock.now()
  }

  async join(): Promise<Membership> {
    const member = randomUUID()
    const table = this.#names.shared.member
    const [row = []] = await this.#ask(CALL_MS, (session) =>
      session.query(
        `WITH clock AS (SELECT ${NOW_SQL} + $2 AS now), gone AS (
           DELETE FROM ${table} WHERE member IN (
             SELECT m.member FROM ${table} AS m, clock WHERE m.heard_at < now - ${REMOVED_MS}
             FOR UPDATE OF m SKIP LOCKED))
         INSERT INTO ${table} (member, heard_at) SELECT $1, now FROM clock RETURNING ordinal`,
        [member, this.#shift()],
      ),
    )
    return { member, ordinal: Number(row[0]) }
  }

  async beat(member: string, says: MemberSays): Promise<readonly string[]> {
    const table = this.#names.shared.member
    const rows = await this.#ask(CALL_MS, async (session) => {
      const sent = this.#local()
      const found = await session.query(
        `WITH clock AS (SELECT ${NOW_SQL} + $2 AS now),
         known AS (UPDATE ${table} AS m SET heard_at = now, says = $3::json FROM clock WHERE m.member = $1 RETURNING 1),
         added AS (INSERT INTO ${table} (member, heard_at, says) SELECT $1, now, $3::json FROM clock
           WHERE NOT EXISTS (SELECT FROM known) ON CONFLICT DO NOTHING)
         SELECT now, $1 FROM clock UNION ALL
         SELECT now, m.member FROM ${table} AS m, clock WHERE abs(now - m.heard_at) < ${SILENT_MS} AND m.member <> $1`,
        [comparable(member), this.#shift(), JSON.stringify(says)],
      )
      this.#clock.sample(sent, Number(found[0]?.[0]), this.#local())
      return found
    })
    return rows.map(([, each], i) => (i === 0 ? member : String(each)))
  }

  async members(): Promise<readonly KnownMember[]> {
    const rows = await this.#ask(CALL_MS, (session) =>
      session.query(
        `WITH clock AS (SELECT ${NOW_SQL} + $1 AS now)
         SELECT m.member, abs(now - m.heard_at), m.says::text FROM ${this.#names.shared.member} AS m, clock
         WHERE m.says IS NOT NULL AND abs(now - m.heard_at) < ${FORGOTTEN_MS}`,
        [this.#shift()],
      ),
    )
    return rows.map(([member, age, said]) => {
      const { host, pid, version, tickedAt, refused, expired } = parsed<MemberSays>(said)
      return { member: String(member), ageMs: Math.round(Number(age)), host, pid, version, tickedAt, refused, expired }
    })
  }

  async leave(member: string): Promise<void> {
    const text = `DELETE FROM ${this.#names.shared.member} WHERE member = $1`
    await this.#ask(CALL_MS, (session) => session.query(text, [comparable(member)]))
  }

  /** They are done together, and answered in their order. */
  publish(deltas: readonly PublishedDelta[]): Promise<readonly Published[]> {
    return Promise.all(deltas.map((delta) => this.#publish(delta)))
  }

  closeTick(run: string, after: number): Promise<RunPage> {
    return new Promise((answer, reject) => this.#queue.add({ run, kind: 'close', after, answer, reject }))
  }

  conclude(run: string, verdict: StoredVerdict): Promise<'first' | StoredVerdict> {
    return new Promise((answer, reject) => this.#queue.add({ run, kind: 'conclude', verdict, answer, reject }))
  }

  checkpoint(run: string, checkpoint: NonNullable<RunPage['checkpoint']>): Promise<boolean> {
    const characters = checkpoint.state.length + (checkpoint.identities?.length ?? 0)
    return new Promise((answer, reject) =>
      this.#queue.add({ run, kind: 'checkpoint', checkpoint, answer, reject }, characters),
    )
  }

  async report(reports: readonly JudgedRelease[]): Promise<void> {
    if (reports.length === 0) return
    const { report } = this.#names.shared
    // The last of each release.
    const last = [...new Map(reports.map((each) => [comparable(each.release), each]))]
    await this.#ask(CALL_MS, (session) =>
      session.query(
        `WITH said AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS n (release, run, guard)),
         locked AS (SELECT release, run FROM ${report} WHERE release = ANY ($1::text[]) ORDER BY release FOR UPDATE)
         UPDATE ${report} AS r SET guard = said.guard::json FROM said JOIN locked USING (release, run)
         WHERE r.release = locked.release`,
        [
          last.map(([release]) => release),
          last.map(([, { run }]) => comparable(run)),
          last.map(([, { guard }]) => JSON.stringify(guard)),
        ],
      ),
    )
  }

  async reports(releases: readonly string[]): Promise<ReadonlyMap<string, FleetReport>> {
    const found = new Map<string, FleetReport>()
    if (releases.length === 0) return found
    const { member, run, part, report } = this.#names.shared
    const asked = new Map(releases.map((release) => [comparable(release), release]))
    const rows = await this.#ask(CALL_MS, (session) =>
      session.query(
        `WITH clock AS (SELECT ${NOW_SQL} + $2 AS now)
         SELECT o.release, o.run, r.state::text, o.guard::text, ARRAY(
           SELECT p.part::text FROM ${part} AS p JOIN ${member} AS m ON m.member = p.member, clock
           WHERE p.run = o.run AND abs(now - m.heard_at) < ${SILENT_MS})
         FROM ${report} AS o JOIN ${run} AS r ON r.run = o.run
         WHERE o.release = ANY ($1::text[]) AND r.state IS NOT NULL`,
        [[...asked.keys()], this.#shift()],
      ),
    )
    for (const [key, id, state, guard, parts] of rows) {
      const release = asked.get(String(key))
      if (release === undefined || !Array.isArray(parts)) continue
      const { totals, late } = parsed<{ readonly rules: RunState }>(state).rules
      const members = parts.map((each) => parsed<SavedMember>(each)).filter(({ takesPart }) => takesPart)
      found.set(release, {
        run: String(id),
        totals,
        late,
        members: members.toSorted((a, b) => a.ordinal - b.ordinal).map(({ name }) => name),
        guard: guard === null ? null : parsed<FleetReport['guard']>(guard),
      })
    }
    return found
  }

  async #publish(delta: PublishedDelta): Promise<Published> {
    const text = JSON.stringify(delta)
    let counted: Publishing['counted']
    try {
      if (text.length > MOST_CHARACTERS) {
        throw new CanaryError('ERR_CANARY_OPTION', `a delta must have at most ${MOST_CHARACTERS} characters`)
      }
      counted = checkedDelta(JSON.parse(text))
    } catch (error) {
      if (!(error instanceof CanaryError)) throw error
      counted = { member: String(delta.member), refused: error.message }
    }
    const { run, release } = delta
    // What cannot be a run's name is nobody's.
    if (!isName(run, 100)) return refusedAsNobody(counted)
    const known = isName(release, 200) ? release : null
    return new Promise((answer, reject) =>
      this.#queue.add({ run, kind: 'publish', release: known, counted, answer, reject }, text.length),
    )
  }

  /** The server's time, put on; and a sample of it. */
  async #timed(read: () => Promise<Surroundings>): Promise<Surroundings> {
    const sent = this.#local()
    const around = await read()
    const time = around.time + this.#shift()
    this.#clock.sample(sent, time, this.#local())
    return { ...around, time }
  }

  #local(): number {
    return performance.timeOrigin + performance.now() + this.#shift()
  }
}

function isName(value: unknown, most: number): value is string {
  return typeof value === 'string' && value !== '' && value.length <= most
}

function refusedAsNobody(counted: Publishing['counted']): Published {
  const reason = 'refused' in counted ? counted.refused : null
  return { kind: 'refused', ordinal: 0, closed: -1, reason }
}
