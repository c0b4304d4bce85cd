import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { NOWHERE, type SaveResult, createRegistry } from '@canary-release/core/registry'
import { startCutProxy } from '../../../test/servers/cut-proxy.js'
import { until } from '../../../test/servers/processes.js'
import { requireBinary } from '../../../test/servers/requirement.js'
import { SILENT } from '../../core/test/registry/harness.js'
import { listening, proposalOf, saved } from '../../core/test/store/suite.js'
import { sql, whatIsOpened } from './opened.js'

const { keep, server, open } = whatIsOpened()

const REFUSED = { code: 'ERR_CANARY_STORE', status: 503, outcome: 'not-written' }

/** A message of the server. */
function message(type: string, body: readonly number[]): Buffer {
  const head = Buffer.alloc(5)
  head.write(type, 0, 'latin1')
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, Buffer.from(body)])
}

describe('a server that does not speak the protocol of PostgreSQL', () => {
  const greeting = [message('R', [0, 0, 0, 0]), message('Z', [0x49])]
  test.each([
    ['asks for a password in an unknown way', [message('R', [0, 0, 0, 99])]],
    ['describes rows that it does not describe', [...greeting, message('T', [0, 9])]],
    ['sends a row of no length', [...greeting, message('D', [0])]],
  ])('and %s, is an error of the store, and ends nothing else', async (_, messages) => {
    const fake = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.write(Buffer.concat(messages.slice(0, 2))))
      socket.on('data', () => messages.slice(2).forEach((each) => socket.write(each)))
    })
    fake.listen(0, '127.0.0.1')
    await once(fake, 'listening')
    keep({ [Symbol.asyncDispose]: async () => void fake.close() })
    const store = open((fake.address() as AddressInfo).port)
    const begun = performance.now()
    await expect(store.load()).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
    // The deadline of a statement is 1500 ms, that of a connection 5000 ms.
    expect(performance.now() - begun).toBeLessThan(1400)
  })
})

