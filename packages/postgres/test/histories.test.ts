import { randomUUID } from 'node:crypto'
import { cpSync, rmSync } from 'node:fs'
import { Pool, type PoolClient } from 'pg'
import { expect, test } from 'vitest'
import { NOWHERE, type Position, createRegistry } from '@canary-release/core/registry'
import { startCutProxy } from '../../../test/servers/cut-proxy.js'
import { until } from '../../../test/servers/processes.js'
import { requireBinary } from '../../../test/servers/requirement.js'
import { SILENT } from '../../core/test/registry/harness.js'
import { ID, listening, proposalOf, saved, service, uuid } from '../../core/test/store/suite.js'
import { sql, whatIsOpened } from './opened.js'

const { keep, server, open } = whatIsOpened()

requireBinary('postgres')('a history in PostgreSQL that', () => {
  test('was dropped and begun anew is told, and nothing of what comes after it is taken', async () => {
    const postgres = await server()
    const store = open(postgres.port)
    const known = await saved(store, proposalOf(await saved(store, proposalOf(NOWHERE))))
    const watcher = listening(store, known)
    await watcher.until((events) => events.some(({ kind }) => kind === 'connected'))
    await sql(postgres.url, 'DROP SCHEMA canary CASCADE')
    await watcher.until((events) => events.some(({ kind }) => kind === 'error'))
    expect(watcher.events.at(-1)).toMatchObject({ error: { code: 'ERR_CANARY_STORE' } })
    await expect(store.save(proposalOf(known))).rejects.toMatchObject({ outcome: 'not-written' })
    await expect(store.load()).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })

    // As many commits as there were, and one more, of another history.
    const other = open(postgres.port)
    let stored = NOWHERE
    for (let i = 0; i < 3; i += 1) stored = await saved(other, proposalOf(stored))
    await watcher.until((events) => events.some((event) => event.kind === 'rewound' && event.stored.id === stored.id))
    expect(await store.save(proposalOf(known))).toEqual({ kind: 'rewound', stored })
    expect(watcher.commits()).toEqual([])
  })

  test('was put back from an old backup is told, also when it has grown past what is known', async () => {
    const postgres = await server()
    const store = open(postgres.port)
    const old = await saved(store, proposalOf(NOWHERE))
    await postgres.stop()
    const backup = `${postgres.folder}-backup`
    keep({ [Symbol.asyncDispose]: async () => rmSync(backup, { recursive: true, force: true }) })
    cpSync(postgres.folder, backup, { recursive: true })
    await postgres.start()
    const known = await saved(store, proposalOf(old))
    const watcher = listening(store, known)
    await watcher.until((events) => events.length > 0)

    await postgres.restore(backup)
    await watcher.until((events) => events.some(({ kind }) => kind === 'rewound'))
    expect(watcher.events.at(-1)).toEqual({ kind: 'rewound', known, stored: old })
    expect(await store.save(proposalOf(known))).toEqual({ kind: 'rewound', stored: old })

    const stored = await saved(store, proposalOf(await saved(store, proposalOf(old))))
    expect(await store.save(proposalOf(known))).toEqual({ kind: 'rewound', stored })
    const late = listening(store, known)
    await late.until((events) => events.some(({ kind }) => kind === 'rewound'))
    expect(late.events.at(-1)).toEqual({ kind: 'rewound', known, stored })
    expect([...watcher.commits(), ...late.commits()]).toEqual([])
  })

  test('forks, because a failover lost commits, is told by a watcher that goes on to the new primary', async () => {
    const primary = await server()
    const [writer, link] = [open(primary.port), keep(await startCutProxy(primary.port))]
    const shared = await saved(writer, proposalOf(NOWHERE))
    const standby = keep(await primary.standby(link.port))
    let port = primary.port
    const way = keep(await startCutProxy(() => port))
    const reader = open(way.port)
    const watcher = listening(reader, shared)
    await watcher.until((events) => events.length > 0)
    link.silence()
    const lost = await saved(writer, proposalOf(shared))
    await watcher.to(2)
    await sql(standby.url, 'SELECT pg_promote()')
    port = standby.port
    way.cut()
    way.mend()
    await watcher.until((events) => events.some(({ kind }) => kind === 'rewound'))
    expect(watcher.events.at(-1)).toEqual({ kind: 'rewound', known: lost, stored: shared })
    // The new branch overtakes the lost one: the third commit must not be taken as following on the second.
    const successor = open(standby.port)
    let at: Position = shared
    for (let i = 0; i < 3; i += 1) at = await saved(successor, proposalOf(at))
    const late = listening(reader, lost)
    await late.until((events) => events.some(({ kind }) => kind === 'rewound'))
    expect(late.events.at(-1)).toEqual({ kind: 'rewound', known: lost, stored: at })
    expect(await reader.save(proposalOf(lost))).toEqual({ kind: 'rewound', stored: at })
    expect([watcher.commits().length, late.commits().length]).toEqual([1, 0])
  })

  test('goes on at a standby is not followed: only the primary is', async () => {
    const primary = await server()
    const writer = open(primary.port)
    const shared = await saved(writer, proposalOf(NOWHERE))
    const standby = keep(await primary.standby())
    let port = primary.port
    const way = keep(await startCutProxy(() => port))
    const reader = open(way.port)
    const watcher = listening(reader, shared)
    await watcher.until((events) => events.length > 0)
    port = standby.port
    way.cut()
    way.mend()
    await watcher.until((events) => events.some(({ kind }) => kind === 'disconnected'))
    await saved(writer, proposalOf(shared))
    await expect(reader.load()).rejects.toMatchObject({ message: expect.stringMatching(/standby/) })
    await expect(reader.save(proposalOf(shared))).rejects.toMatchObject({
      outcome: 'not-written',
      message: expect.stringMatching(/standby/),
    })
    port = primary.port
    await watcher.to(2)
    expect(watcher.events.map(({ kind }) => kind)).toEqual(['connected', 'disconnected', 'connected', 'commit'])
  })

  test('is longer than the log is loaded anew by who is behind, and known by its ids', async () => {
    const postgres = await server()
    const store = open(postgres.port)
    const first = await saved(store, proposalOf(NOWHERE))
    const second = await saved(store, proposalOf(first))
    await sql(postgres.url, 'UPDATE canary.canary_commit SET body = NULL, writes = NULL')
    expect(await store.save(proposalOf({ ...first, id: randomUUID() }))).toEqual({ kind: 'rewound', stored: second })
    // Whoever asks again finds its change, though the log has forgotten it.
    expect(await store.save({ ...proposalOf(first), id: second.id })).toEqual({ kind: 'saved', at: second, missed: [] })
    const registry = await createRegistry({ store: open(postgres.port), logger: SILENT })
    keep({ [Symbol.asyncDispose]: () => registry.close() })
    const changes: number[] = []
    registry.on('change', ({ version }) => changes.push(version))
    // Two commits that are out of the log when they are heard of, one of which was never logged.
    await sql(
      postgres.url,
      `WITH h AS (UPDATE canary.canary_head SET version = 4, id = 'four')
       INSERT INTO canary.canary_commit (version, id, prev, size) VALUES (3, 'three', '${second.id}', 0), (4, 'four', 'three', 0)`,
    )
    await until(() => registry.version === 4, 'it is loaded anew')
    expect(changes).toEqual([4])
  })

  test('grows past the bounds of the log is trimmed to them', { timeout: 60_000 }, async () => {
    const postgres = await server()
    const store = open(postgres.port)
    let at = await saved(store, proposalOf(NOWHERE))
    // 250 of 200 KB are more than 32 MB, and the log is trimmed with each 256th version.
    const host = 'h'.repeat(100_000)
    const writes = ['x'.repeat(100_000)]
    for (let i = 0; i < 260; i += 1) at = await saved(store, proposalOf(at, i > 250 ? {} : { host, writes }))
    const [log] = await sql(
      postgres.url,
      'SELECT count(body)::int AS entries, sum(size)::int AS bytes, count(*)::int AS ids, min(version) FILTER (WHERE body IS NOT NULL)::int AS oldest FROM canary.canary_commit',
    )
    expect(log).toMatchObject({ ids: 261 })
    expect(log?.['bytes']).toBeLessThan(33 * 1024 * 1024)
    expect(log?.['bytes']).toBeGreaterThan(20 * 1024 * 1024)
    expect(log?.['oldest']).toBe(262 - Number(log?.['entries']))
    expect((await store.load())?.at).toEqual(at)
  })

  test('has a commit too large for the log is loaded anew, and makes a conflict', async () => {
    const postgres = await server()
    const store = open(postgres.port)
    const at = await saved(store, proposalOf(NOWHERE))
    const watcher = listening(open(postgres.port), at)
    // Who made it knows it.
    const own = listening(store, at)
    await own.until((events) => events.length > 0)
    const ids = Array.from({ length: 1000 }, (_, i) => uuid(i))
    const keys = ids.map((id) => `services/${id}`)
    const changes = ids.map((id) => ({ kind: 'services' as const, id, row: service(id, 'many') }))
    const large = await saved(store, proposalOf(at, { reads: keys, writes: keys, changes }))
    await watcher.to(2)
    expect(watcher.events.at(-1)).toMatchObject({ kind: 'state', state: { at: large } })
    await own.to(2)
    expect(own.commits()).toHaveLength(1)
    expect((await store.load())?.rows).toHaveLength(1001)
    expect(await store.save(proposalOf(at))).toEqual({ kind: 'conflict', missed: null })
    const removed = changes.map(({ kind, id }) => ({ kind, id, row: null }))
    await saved(store, proposalOf(large, { reads: keys, writes: keys, changes: removed }))
    expect((await store.load())?.rows).toHaveLength(1)
  })

  test('holds a record that cannot be read is an error, and never less than was stored', async () => {
    const postgres = await server()
    const store = open(postgres.port)
    const at = await saved(store, proposalOf(NOWHERE))
    const watcher = listening(store, at)
    await watcher.until((events) => events.length > 0)
    const good = JSON.stringify({ entity: service(ID, 'host').entity, release: null })
    for (const content of ['7', '{}', '{"entity":{"id":"other"},"release":null}', '{"entity":{"id":7}}']) {
      await sql(postgres.url, `UPDATE canary.canary_row SET content = '${content}'`)
      await expect(store.load(), content).rejects.toMatchObject({
        code: 'ERR_CANARY_STORE',
        message: expect.stringMatching(/is damaged/),
      })
    }
    // An entry of the log that cannot be read: the rows say what it did, as soon as they can be read.
    await sql(
      postgres.url,
      `WITH h AS (UPDATE canary.canary_head SET version = 2, id = 'x')
       INSERT INTO canary.canary_commit VALUES (2, 'x', '${at.id}', '{}', '{"id":"x","changes":[{}]}', 4);
       NOTIFY nobody`,
    )
    await watcher.until((events) => events.some(({ kind }) => kind === 'error'))
    expect(watcher.reached()).toBe(1)
    await sql(postgres.url, `UPDATE canary.canary_row SET content = '${good}', kind = 'services'`)
    await watcher.to(2)
    expect(watcher.events.at(-1)).toMatchObject({ kind: 'state', state: { at: { version: 2, id: 'x' } } })
    expect(watcher.events.some(({ kind }) => kind === 'disconnected')).toBe(false)
    await sql(postgres.url, "UPDATE canary.canary_audit SET entry = '{}'")
    await expect(store.audit({ limit: 1 })).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
  })

  test('has a newer format is not read, and the last good state stays', async () => {
    const postgres = await server()
    const store = open(postgres.port)
    const at = await saved(store, proposalOf(NOWHERE))
    const watcher = listening(store, at)
    await watcher.until((events) => events.length > 0)
    await sql(postgres.url, 'UPDATE canary.canary_head SET migration = 2')
    await saved(store, proposalOf(at))
    await watcher.to(2)
    await sql(postgres.url, 'UPDATE canary.canary_head SET migration = 3, min_reader = 3')
    await watcher.until((events) => events.some(({ kind }) => kind === 'error'))
    const newer = { message: expect.stringMatching(/newer format: upgrade @canary-release\/postgres/) }
    expect(watcher.events.at(-1)).toMatchObject({ error: newer })
    await expect(store.load()).rejects.toMatchObject(newer)
    await expect(open(postgres.port).load()).rejects.toMatchObject(newer)
    await sql(postgres.url, 'DELETE FROM canary.canary_head')
    await expect(store.load()).rejects.toMatchObject({ message: expect.stringMatching(/canary_head is empty/) })
    await expect(store.save(proposalOf(at))).rejects.toMatchObject({ message: expect.stringMatching(/canary_head/) })
  })

  test('is followed by polling where a pooler swallows LISTEN', async () => {
    const postgres = await server()
    const pool = new Pool({ connectionString: postgres.url })
    keep({ [Symbol.asyncDispose]: () => pool.end() })
    let swallowed = 0
    pool.on('connect', (client) => {
      const { query } = client
      client.query = function deaf(this: PoolClient, config: { text: string }) {
        const isListen = config.text.startsWith('LISTEN')
        if (isListen) swallowed += 1
        return Reflect.apply(query, this, [isListen ? { ...config, text: 'SELECT 1' } : config])
      } as typeof query
    })
    const [reader, writer] = [open(postgres.port, { pool }), open(postgres.port)]
    let at = await saved(writer, proposalOf(NOWHERE))
    const watcher = listening(reader, at)
    await watcher.until((events) => events.length > 0)
    for (let i = 0; i < 3; i += 1) at = await saved(writer, proposalOf(at))
    await watcher.to(4)
    expect(watcher.commits().map(({ version }) => version)).toEqual([2, 3, 4])
    expect(swallowed).toBe(1)
  })

  test('is read while others write is of one instant', { timeout: 60_000 }, async () => {
    const postgres = await server()
    const [store, writer] = [open(postgres.port), open(postgres.port)]
    // One row of 3 000 has the mark; each commit hands it on. Whoever reads two instants finds none or two.
    const ids = Array.from({ length: 3000 }, (_, i) => uuid(i))
    const change = (id: string, host: string) => ({ kind: 'services' as const, id, row: service(id, host) })
    let at = await saved(
      writer,
      proposalOf(NOWHERE, { changes: ids.map((id, i) => change(id, i === 0 ? 'mark' : 'other')) }),
    )
    const over = new AbortController()
    const writing = (async () => {
      for (let i = 0; !over.signal.aborted; i += 1) {
        const [from = '', to = ''] = [ids[(i * 997) % 3000], ids[((i + 1) * 997) % 3000]]
        at = await saved(writer, proposalOf(at, { changes: [change(from, 'other'), change(to, 'mark')] }))
      }
    })()
    for (let i = 0; i < 20; i += 1) {
      const state = await store.load()
      expect(state?.rows).toHaveLength(3000)
      expect(state?.rows.filter(({ entity }) => 'host' in entity && entity.host === 'mark')).toHaveLength(1)
    }
    over.abort()
    await writing
    expect(at.version).toBeGreaterThan(20)
  })
})
