import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Client, Pool, type PoolClient } from 'pg'
import { describe, expect, test } from 'vitest'
import type { PublishedDelta, Shared, StoredVerdict } from '@canary-release/core/guard/internal'
import { migrations } from '@canary-release/postgres'
import { startCutProxy } from '../../../test/servers/cut-proxy.js'
import { until } from '../../../test/servers/processes.js'
import { requireBinary } from '../../../test/servers/requirement.js'
import { sql, urlOf, whatIsOpened } from './opened.js'

const { keep, server, open } = whatIsOpened()

const RUN = 'run-1'
const AWAY = { code: 'ERR_CANARY_STORE' }
const VERDICT: StoredVerdict = {
  kind: 'evidence',
  tick: 11,
  stage: 1,
  evidence: 5.25,
  needed: 5,
  reason: 'rolled back: B failed',
  member: 'somebody',
}

function sharedOf(place: number | string, options: Parameters<typeof open>[1] = {}): Shared {
  const { shared } = open(place, options)
  return shared ?? expect.fail('guards can share')
}

function deltaOf(member: string, tick: number, run = RUN, release = 'plugin-1'): PublishedDelta {
  const cell: PublishedDelta['cells'][number] = {
    share: [500, 1000],
    decided: [4, 3],
    ended: [4, 3],
    failures: [],
  }
  return { member, release, run, hash: 'options-1', tick, through: tick, cells: [cell] }
}

function entering(member: string, tick: number, run = RUN, release = 'plugin-1'): PublishedDelta {
  return { ...deltaOf(member, tick, run, release), cells: [], enters: true }
}

/** Publishes tick after tick, and says which before each. */
const PUBLISHING = `
  import { postgresStore } from '@canary-release/postgres'
  const [url, text] = process.argv.slice(1)
  const { shared } = postgresStore({ connectionString: url })
  for (let tick = 11; ; tick += 1) {
    process.stdout.write(tick + '\\n')
    await shared.publish([{ ...JSON.parse(text), tick, through: tick }])
  }`

const SAYS = { host: 'host-1', pid: 1, version: '1.0.0', tickedAt: null, refused: 0, expired: 0 }

const totalsOf = async (shared: Shared) => (await shared.reports(['plugin-1'])).get('plugin-1')?.totals