requireBinary('postgres')('while PostgreSQL', () => {
  describe('is gone', () => {
    test('refuses a change at once, and a load too', async () => {
      const postgres = await server()
      const store = open(postgres.port)
      const at = await saved(store, proposalOf(NOWHERE))
      const watcher = listening(store, at)
      await watcher.until((events) => events.some(({ kind }) => kind === 'connected'))
      await postgres.kill()
      await watcher.until((events) => events.some(({ kind }) => kind === 'disconnected'))
      await expect(store.load()).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
      const begun = performance.now()
      await expect(store.save(proposalOf(at))).rejects.toMatchObject(REFUSED)
      // 50 ms are to be reached: far less than any deadline.
      expect(performance.now() - begun).toBeLessThan(1000)
      expect(watcher.events.map(({ kind }) => kind)).toEqual(['connected', 'disconnected'])
    })

    test('says so in a store that never reached it, and not that nothing is stored', async () => {
      const postgres = await server()
      await postgres.kill()
      const store = open(postgres.port)
      await expect(store.load()).rejects.toMatchObject({
        code: 'ERR_CANARY_STORE',
        message: expect.stringMatching(/^the PostgreSQL server does not answer/),
      })
      await expect(store.audit({ limit: 1 })).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
      await expect(store.save(proposalOf(NOWHERE))).rejects.toMatchObject(REFUSED)
      await expect(createRegistry({ store, logger: SILENT })).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
    })

    test('tells watchers, and catches them up without gap when it is back', async () => {
      const postgres = await server()
      const [writer, reader] = [open(postgres.port), open(postgres.port)]
      let at = await saved(writer, proposalOf(NOWHERE))
      const watcher = listening(reader, at)
      await watcher.until((events) => events.length > 0)
      await postgres.kill()
      await watcher.until((events) => events.at(-1)?.kind === 'disconnected')
      await postgres.start()
      const back = performance.now()
      await until(async () => {
        const result = await writer.save(proposalOf(at)).catch(() => null)
        if (result?.kind === 'saved') at = result.at
        return result !== null
      }, 'changes are taken again')
      await watcher.to(2)
      expect(performance.now() - back).toBeLessThan(10_000)
      expect(watcher.events.map(({ kind }) => kind)).toEqual(['connected', 'disconnected', 'connected', 'commit'])
    })

    test('ends in an orderly way and comes back: the same', async () => {
      const postgres = await server()
      const store = open(postgres.port)
      const at = await saved(store, proposalOf(NOWHERE))
      const watcher = listening(store, at)
      await watcher.until((events) => events.length > 0)
      await postgres.stop()
      await watcher.until((events) => events.at(-1)?.kind === 'disconnected')
      await postgres.start()
      await watcher.until((events) => events.at(-1)?.kind === 'connected')
      await saved(store, proposalOf(at))
      await watcher.to(2)
    })
  })

  describe('stands still', () => {
    test('ends a change in its time, with an unknown outcome that its id resolves', async () => {
      const postgres = await server()
      const store = open(postgres.port)
      const at = await saved(store, proposalOf(NOWHERE))
      postgres.freeze()
      const proposal = proposalOf(at)
      const begun = performance.now()
      await expect(store.save(proposal)).rejects.toMatchObject({
        code: 'ERR_CANARY_STORE',
        outcome: 'unknown',
        commit: proposal.id,
      })
      expect(performance.now() - begun).toBeLessThan(10_000)
      postgres.thaw()
      const result = await saved(open(postgres.port), proposal)
      expect(result).toEqual({ epoch: at.epoch, version: 2, id: proposal.id })
      const audit = await open(postgres.port).audit({ limit: 10 })
      expect(audit.filter(({ id }) => id === proposal.id)).toHaveLength(1)
    })

    test('refuses a change of which nothing was sent as not written', async () => {
      const postgres = await server()
      postgres.freeze()
      const store = open(postgres.port)
      await expect(store.save(proposalOf(NOWHERE))).rejects.toMatchObject(REFUSED)
      await expect(store.load()).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
    })

    test('lets watchers know, and goes on with them afterwards', async () => {
      const postgres = await server()
      const store = open(postgres.port)
      const at = await saved(store, proposalOf(NOWHERE))
      const watcher = listening(store, at)
      await watcher.until((events) => events.length > 0)
      postgres.freeze()
      await watcher.until((events) => events.at(-1)?.kind === 'disconnected')
      postgres.thaw()
      await watcher.until((events) => events.at(-1)?.kind === 'connected')
      await saved(open(postgres.port), proposalOf(at))
      await watcher.to(2)
    })

    test('ends a change when its caller gives it up, and closing ends everything at once', async () => {
      const postgres = await server()
      const store = open(postgres.port)
      const at = await saved(store, proposalOf(NOWHERE))
      const watcher = listening(store, at)
      await watcher.until((events) => events.length > 0)
      postgres.freeze()
      await expect(store.save(proposalOf(at), AbortSignal.timeout(50))).rejects.toMatchObject({
        code: 'ERR_CANARY_STORE',
      })
      const ended = Promise.allSettled([store.save(proposalOf(at)), store.load()])
      await new Promise(setImmediate)
      await store.close()
      const [changed, loaded] = await ended
      expect(changed).toMatchObject({ status: 'rejected', reason: { status: 503 } })
      expect(loaded).toMatchObject({ status: 'rejected', reason: { code: 'ERR_CANARY_CLOSED' } })
      await expect(store.save(proposalOf(at))).rejects.toMatchObject({ code: 'ERR_CANARY_CLOSED' })
    })
  })

  describe('loses its connections', () => {
    test('makes a change once whose answer is lost, and lets it find itself', async () => {
      const postgres = await server()
      const proxy = keep(await startCutProxy(postgres.port))
      const [store, other] = [open(proxy.port), open(postgres.port)]
      const at = await saved(store, proposalOf(NOWHERE))
      const watcher = listening(other, at)
      proxy.loseAnswers()
      const proposal = proposalOf(at)
      const change = store.save(proposal)
      await watcher.to(2)
      // Someone else goes on meanwhile: the change is not a conflict with itself, nor with what came later.
      const later = await saved(other, proposalOf({ ...at, version: 2, id: proposal.id }))
      proxy.mend()
      expect(await change).toEqual({ kind: 'saved', at: { ...at, version: 2, id: proposal.id }, missed: [] })
      expect((await other.load())?.at).toEqual(later)
    })

    test('makes a change that did not arrive on the next connection', async () => {
      const postgres = await server()
      const proxy = keep(await startCutProxy(postgres.port))
      const store = open(proxy.port)
      const at = await saved(store, proposalOf(NOWHERE))
      proxy.silence()
      const change = saved(store, proposalOf(at))
      await new Promise(setImmediate)
      proxy.cut()
      proxy.mend()
      expect((await change).version).toBe(2)
    })

    test('lets no writer wait for one that went silent in the middle of its change', async () => {
      const postgres = await server()
      const store = open(postgres.port)
      const at = await saved(store, proposalOf(NOWHERE))
      const holder = sql(postgres.url, 'BEGIN; SELECT * FROM canary.canary_head FOR UPDATE; SELECT pg_sleep(3); COMMIT')
      await until(async () => {
        const rows = await sql(postgres.url, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        return rows.length > 0
      }, 'the head is held')
      const proposal = proposalOf(at)
      await expect(store.save(proposal)).rejects.toMatchObject({ ...REFUSED, message: expect.stringMatching(/busy/) })
      await holder
      // Nothing of it is left waiting on the server.
      expect(await saved(store, proposalOf(at))).toMatchObject({ version: 2 })
      expect((await store.audit({ limit: 10 })).some(({ id }) => id === proposal.id)).toBe(false)
    })

    test('is not ended with the process by clients that break while they are checked out', async () => {
      const postgres = await server()
      const store = open(postgres.port)
      const at = await saved(store, proposalOf(NOWHERE))
      const watcher = listening(store, at)
      await watcher.until((events) => events.length > 0)
      await sql(
        postgres.url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'canary-release'",
      )
      await watcher.until((events) => events.filter(({ kind }) => kind === 'connected').length === 2)
      expect(await saved(store, proposalOf(at))).toMatchObject({ version: 2 })
    })

    test('leaves nothing open when it is closed', async () => {
      const postgres = await server()
      const store = open(postgres.port)
      const at = await saved(store, proposalOf(NOWHERE))
      const watchers = [listening(store, at), listening(store, null)]
      await Promise.all(watchers.map((watcher) => watcher.until((events) => events.length > 0)))
      watchers[0]?.stop()
      await store.close()
      await until(async () => {
        const rows = await sql(postgres.url, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'canary-release'")
        return rows.length === 0
      }, 'none is left')
    })
  })

  test('is killed under writes, loses no acknowledged change and makes none twice', { timeout: 120_000 }, async () => {
    const postgres = await server()
    const store = open(postgres.port)
    let at = await saved(store, proposalOf(NOWHERE))
    const acknowledged = [at.id]
    const over = new AbortController()
    const killing = (async () => {
      for (let kills = 0; kills < 5; kills += 1) {
        const goal = acknowledged.length + 20
        await until(() => acknowledged.length >= goal, 'changes are made')
        await postgres.kill()
        await postgres.start()
      }
      over.abort()
    })()
    while (!over.signal.aborted) {
      const id = randomUUID()
      const proposal = proposalOf(at, { id })
      const result = await store.save(proposal).catch(async (error: { outcome?: string }) => {
        if (error.outcome === 'not-written') return null
        // The same proposal again says what became of it.
        const resolved: SaveResult[] = []
        await until(async () => {
          const again = await store.save(proposal).catch(() => null)
          if (again !== null) resolved.push(again)
          return again !== null
        }, 'it is resolved')
        return resolved[0] ?? null
      })
      if (result === null) continue
      if (result.kind !== 'saved') throw new Error(`nobody else writes, and yet: ${result.kind}`)
      expect(result.at).toEqual({ epoch: at.epoch, version: at.version + 1, id })
      at = result.at
      acknowledged.push(id)
    }
    await killing
    const audit = await open(postgres.port).audit({ limit: 1000 })
    expect(audit.map(({ id }) => id).toReversed()).toEqual(acknowledged.slice(-1000))
    expect(acknowledged.length).toBeGreaterThan(100)
  })
})
