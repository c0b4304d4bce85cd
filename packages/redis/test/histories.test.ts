import { randomUUID } from 'node:crypto'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { NOWHERE, type Position } from '@canary-release/core/registry'
import { startCutProxy } from '../../../test/servers/cut-proxy.js'
import { until } from '../../../test/servers/processes.js'
import { requireBinary } from '../../../test/servers/requirement.js'
import { whatIsOpened } from './opened.js'
import { listening, proposalOf, saved, service, uuid } from '../../core/test/store/suite.js'

const describeWithRedis = requireBinary('redis-server')
const { keep, server, open } = whatIsOpened()

const head = '{canary:default}:head'

/** A master and a replica whose link can be cut. */
async function pair(settings: Readonly<Record<string, string>> = {}) {
  const master = await server({ 'min-replicas-to-write': '0', ...settings })
  const link = keep(await startCutProxy(master.port))
  const replica = await server({ replicaof: `127.0.0.1 ${link.port}`, 'repl-timeout': '2' })
  await until(
    async () => (await replica.command('INFO', 'replication')).includes('master_link_status:up'),
    'it follows',
  )
  const promote = () => replica.command('REPLICAOF', 'NO', 'ONE')
  return { master, replica, link, promote }
}

describeWithRedis('a history of Redis that', () => {
  test('was emptied is told, and nothing of what comes after it is taken', async () => {
    const redis = await server()
    const store = open(redis.port)
    const first = await saved(store, proposalOf(NOWHERE))
    const known = await saved(store, proposalOf(first))
    const watcher = listening(store, known)
    await watcher.until((events) => events.some(({ kind }) => kind === 'connected'))
    await redis.command('FLUSHALL')
    await watcher.until((events) => events.some(({ kind }) => kind === 'rewound'))
    expect(watcher.events.slice(1)).toEqual([{ kind: 'rewound', known, stored: NOWHERE }])
    expect(await store.save(proposalOf(known))).toEqual({ kind: 'rewound', stored: NOWHERE })
    expect(await store.load()).toBeNull()

    // As many commits as there were, and one more, of another history.
    let other = NOWHERE
    for (let i = 0; i < 3; i += 1) other = await saved(open(redis.port), proposalOf(other))
    const late = listening(store, known)
    await late.until((events) => events.some(({ kind }) => kind === 'rewound'))
    expect(late.events.at(-1)).toEqual({ kind: 'rewound', known, stored: other })
    expect(await store.save(proposalOf(known))).toEqual({ kind: 'rewound', stored: other })
    expect([...watcher.commits(), ...late.commits()]).toEqual([])
  })

  test('is emptied and goes on before anyone looks is told by its first commit', async () => {
    const redis = await server()
    const store = open(redis.port)
    const known = await saved(store, proposalOf(NOWHERE))
    const watcher = listening(store, known)
    await watcher.until((events) => events.length > 0)
    const other = open(redis.port)
    await other.load()
    await redis.command('FLUSHALL')
    let stored = await saved(other, proposalOf(NOWHERE))
    stored = await saved(other, proposalOf(stored))
    await watcher.until((events) => events.some(({ kind }) => kind === 'rewound'))
    expect(watcher.commits()).toEqual([])
  })

  test('was put back from an old backup is told, also when it has grown past what is known', async () => {
    const redis = await server()
    const store = open(redis.port)
    const old = await saved(store, proposalOf(NOWHERE))
    await redis.kill()
    const backup = join(redis.folder, 'backup')
    cpSync(join(redis.folder, 'appendonlydir'), backup, { recursive: true })
    await redis.start()
    await until(() => store.load().then(Boolean, () => false), 'it is back')
    const known = await saved(store, proposalOf(old))
    const watcher = listening(store, known)
    await watcher.until((events) => events.length > 0)

    await redis.kill()
    rmSync(join(redis.folder, 'appendonlydir'), { recursive: true })
    cpSync(backup, join(redis.folder, 'appendonlydir'), { recursive: true })
    await redis.start()
    await watcher.until((events) => events.some(({ kind }) => kind === 'rewound'))
    expect(watcher.events.at(-1)).toEqual({ kind: 'rewound', known, stored: old })
    expect(await store.save(proposalOf(known))).toEqual({ kind: 'rewound', stored: old })

    const other = await saved(store, proposalOf(old))
    const stored = await saved(store, proposalOf(other))
    expect(await store.save(proposalOf(known))).toEqual({ kind: 'rewound', stored })
    const late = listening(store, known)
    await late.until((events) => events.some(({ kind }) => kind === 'rewound'))
    expect([...watcher.commits(), ...late.commits()]).toEqual([])
  })

  test('forks, because a failover lost commits, is told by a watcher that goes on to the new master', async () => {
    const { master, replica, link, promote } = await pair()
    let port = master.port
    const way = keep(await startCutProxy(() => port))
    const [writer, reader] = [open(master.port), open(way.port)]
    const shared = await saved(writer, proposalOf(NOWHERE))
    await until(async () => (await replica.command('HGET', head, 'id')).includes(shared.id), 'the replica has it')
    const watcher = listening(reader, shared)
    await watcher.until((events) => events.length > 0)
    link.silence()
    const lost = await saved(writer, proposalOf(shared))
    await watcher.to(2)
    await promote()
    port = replica.port
    way.cut()
    way.mend()
    await watcher.until((events) => events.some(({ kind }) => kind === 'rewound'))
    expect(watcher.events.at(-1)).toEqual({ kind: 'rewound', known: lost, stored: shared })
    // The new branch overtakes the lost one: the third commit must not be taken as following on the second.
    const successor = open(replica.port)
    let at: Position = shared
    for (let i = 0; i < 3; i += 1) at = await saved(successor, proposalOf(at))
    const late = listening(reader, lost)
    await late.until((events) => events.some(({ kind }) => kind === 'rewound'))
    expect(late.events.at(-1)).toEqual({ kind: 'rewound', known: lost, stored: at })
    expect(await reader.save(proposalOf(lost))).toEqual({ kind: 'rewound', stored: at })
    expect([watcher.commits().length, late.commits().length]).toEqual([1, 0])
  })

  test('goes on at a demoted master is not followed: only the master is', async () => {
    const { master, replica, promote } = await pair()
    const store = open(master.port)
    const at = await saved(store, proposalOf(NOWHERE))
    await until(async () => (await replica.command('HGET', head, 'id')).includes(at.id), 'the replica has it')
    const watcher = listening(store, at)
    await watcher.until((events) => events.length > 0)
    await promote()
    await master.command('REPLICAOF', '127.0.0.1', String(replica.port))
    await watcher.until((events) => events.some(({ kind }) => kind === 'disconnected'))
    await watcher.until((events) => events.some(({ kind }) => kind === 'error'))
    expect(watcher.events.at(-1)).toMatchObject({ error: { message: expect.stringMatching(/is a replica/) } })
    await expect(store.save(proposalOf(at))).rejects.toMatchObject({ outcome: 'not-written' })
    await expect(store.load()).rejects.toMatchObject({ message: expect.stringMatching(/is a replica/) })
  })

  test('goes on at a demoted master is not read there either', async () => {
    const { master, replica, promote } = await pair()
    const store = open(master.port)
    const at = await saved(store, proposalOf(NOWHERE))
    await until(async () => (await replica.command('HGET', head, 'id')).includes(at.id), 'the replica has it')
    await promote()
    await master.command('REPLICAOF', '127.0.0.1', String(replica.port))
    await expect(store.load()).rejects.toMatchObject({ message: expect.stringMatching(/is a replica/) })
  })

  test('is longer than the log is loaded anew by who is behind, and known by its ids', async () => {
    const redis = await server()
    const store = open(redis.port)
    const first = await saved(store, proposalOf(NOWHERE))
    const second = await saved(store, proposalOf(first))
    await redis.command('XTRIM', '{canary:default}:log', 'MAXLEN', '0')
    expect(await store.save(proposalOf(first))).toEqual({ kind: 'conflict', missed: null })
    const forked = { ...first, id: randomUUID() }
    expect(await store.save(proposalOf(forked))).toEqual({ kind: 'rewound', stored: second })
    // Whoever asks again finds its change, though the log has forgotten it.
    expect(await store.save({ ...proposalOf(first), id: second.id })).toEqual({ kind: 'saved', at: second, missed: [] })
    const watcher = listening(store, first)
    const third = await saved(store, proposalOf(second))
    await watcher.to(3)
    expect(watcher.events.filter(({ kind }) => kind === 'state')).toMatchObject([{ state: { at: third } }])
    expect(watcher.commits()).toEqual([])
  })

  test('has a commit too large for the log is loaded anew, and makes a conflict', async () => {
    const redis = await server()
    const store = open(redis.port)
    const at = await saved(store, proposalOf(NOWHERE))
    const watcher = listening(store, at)
    const ids = Array.from({ length: 1000 }, (_, i) => uuid(i))
    const keys = ids.map((id) => `services/${id}`)
    const changes = ids.map((id) => ({ kind: 'services' as const, id, row: service(id, 'many') }))
    const large = await saved(store, proposalOf(at, { reads: keys, writes: keys, changes }))
    await watcher.to(2)
    expect(watcher.events.at(-1)).toMatchObject({ kind: 'state', state: { at: large } })
    expect((await store.load())?.rows).toHaveLength(1001)
    expect(await store.save(proposalOf(at))).toEqual({ kind: 'conflict', missed: null })
    expect(Number((await redis.command('HGET', head, 'bytes')).split('\r\n')[1])).toBeLessThan(10_000)
    const removed = changes.map(({ kind, id }) => ({ kind, id, row: null }))
    await saved(store, proposalOf(large, { reads: keys, writes: keys, changes: removed }))
    expect((await store.load())?.rows).toHaveLength(1)
  })

  test('holds a record that cannot be read is an error, and never less than was stored', async () => {
    const redis = await server()
    const store = open(redis.port)
    const at = await saved(store, proposalOf(NOWHERE))
    const [rows, log] = ['{canary:default}:rows', '{canary:default}:log']
    const watcher = listening(store, at)
    await watcher.until((events) => events.length > 0)
    await redis.command('HSET', rows, `services/${uuid(1)}`, '1 {"entity":')
    const message = expect.stringMatching(/^row services\/\S+ in Redis cannot be read/)
    await expect(store.load()).rejects.toMatchObject({ code: 'ERR_CANARY_STORE', message })

    // An entry of the log that cannot be read: the rows say what it did, as soon as they can be read.
    const next = await saved(store, proposalOf(at))
    await watcher.to(2)
    await redis.command('XDEL', log, '2-0')
    await redis.command('XADD', log, '3-0', 'id', 'x', 'prev', next.id, 'writes', '', 'changes', '[{}]', 'audit', '{}')
    await watcher.until((events) => events.filter(({ kind }) => kind === 'error').length >= 2)
    await redis.command('HSET', head, 'version', '3', 'id', 'x')
    await redis.command('XADD', '{canary:default}:ids', '3-0', 'id', 'x')
    await redis.command('HDEL', rows, `services/${uuid(1)}`)
    await watcher.to(3)
    expect(watcher.events.at(-1)).toMatchObject({ kind: 'state', state: { at: { version: 3, id: 'x' } } })
    expect(watcher.events.some(({ kind }) => kind === 'disconnected')).toBe(false)
  })

  test('is waited for by replicas loses no change that was acknowledged', { timeout: 60_000 }, async () => {
    const { master, replica, link, promote } = await pair({ 'min-replicas-to-write': '1' })
    const store = open(master.port, { replicas: 1 })
    const at = await saved(store, proposalOf(NOWHERE))
    const watcher = listening(open(master.port), at)
    await watcher.until((events) => events.length > 0)
    link.silence()
    const proposal = proposalOf(at)
    await expect(store.save(proposal)).rejects.toMatchObject({ outcome: 'unknown', commit: proposal.id })
    // It is in force all the same: watchers have heard of it.
    await watcher.to(2)
    // Asking again does not make it sure either, as long as no replica has it.
    await expect(store.save(proposal)).rejects.toMatchObject({ code: 'ERR_CANARY_STORE', outcome: expect.any(String) })
    link.mend()
    await until(async () => (await store.save(proposal).catch(() => null))?.kind === 'saved', 'a replica has it')
    await promote()
    expect((await open(replica.port).load())?.at.id).toBe(proposal.id)
  })

  test('is read while others write is of one instant', { timeout: 60_000 }, async () => {
    const redis = await server()
    const [store, writer] = [open(redis.port), open(redis.port)]
    // One row of 3 000 has the mark; each commit hands it on. Whoever reads two instants finds none or two.
    const ids = Array.from({ length: 3000 }, (_, i) => uuid(i))
    const change = (id: string, host: string) => ({ kind: 'services' as const, id, row: service(id, host) })
    let at = await saved(
      writer,
      proposalOf(NOWHERE, { changes: ids.map((id, i) => change(id, i === 0 ? 'mark' : 'plain')) }),
    )
    const over = new AbortController()
    const writing = (async () => {
      for (let i = 0; !over.signal.aborted; i += 1) {
        const [from = '', to = ''] = [ids[(i * 997) % 3000], ids[((i + 1) * 997) % 3000]]
        at = await saved(writer, proposalOf(at, { changes: [change(from, 'plain'), change(to, 'mark')] }))
      }
    })()
    for (let i = 0; i < 20; i += 1) {
      const state = await store.load()
      expect(state?.rows).toHaveLength(3000)
      expect(state?.rows.filter(({ entity }) => 'host' in entity && entity.host === 'mark')).toHaveLength(1)
    }
    over.abort()
    await writing
    expect(at.version).toBeGreaterThan(100)
  })
})