requireBinary('postgres')('what guards share in PostgreSQL', () => {
  describe('while it is away', () => {
    test('is refused in its time, and goes on when it is back', async () => {
      const postgres = await server()
      const proxy = keep(await startCutProxy(postgres.port))
      const shared = sharedOf(proxy.port)
      const { member } = await shared.join()
      await shared.publish([entering(member, 10)])
      proxy.silence()
      const before = shared.now()
      const begun = performance.now()
      const calls = [
        shared.publish([deltaOf(member, 11)]),
        shared.closeTick(RUN, -1),
        shared.conclude(RUN, VERDICT),
        shared.checkpoint(RUN, { tick: 10, state: 'ten', identities: null }),
        shared.beat(member, SAYS),
        shared.join(),
        shared.reports(['plugin-1']),
      ]
      await Promise.all(calls.map((call) => expect(call).rejects.toMatchObject(AWAY)))
      expect(performance.now() - begun).toBeLessThan(20_000)
      proxy.mend()
      await until(() => shared.beat(member, SAYS).then(Boolean, () => false), 'it is back')
      expect(shared.now()).toBeGreaterThanOrEqual(before)
      expect(await shared.publish([deltaOf(member, 11), deltaOf(member, 12)])).toMatchObject([
        { kind: expect.stringMatching(/^(?:taken|known)$/) },
        { kind: 'taken' },
      ])
      expect(await shared.closeTick(RUN, -1)).toMatchObject({ closed: 12, requests: 14 })
    })

    test('is refused by a server that never was there, and by a store that is closed', async () => {
      const postgres = await server()
      await postgres.kill()
      const store = open(postgres.port)
      await expect(store.shared?.join()).rejects.toMatchObject(AWAY)
      await expect(store.shared?.publish([deltaOf('somebody', 1)])).rejects.toMatchObject(AWAY)
      await store.close()
      await expect(store.shared?.join()).rejects.toMatchObject({ code: 'ERR_CANARY_CLOSED' })
      await expect(store.shared?.closeTick(RUN, -1)).rejects.toMatchObject({ code: 'ERR_CANARY_CLOSED' })
    })

    for (const [when, kind] of [
      ['before the commit of what is published', 'taken'],
      ['after it, before the answer', 'known'],
    ] as const) {
      test(`counts once when the server is killed ${when}`, async () => {
        const postgres = await server({ fsync: 'on' })
        const pool = new Pool({ connectionString: postgres.url })
        pool.on('error', () => undefined)
        keep({ [Symbol.asyncDispose]: () => pool.end() })
        let isArmed = false
        pool.on('connect', (client) => {
          client.on('error', () => undefined)
          const { query } = client
          client.query = async function killed(this: PoolClient, config: { text: string }) {
            const isHere = isArmed && config.text === 'COMMIT'
            if (isHere && kind === 'taken') await postgres.kill()
            const answer: unknown = await Reflect.apply(query, this, [config])
            if (isHere) {
              await postgres.kill()
              throw new Error('the connection ended')
            }
            return answer
          } as typeof query
        })
        const shared = sharedOf(postgres.port, { pool })
        const { member } = await shared.join()
        await shared.publish([entering(member, 10), deltaOf(member, 11)])
        isArmed = true
        const deltas = [deltaOf(member, 12), deltaOf(member, 13)]
        await expect(shared.publish(deltas)).rejects.toMatchObject(AWAY)
        isArmed = false
        await postgres.start()
        expect(await shared.publish(deltas)).toMatchObject([{ kind }, { kind }])
        expect(await totalsOf(shared)).toEqual({ A: { n: 12, k: 0 }, B: { n: 9, k: 0 } })
        expect((await shared.closeTick(RUN, -1)).entries.map(({ tick }) => tick)).toEqual([11, 11, 12, 13])
      })
    }

    test('counts once what a process had published when it was killed', async () => {
      const postgres = await server()
      const shared = sharedOf(postgres.port)
      const { member } = await shared.join()
      await shared.publish([entering(member, 10)])
      const child = spawn(
        process.execPath,
        ['--input-type=module', '-e', PUBLISHING, postgres.url, JSON.stringify(deltaOf(member, 0))],
        { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] },
      )
      let last = 0
      for await (const line of createInterface(child.stdout)) {
        last = Number(line)
        // It has begun to publish this one.
        if (last === 40) child.kill('SIGKILL')
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      const kinds: string[] = []
      for (let tick = 11; tick <= last; tick += 1) {
        // oxlint-disable-next-line no-await-in-loop -- tick by tick
        for (const { kind } of await shared.publish([deltaOf(member, tick)])) kinds.push(kind)
      }
      expect(kinds.slice(0, -1)).toEqual(kinds.slice(0, -1).map(() => 'known'))
      expect(last).toBeGreaterThanOrEqual(40)
      const n = last - 10
      expect(await totalsOf(shared)).toEqual({ A: { n: 4 * n, k: 0 }, B: { n: 3 * n, k: 0 } })
    })

    test('ends for others when a process stands still that holds a run', async () => {
      const postgres = await server()
      const shared = sharedOf(postgres.port)
      const { member } = await shared.join()
      await shared.publish([entering(member, 10)])
      const holder = new Client({ connectionString: postgres.url })
      holder.on('error', () => undefined)
      await holder.connect()
      await holder.query('BEGIN')
      await holder.query('SELECT * FROM canary.canary_run FOR UPDATE')
      await expect(shared.publish([deltaOf(member, 11)])).rejects.toMatchObject({
        ...AWAY,
        message: expect.stringMatching(/busy/),
      })
      // Nothing else waits for it.
      expect(await shared.publish([entering(member, 10, 'run-2', 'plugin-2')])).toMatchObject([{ kind: 'taken' }])
      await holder.end()
      expect(await shared.publish([deltaOf(member, 11)])).toMatchObject([{ kind: 'taken' }])
    })
  })

  test('is published by several processes at once, in any order, and none waits for ever', async () => {
    const postgres = await server()
    const processes = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const shared = sharedOf(postgres.port)
        return { shared, member: (await shared.join()).member }
      }),
    )
    expect(new Set(processes.map(({ member }) => member)).size).toBe(4)
    const runs = Array.from({ length: 20 }, (_, i) => `run ${i}`)
    const inOrder = (i: number) => (i % 2 === 0 ? runs : runs.toReversed())
    const kinds = new Set<string>()
    for (let tick = 10; tick <= 15; tick += 1) {
      const make = tick === 10 ? entering : deltaOf
      // oxlint-disable-next-line no-await-in-loop -- tick by tick
      const answers = await Promise.all(
        processes.map(({ shared, member }, i) =>
          shared.publish(inOrder(i).map((run) => make(member, tick, run, `plugin of ${run}`))),
        ),
      )
      for (const { kind } of answers.flat()) kinds.add(kind)
    }
    expect([...kinds]).toEqual(['taken'])
    const pages = await Promise.all(runs.map((run, i) => processes[i % 4]?.shared.closeTick(run, -1)))
    expect(pages.map((page) => [page?.closed, page?.requests])).toEqual(runs.map(() => [15, 4 * 5 * 7]))
    const [one = expect.fail(), ...others] = processes
    await Promise.all(others.map(({ shared, member }) => shared.beat(member, SAYS)))
    const alive = await one.shared.beat(one.member, SAYS)
    expect(alive.toSorted()).toEqual(processes.map(({ member }) => member).toSorted())
  })

  test('writes nothing where nothing is new', async () => {
    const postgres = await server()
    const shared = sharedOf(postgres.port)
    const { member } = await shared.join()
    await shared.publish([entering(member, 10), deltaOf(member, 11)])
    await shared.closeTick(RUN, -1)
    const touched = () => sql(postgres.url, 'SELECT xmin, touched_at FROM canary.canary_run')
    const before = await touched()
    expect(await shared.publish([])).toEqual([])
    await shared.report([])
    expect((await shared.closeTick(RUN, -1)).closed).toBe(11)
    expect(await touched()).toEqual(before)
    await shared.publish([deltaOf(member, 12)])
    expect(await touched()).not.toEqual(before)
  })

  test('keeps the counts of closed ticks until a checkpoint, and of no run that a week has not touched', async () => {
    const postgres = await server()
    const shared = sharedOf(postgres.port)
    const { member } = await shared.join()
    await shared.publish([entering(member, 10), deltaOf(member, 11), deltaOf(member, 12)])
    await shared.closeTick(RUN, -1)
    const kept = async (table: string) => (await sql(postgres.url, `SELECT run FROM canary.${table}`)).length
    expect(await kept('canary_tick')).toBe(2)
    await shared.checkpoint(RUN, { tick: 11, state: 'eleven', identities: null })
    expect(await kept('canary_tick')).toBe(1)
    await sql(postgres.url, 'UPDATE canary.canary_run SET touched_at = touched_at - 8 * 86400000')
    await shared.publish([entering(member, 10, 'run-2')])
    expect([await kept('canary_run'), await kept('canary_part'), await kept('canary_tick')]).toEqual([1, 1, 0])
  })

  test('goes on with other runs where the rows of one are damaged', async () => {
    const postgres = await server()
    const shared = sharedOf(postgres.port)
    const { member } = await shared.join()
    await shared.publish([entering(member, 10), entering(member, 10, 'run-2', 'plugin-2')])
    await sql(postgres.url, `UPDATE canary.canary_run SET state = '{}' WHERE run = '${RUN}'`)
    const [damaged, good] = await Promise.allSettled([
      shared.publish([deltaOf(member, 11)]),
      shared.publish([deltaOf(member, 11, 'run-2', 'plugin-2')]),
    ])
    expect(damaged).toMatchObject({ reason: { ...AWAY, message: expect.stringMatching(/cannot be read: delete/) } })
    expect(good).toMatchObject({ value: [{ kind: 'taken' }] })
  })

  test('takes names and texts that PostgreSQL does not know', async () => {
    const postgres = await server()
    const shared = sharedOf(postgres.port)
    const member = `m\0\ud800${randomUUID()}`
    const names = [member, 10, 'run\0\\', 'plugin\ud800'] as const
    expect(await shared.publish([entering(...names)])).toMatchObject([{ kind: 'taken' }])
    // A row with an escape, of the same run and then of another one.
    const row = (run: string) =>
      `INSERT INTO canary.canary_row VALUES ('plugins', 'plugin\\ud800', 1,
         '{"entity":{"name":"\\u0000"},"release":{"run":${JSON.stringify(run)}}}')
       ON CONFLICT (kind, id) DO UPDATE SET content = excluded.content`
    await sql(postgres.url, row(names[2]))
    const [, , run, release] = names
    expect(await shared.publish([deltaOf(member, 11, run, release)])).toMatchObject([{ kind: 'taken' }])
    await sql(postgres.url, row('another'))
    expect(await shared.publish([deltaOf(member, 12, run, release)])).toMatchObject([{ kind: 'stale-run' }])
    const state = '\0\ud800'
    await shared.closeTick(run, -1)
    expect(await shared.checkpoint(run, { tick: 11, state, identities: state })).toBe(true)
    const reason = '\0'
    expect(await shared.conclude(run, { ...VERDICT, reason })).toBe('first')
    const page = await shared.closeTick(run, -1)
    expect(page).toMatchObject({ checkpoint: { tick: 11, state, identities: state }, verdict: { reason } })
    const hostile = { ...deltaOf(member, 12), run: 'x'.repeat(3_000) }
    expect(await shared.publish([hostile])).toMatchObject([{ kind: 'refused', ordinal: 0 }])
  })

  test('has its tables made in a schema of an older version, which keeps what it has', async () => {
    const postgres = await server()
    const [first = ''] = migrations()
    await sql(postgres.url, `BEGIN; ${first} COMMIT`)
    await sql(postgres.url, 'CREATE ROLE app LOGIN; GRANT USAGE ON SCHEMA canary TO app')
    await sql(postgres.url, 'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA canary TO app')
    await sql(postgres.url, 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA canary TO app')
    const [before] = await sql(postgres.url, 'SELECT epoch FROM canary.canary_head')
    // Who may not make tables is told what to do.
    await expect(sharedOf(urlOf(postgres.port, 'app')).join()).rejects.toMatchObject({
      message: expect.stringMatching(/lacks rights: .*migrations\(\)/),
    })
    const joined = await Promise.all(Array.from({ length: 3 }, () => sharedOf(postgres.port).join()))
    expect(joined.map(({ ordinal }) => ordinal).toSorted((a, b) => a - b)).toEqual([1, 2, 3])
    const after = await sql(postgres.url, 'SELECT migration, min_reader, epoch FROM canary.canary_head')
    expect(after).toEqual([{ migration: 2, min_reader: 1, epoch: before?.['epoch'] }])
  })
})
