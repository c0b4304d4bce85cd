import type { Checkpoint, ClosedTick, PublishedDelta } from '@canary-release/core/guard/internal'
import type { Session } from '../connections.js'
import { StoreFault } from '../faults.js'
import type { SqlNames } from '../migrations.js'
import type { Range, RunChanges } from './loaded-run.js'

/** Milliseconds after which a run that nobody published is forgotten. */
const KEPT_MS = 7 * 24 * 3_600_000

/** How long a batch waits for another process's, and how long the server waits for the next word of this one. */
const BEGIN = `BEGIN; SET LOCAL lock_timeout = 1000; SET LOCAL idle_in_transaction_session_timeout = 2000;
  SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`

/** The server's clock in milliseconds since the epoch. */
export const NOW_SQL = '(extract(epoch FROM clock_timestamp()) * 1000)::float8'

/** A run as it is stored. */
export interface StoredRun {
  readonly name: string
  readonly state: string | null
  readonly verdict: string | null
}

/** What is stored about runs and their releases, at one time. */
export interface Surroundings {
  readonly time: number
  /** The members of each run that has any, as a list in JSON. */
  readonly members: ReadonlyMap<string, string>
  /** The run that a release is in by its row, which may hold anything. */
  readonly runsOfRows: ReadonlyMap<string, unknown>
  /** The run of which something was published last. */
  readonly runsOfReports: ReadonlyMap<string, string>
}

/** The statements of one transaction on runs. Names are such that PostgreSQL can compare them. */
export class RunTables {
  readonly #session: Session
  readonly #names: SqlNames
  #isWritten = false

  constructor(session: Session, names: SqlNames) {
    this.#session = session
    this.#names = names
  }

