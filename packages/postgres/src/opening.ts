import { createHash } from 'node:crypto'
import type { Session } from './connections.js'
import { FOREIGN, RIGHTS, STANDBY, StoreFault } from './faults.js'
import { MIGRATION, type SqlNames, statements } from './migrations.js'

const OLDEST_SERVER = 130_000

/** How long the tables may take to be made, and to wait for another process that makes them, in milliseconds. */
const MIGRATE_MS = 10_000

/**
 * Checks that the server is one that a store can be kept on, and makes the tables where they are missing.
 *
 * @param known the tables were there before: a server without them is another one
 * @throws {StoreFault} that says what to change
 */
export async function openSchema(session: Session, schema: string, names: SqlNames, known: boolean): Promise<void> {
  await checkServer(session)
  const made = await madeMigration(session, schema, names)
  if (made === null && known) throw new StoreFault(GONE)
  if (made === null || made < MIGRATION) await migrate(session, schema, names)
  if (!known) await checkRights(session, names)
}

const GONE = "the store's tables are gone: restore them from a backup, or start this process anew to begin with none"

async function checkServer(session: Session): Promise<void> {
  const [row = []] = await session.query(`SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
    current_setting('default_transaction_read_only'), current_setting('server_encoding'),
    current_setting('default_transaction_isolation')`)
  const [version, standby, readOnly, encoding, isolation] = row
  if (typeof version !== 'number' || version < OLDEST_SERVER) {
    throw new StoreFault('the PostgreSQL server is too old: version 13 or later is needed')
  }
  if (standby === true) throw new StoreFault(STANDBY, { lasting: false })
  if (readOnly !== 'off') {
    throw new StoreFault('default_transaction_read_only must be off for the user that the store connects as')
  }
  if (encoding !== 'UTF8') throw new StoreFault('the database must have the encoding UTF8: create it with that one')
  if (isolation !== 'read committed') {
    throw new StoreFault(
      'default_transaction_isolation must be "read committed" for the user that the store connects as',
    )
  }
}

/** Which migrations were made; `null`: none. */
async function madeMigration(session: Session, schema: string, names: SqlNames): Promise<number | null> {
  // Not to_regclass: it hides tables of a schema that the user may not use.
  const [found] = await session.query(
    `SELECT c.relkind = 'r' FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = 'canary_head'`,
    [schema],
  )
  if (found === undefined) return null
  if (found[0] !== true) throw new StoreFault(FOREIGN)
  const rows = await session.query(`SELECT migration, min_reader FROM ${names.head}`)
  const [migration, minReader] = rows[0] ?? []
  if (rows.length === 0) throw new StoreFault(EMPTY_HEAD)
  if (typeof migration !== 'number' || typeof minReader !== 'number') throw new StoreFault(FOREIGN)
  checkReader(minReader)
  return migration
}

export const EMPTY_HEAD = 'canary_head is empty: restore it from a backup, or name another schema'

/** @throws {StoreFault} where the tables were made by a version of this package that this one cannot read */
export function checkReader(minReader: unknown): void {
  if (typeof minReader === 'number' && minReader <= MIGRATION) return
  throw new StoreFault('the store has a newer format: upgrade @canary-release/postgres in this process')
}

/** Safe when many processes do it at once: the first makes what is missing, the others wait and find it. */
async function migrate(session: Session, schema: string, names: SqlNames): Promise<void> {
  const lock = createHash('sha256').update(`canary-release ${schema}`).digest().readBigInt64BE().toString()
  await session.query('BEGIN')
  await session.query(`SET LOCAL statement_timeout = ${MIGRATE_MS}`)
  await session.query('SELECT pg_advisory_xact_lock($1::bigint)', [lock], MIGRATE_MS)
  const made = await madeMigration(session, schema, names)
  if (made === null) {
    const [schemaFound] = await session.query('SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1', [schema])
    if (schemaFound === undefined) await session.query(`CREATE SCHEMA ${names.schema}`)
  }
  // oxlint-disable-next-line no-await-in-loop -- one after another
  for (const each of statements(names).slice(made ?? 0)) await session.query(each, [], MIGRATE_MS)
  await session.query('COMMIT')
}

async function checkRights(session: Session, names: SqlNames): Promise<void> {
  const { head, row, commit, audit, save, shared } = names
  const checks = [head, row, commit, audit, ...Object.values(shared)].flatMap((table) =>
    ['SELECT', 'INSERT', 'UPDATE', 'DELETE']
      // The one row of the head is only read and written.
      .filter((right) => table !== head || right === 'SELECT' || right === 'UPDATE')
      .map((right) => ({ table, right })),
  )
  const rows = await session.query(`SELECT has_table_privilege(t, p) FROM unnest($1::text[], $2::text[]) AS n (t, p)`, [
    checks.map(({ table }) => table),
    checks.map(({ right }) => right),
  ])
  const [executable] = await session.query(
    `SELECT bool_and(has_function_privilege(oid, 'EXECUTE')) FROM pg_catalog.pg_proc WHERE oid = to_regproc($1)`,
    [save],
  )
  if (executable?.[0] === null) throw new StoreFault(FOREIGN)
  if (rows.some(([granted]) => granted !== true) || executable?.[0] !== true) throw new StoreFault(RIGHTS)
  // That they are what they should be: columns of other names fail here, not at the first change.
  await session.query(`SELECT h.one, h.migration, h.min_reader, h.epoch, h.version, h.id, r.kind, r.id, r.revision,
    r.content, c.version, c.id, c.prev, c.writes, c.body, c.size, a.version, a.by_whom, a.plugins, a.entry,
    m.member, m.ordinal, m.heard_at, m.says, u.run, u.touched_at, u.state, u.verdict, u.checkpoint, u.identities,
    p.run, p.member, p.part, t.run, t.tick, t.number, t.ordinal, t.delta, o.release, o.run, o.guard
    FROM ${head} AS h, ${row} AS r, ${commit} AS c, ${audit} AS a, ${shared.member} AS m, ${shared.run} AS u,
      ${shared.part} AS p, ${shared.tick} AS t, ${shared.report} AS o LIMIT 0`)
}
