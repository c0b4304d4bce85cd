import { Pool, type PoolClient } from 'pg'
import { describe, expect, test } from 'vitest'
import { CanaryError } from '@canary-release/core'
import { NOWHERE } from '@canary-release/core/registry'
import { type PostgresStoreOptions, migrations, postgresStore } from '@canary-release/postgres'
import { requireBinary } from '../../../test/servers/requirement.js'
import { until } from '../../../test/servers/processes.js'
import { listening, proposalOf, saved } from '../../core/test/store/suite.js'
import { sql, urlOf, whatIsOpened } from './opened.js'

const { keep, server, open } = whatIsOpened()

function faultOf(options: unknown): CanaryError | null {
  try {
    // oxlint-disable-next-line typescript/consistent-type-assertions -- what a user without types may pass
    void postgresStore(options as PostgresStoreOptions)
    return null
  } catch (error) {
    return error instanceof CanaryError ? error : null
  }
}

describe('postgresStore', () => {
  const BAD: readonly (readonly [unknown, RegExp])[] = [
    [null, /options must be an object/],
    [{}, /connectionString or pool must be given/],
    [{ connectionString: 'postgres://h/d', pool: {} }, /and not both/],
    [{ url: 'postgres://h/d' }, /url is not an option: known are connectionString, pool, schema/],
    [{ connectionString: 'mysql://user:secret@h/d' }, /connectionString must be a URL that begins with postgres:/],
    [{ connectionString: 7 }, /connectionString must be a URL/],
    [{ pool: {} }, /pool must be a Pool of the package pg/],
    [{ pool: new Pool({ max: 1 }) }, /max 2 or more, got 1/],
    [{ connectionString: 'postgres://h/d', schema: '' }, /schema must be a name of 1 to 63 bytes/],
    [{ connectionString: 'postgres://h/d', schema: 'é'.repeat(32) }, /schema must be a name/],
    [{ connectionString: 'postgres://h/d', schema: 'pg_catalog' }, /must not be one of PostgreSQL's own/],
  ]
  for (const [options, message] of BAD) {
    test(`refuses ${options instanceof Object ? JSON.stringify(Object.keys(options)) : 'null'}: ${message.source}`, () => {
      const error = faultOf(options)
      expect(error).toMatchObject({ code: 'ERR_CANARY_OPTION', message: expect.stringMatching(message) })
      expect(error?.message).not.toContain('secret')
    })
  }

  test('says that a URL is none when it is opened, without what is in it', async () => {
    const store = open('postgres://user:sec%20ret@host:port/d')
    const error = await store.load().catch((each: unknown) => each)
    expect(error).toMatchObject({ code: 'ERR_CANARY_STORE', message: expect.stringMatching(/is not a URL/) })
    expect(String(error)).not.toContain('sec%20ret')
  })
})

requireBinary('postgres')('a store in PostgreSQL', () => {
  test('says what is wrong with user, password, database, server, rights and tables', { timeout: 60_000 }, async () => {
    const postgres = await server()
    const { port, url } = postgres
    await sql(
      url,
      `CREATE ROLE poor LOGIN; CREATE ROLE isolated LOGIN; CREATE ROLE reading LOGIN;
       ALTER ROLE isolated SET default_transaction_isolation = 'serializable';
       ALTER ROLE reading SET default_transaction_read_only = on;
       CREATE SCHEMA foreign1; CREATE TABLE foreign1.canary_head (name text);
       CREATE SCHEMA foreign2; CREATE VIEW foreign2.canary_head AS SELECT 1 AS migration, 1 AS min_reader;
       CREATE SCHEMA foreign3; CREATE TABLE foreign3.canary_row (name text)`,
    )
    await sql(url, "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    const faults: readonly (readonly [string, RegExp, PostgresStoreOptions?])[] = [
      [urlOf(port, 'nobody'), /refused the user/],
      [urlOf(port, 'postgres', 'nowhere'), /database does not exist/],
      ['postgres://postgres@no-such-host.invalid:5432/postgres', /no PostgreSQL server by that name|does not answer/],
      [urlOf(port, 'poor'), /lacks rights: .*migrations\(\).*grant/],
      [urlOf(port, 'isolated'), /default_transaction_isolation must be "read committed"/],
      [urlOf(port, 'reading'), /default_transaction_read_only must be off/],
      [urlOf(port, 'postgres', 'latin'), /encoding UTF8/],
      [url, /not what this package makes: name another one/, { schema: 'foreign1' }],
      [url, /not what this package makes/, { schema: 'foreign2' }],
      [url, /not what this package makes/, { schema: 'foreign3' }],
    ]
    for (const [where, message, options] of faults) {
      const store = open(where, options)
      const refused = { code: 'ERR_CANARY_STORE', message: expect.stringMatching(message) }
      await expect(store.load(), where).rejects.toMatchObject(refused)
      await expect(store.save(proposalOf(NOWHERE)), where).rejects.toMatchObject({ ...refused, outcome: 'not-written' })
      const watcher = listening(store, null)
      await watcher.until((events) => events.some(({ kind }) => kind === 'disconnected'))
      expect(watcher.commits()).toEqual([])
    }
  })

  test('refuses a server that is too old', async () => {
    const postgres = await server()
    const pool = new Pool({ connectionString: postgres.url })
    keep({ [Symbol.asyncDispose]: () => pool.end() })
    // No older server is at hand: this one is made to look like one.
    pool.on('connect', (client) => {
      const { query } = client
      client.query = function old(this: PoolClient, config: { text: string }) {
        const text = config.text.replace("current_setting('server_version_num')::int", '120022')
        return Reflect.apply(query, this, [{ ...config, text }])
      } as typeof query
    })
    const store = open(postgres.port, { pool })
    await expect(store.load()).rejects.toMatchObject({ message: expect.stringMatching(/too old: version 13 or later/) })
  })

  test('refuses a standby, and serves once it is promoted', async () => {
    const primary = await server({ wal_level: 'replica' })
    const first = open(primary.port)
    const at = await saved(first, proposalOf(NOWHERE))
    const standby = keep(await primary.standby())
    const store = open(standby.port)
    await expect(store.load()).rejects.toMatchObject({
      code: 'ERR_CANARY_STORE',
      message: expect.stringMatching(/is read-only, a standby: name the primary/),
    })
    await sql(standby.url, 'SELECT pg_promote()')
    await until(async () => (await store.load().catch(() => null)) !== null, 'it is promoted')
    expect((await store.load())?.at).toEqual(at)
    expect((await saved(store, proposalOf(at))).version).toBe(2)
  })

  test('makes its tables once when many processes begin at the same time', async () => {
    const postgres = await server()
    const stores = Array.from({ length: 12 }, () => open(postgres.port, { schema: 'Odd "name"; --' }))
    expect(await Promise.all(stores.map((store) => store.load()))).toEqual(stores.map(() => null))
    const [store = expect.fail(), other = expect.fail()] = stores
    const at = await saved(store, proposalOf(NOWHERE))
    expect((await other.load())?.at).toEqual(at)
    const schemas = await sql(postgres.url, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'Odd%'")
    expect(schemas).toEqual([{ nspname: 'Odd "name"; --' }])
  })

  test('keeps registries in different schemas apart', async () => {
    const postgres = await server()
    const [one, two] = ['one', 'two'].map((schema) => open(postgres.port, { schema }))
    if (one === undefined || two === undefined) throw new Error('both are there')
    await saved(one, proposalOf(NOWHERE))
    expect(await two.load()).toBeNull()
    const watcher = listening(two, null)
    await watcher.until((events) => events.length > 0)
    await saved(two, proposalOf(NOWHERE))
    await watcher.to(1)
    expect(watcher.commits()).toHaveLength(1)
  })

  test('works with a user who may not make tables, once an owner ran what migrations() prints', async () => {
    const postgres = await server()
    const { url, port } = postgres
    await sql(url, 'CREATE ROLE app LOGIN')
    for (const migration of migrations('gate')) await sql(url, `BEGIN; ${migration} COMMIT`)
    const store = open(urlOf(port, 'app'), { schema: 'gate' })
    await expect(store.load()).rejects.toMatchObject({ message: expect.stringMatching(/lacks rights/) })
    await sql(
      url,
      `GRANT USAGE ON SCHEMA gate TO app;
       GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA gate TO app;
       GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gate TO app`,
    )
    expect(await store.load()).toBeNull()
    const watcher = listening(store, null)
    const at = await saved(store, proposalOf(NOWHERE))
    await saved(store, proposalOf(at))
    await watcher.to(2)
    expect(watcher.commits()).toHaveLength(2)
  })

  test("uses the application's pool, listens on one of its connections, and does not end it", async () => {
    const postgres = await server()
    const pool = new Pool({ connectionString: postgres.url, max: 2 })
    keep({ [Symbol.asyncDispose]: () => pool.end() })
    const store = open(postgres.port, { pool })
    const watcher = listening(store, null)
    const at = await saved(store, proposalOf(NOWHERE))
    await saved(store, proposalOf(at))
    await watcher.to(2)
    await store.close()
    const { rows } = await pool.query('SELECT 1 AS one')
    expect(rows).toEqual([{ one: 1 }])
  })

  test('acknowledges nothing that is not on the disk, whatever the user has set', async () => {
    const postgres = await server({ synchronous_commit: 'off' })
    await sql(postgres.url, "ALTER ROLE postgres SET synchronous_commit = 'off'")
    const store = open(postgres.port)
    let at = await saved(store, proposalOf(NOWHERE))
    for (let i = 0; i < 5; i += 1) {
      at = await saved(store, proposalOf(at))
      await postgres.kill()
      await postgres.start()
      let stored = null
      await until(async () => (stored = await store.load().catch(() => null)) !== null, 'it is back')
      expect(stored).toMatchObject({ at })
    }
  })
})