  /** Begins, and locks runs; in one order, so that no two processes wait for each other. */
  async lock(names: readonly string[]): Promise<readonly StoredRun[]> {
    const { run } = this.#names.shared
    const sorted = names.toSorted()
    for (;;) {
      /* oxlint-disable no-await-in-loop -- one statement after another */
      await this.#session.query(BEGIN)
      const rows = await this.#session.query(
        `SELECT run, state::text, verdict::text FROM ${run} WHERE run = ANY ($1::text[]) ORDER BY run FOR UPDATE`,
        [sorted],
      )
      if (rows.length === names.length) {
        return rows.map(([name, state, verdict]) => ({
          name: String(name),
          state: textOf(state),
          verdict: textOf(verdict),
        }))
      }
      // Nothing is made while other rows are locked.
      await this.#session.query('ROLLBACK')
      await this.#make(sorted)
      /* oxlint-enable no-await-in-loop */
    }
  }

  /** Makes the rows of runs that begin, and forgets old ones. */
  async #make(names: readonly string[]): Promise<void> {
    const { run, part, tick } = this.#names.shared
    await this.#session.query(
      `WITH clock AS (SELECT ${NOW_SQL} AS now), old AS (
         DELETE FROM ${run} WHERE run IN (
           SELECT r.run FROM ${run} AS r, clock WHERE r.touched_at < now - ${KEPT_MS} AND r.run <> ALL ($1::text[])
           LIMIT 1000 FOR UPDATE OF r SKIP LOCKED)
         RETURNING run
       ), parts AS (DELETE FROM ${part} WHERE run IN (SELECT run FROM old)),
       ticks AS (DELETE FROM ${tick} WHERE run IN (SELECT run FROM old))
       INSERT INTO ${run} (run, touched_at) SELECT n, now FROM clock, unnest($1::text[]) AS n ORDER BY n
       ON CONFLICT DO NOTHING`,
      [names],
    )
  }

  /** What belongs to runs that are locked: read after the lock, as others left it. */
  async read(names: readonly string[], releases: readonly string[]): Promise<Surroundings> {
    const { row, shared } = this.#names
    // PostgreSQL cannot make text of all escapes: what has any is read here.
    const escaped = String.raw`strpos(content::text, '\u') > 0`
    const rows = await this.#session.query(
      `SELECT 'time', NULL, NULL, (${NOW_SQL})::text
       UNION ALL SELECT 'members', run, NULL, '[' || string_agg(part::text, ',') || ']'
         FROM ${shared.part} WHERE run = ANY ($1::text[]) GROUP BY run
       UNION ALL SELECT 'report', release, run, NULL FROM ${shared.report} WHERE release = ANY ($2::text[])
       UNION ALL SELECT 'row', id, CASE WHEN NOT ${escaped} THEN content -> 'release' ->> 'run' END,
         CASE WHEN ${escaped} THEN content::text END FROM ${row} WHERE kind = 'plugins' AND id = ANY ($2::text[])`,
      [names, releases],
    )
    let time = Number.NaN
    const members = new Map<string, string>()
    const runsOfRows = new Map<string, unknown>()
    const runsOfReports = new Map<string, string>()
    for (const [kind, key, value, text] of rows) {
      const name = String(key)
      if (kind === 'time') time = Number(text)
      if (kind === 'report') runsOfReports.set(name, String(value))
      if (kind === 'row') runsOfRows.set(name, text === null ? value : runIn(text))
      if (kind === 'members') members.set(name, String(text))
    }
    return { time, members, runsOfRows, runsOfReports }
  }

  /** @param begun the run of which something was published, by release */
  async write(
    time: number,
    changed: readonly (readonly [name: string, changes: RunChanges])[],
    begun: ReadonlyMap<string, string>,
  ): Promise<void> {
    const { run, part, tick, report } = this.#names.shared
    if (changed.length + begun.size === 0) return
    this.#isWritten = true
    const parts = changed.flatMap(([name, { parts: all }]) => all.map(([member, text]) => [name, member, text]))
    const gone = changed.flatMap(([name, { gone: all }]) => all.map((member) => [name, member]))
    const added = changed.flatMap(([name, { added: all }]) => all.map((counts) => ({ name, ...counts })))
    const removed = changed.flatMap(([name, { removed: all }]) => all.map(([after, to]) => ({ name, after, to })))
    const checkpointOf = ({ checkpoint }: RunChanges) =>
      checkpoint === null ? null : JSON.stringify([checkpoint.tick, checkpoint.state])
    const identitiesOf = ({ checkpoint }: RunChanges) =>
      typeof checkpoint?.identities === 'string' ? JSON.stringify(checkpoint.identities) : null
    await this.#session.query(
      `WITH runs AS (
         UPDATE ${run} AS r SET state = n.state::json, touched_at = $1,
           verdict = coalesce(n.verdict::json, r.verdict), checkpoint = coalesce(n.checkpoint::json, r.checkpoint),
           identities = coalesce(n.identities::json, r.identities)
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
           AS n (run, state, verdict, checkpoint, identities) WHERE r.run = n.run
       ), gone AS (
         DELETE FROM ${part} AS p USING unnest($7::text[], $8::text[]) AS n (run, member)
         WHERE p.run = n.run AND p.member = n.member
       ), parts AS (
         INSERT INTO ${part} AS p (run, member, part)
         SELECT n.run, n.member, n.part::json FROM unnest($9::text[], $10::text[], $11::text[]) AS n (run, member, part)
         ON CONFLICT (run, member) DO UPDATE SET part = excluded.part
       ), removed AS (
         DELETE FROM ${tick} AS t USING unnest($12::text[], $13::bigint[], $14::bigint[]) AS n (run, after, upto)
         WHERE t.run = n.run AND t.tick > n.after AND t.tick <= n.upto
       ), added AS (
         INSERT INTO ${tick} (run, tick, ordinal, delta)
         SELECT n.run, n.tick, n.ordinal, n.delta::json
         FROM unnest($15::text[], $16::bigint[], $17::bigint[], $18::text[])
           WITH ORDINALITY AS n (run, tick, ordinal, delta, number) ORDER BY n.number
       )
       INSERT INTO ${report} (release, run)
       SELECT n.release, n.run FROM unnest($19::text[], $20::text[]) AS n (release, run) ORDER BY n.release
       ON CONFLICT (release) DO UPDATE SET run = excluded.run, guard = NULL`,
      [
        time,
        changed.map(([name]) => name),
        changed.map(([, { state }]) => state),
        changed.map(([, { verdict }]) => verdict),
        changed.map(([, each]) => checkpointOf(each)),
        changed.map(([, each]) => identitiesOf(each)),
        gone.map(([name]) => name),
        gone.map(([, member]) => member),
        parts.map(([name]) => name),
        parts.map(([, member]) => member),
        parts.map(([, , text]) => text),
        removed.map(({ name }) => name),
        removed.map(({ after }) => after),
        removed.map(({ to }) => to),
        added.map(({ name }) => name),
        added.map(({ tick: at }) => at),
        added.map(({ ordinal }) => ordinal),
        added.map(({ text }) => text),
        [...begun.keys()],
        [...begun.values()],
      ],
    )
  }

  /** The counts of ticks of runs, in the order of their members. */
  async ticks(ranges: ReadonlyMap<string, Range>): Promise<ReadonlyMap<string, readonly ClosedTick[]>> {
    const found = new Map<
      string,
      Map<number, ClosedTick & { readonly deltas: { ordinal: number; delta: PublishedDelta }[] }>
    >()
    if (ranges.size === 0) return new Map()
    const rows = await this.#session.query(
      `SELECT t.run, t.tick, t.ordinal, t.delta::text FROM ${this.#names.shared.tick} AS t
       JOIN unnest($1::text[], $2::bigint[], $3::bigint[]) AS n (run, after, upto)
         ON t.run = n.run AND t.tick > n.after AND t.tick <= n.upto
       ORDER BY t.ordinal, t.number`,
      [[...ranges.keys()], [...ranges.values()].map(([after]) => after), [...ranges.values()].map(([, to]) => to)],
    )
    for (const [run, number, ordinal, text] of rows) {
      const name = String(run)
      const tick = Number(number)
      const ticks = found.get(name) ?? new Map()
      found.set(name, ticks)
      const closed = ticks.get(tick) ?? { kind: 'tick', tick, deltas: [] }
      ticks.set(tick, closed)
      closed.deltas.push({ ordinal: Number(ordinal), delta: parsed<PublishedDelta>(text) })
    }
    return new Map([...found].map(([name, ticks]) => [name, [...ticks.values()]]))
  }

  async checkpoints(names: readonly string[]): Promise<ReadonlyMap<string, Checkpoint>> {
    if (names.length === 0) return new Map()
    const rows = await this.#session.query(
      `SELECT run, checkpoint::text, identities::text FROM ${this.#names.shared.run}
       WHERE run = ANY ($1::text[]) AND checkpoint IS NOT NULL`,
      [names],
    )
    return new Map(
      rows.map(([name, checkpoint, identities]) => {
        const [tick, state] = parsed<[number, string]>(checkpoint)
        return [String(name), { tick, state, identities: identities === null ? null : parsed<string>(identities) }]
      }),
    )
  }

  /** Lets go of the runs. Where nothing was written, nothing need reach the disk. */
  async end(): Promise<void> {
    await this.#session.query(this.#isWritten ? 'COMMIT' : 'ROLLBACK')
  }
}

function textOf(value: unknown): string | null {
  return value === null ? null : String(value)
}

function runIn(content: unknown): unknown {
  return parsed<{ readonly release?: { readonly run?: unknown } | null }>(content).release?.run
}

/** JSON that a process of this package wrote. */
export function parsed<Value>(text: unknown): Value {
  try {
    // oxlint-disable-next-line typescript/consistent-type-assertions -- whoever may write there is trusted as a member
    return JSON.parse(String(text)) as Value
  } catch (cause) {
    throw new StoreFault(DAMAGED, { cause })
  }
}

export const DAMAGED =
  'what guards share in PostgreSQL cannot be read: delete the rows of its runs from canary_run, canary_part and canary_tick'
