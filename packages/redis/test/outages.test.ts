import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { NOWHERE, type SaveResult } from '@canary-release/core/registry'
import { startCutProxy } from '../../../test/servers/cut-proxy.js'
import { until } from '../../../test/servers/processes.js'
import { requireBinary } from '../../../test/servers/requirement.js'
import { whatIsOpened } from './opened.js'
import { listening, proposalOf, saved } from '../../core/test/store/suite.js'

const describeWithRedis = requireBinary('redis-server')

const { keep, server, open } = whatIsOpened()

const REFUSED = { code: 'ERR_CANARY_STORE', status: 503, outcome: 'not-written' }

describeWithRedis('while redis-server', () => {
  describe('is gone', () => {
    test('a change is refused at once, and loading too', async () => {
      const redis = await server()
      const store = open(redis.port)
      const at = await saved(store, proposalOf(NOWHERE))
      const watcher = listening(store, at)
      await watcher.until((events) => events.some(({ kind }) => kind === 'connected'))
      await redis.kill()
      await watcher.until((events) => events.some(({ kind }) => kind === 'disconnected'))
      await expect(store.load()).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
      const begun = performance.now()
      await expect(store.save(proposalOf(at))).rejects.toMatchObject(REFUSED)
      // 50 ms are to be reached: far less than any deadline.
      expect(performance.now() - begun).toBeLessThan(1000)
    })

    test('a store that never reached it says so, and not that nothing is stored', async () => {
      const redis = await server()
      await redis.kill()
      const store = open(redis.port)
      await expect(store.load()).rejects.toMatchObject({
        code: 'ERR_CANARY_STORE',
        message: expect.stringMatching(/^Redis cannot be reached: check host/),
      })
      await expect(store.audit({ limit: 1 })).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
      await expect(store.save(proposalOf(NOWHERE))).rejects.toMatchObject(REFUSED)
    })

    test('watchers are told, and caught up without gap when it is back', async () => {
      const redis = await server()
      const [writer, reader] = [open(redis.port), open(redis.port)]
      let at = await saved(writer, proposalOf(NOWHERE))
      const watcher = listening(reader, at)
      await watcher.until((events) => events.length > 0)
      await redis.kill()
      await watcher.until((events) => events.at(-1)?.kind === 'disconnected')
      await redis.start()
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
  })

  describe('stands still', () => {
    test('a change ends in its time, with an unknown outcome that its id resolves', async () => {
      const redis = await server()
      const store = open(redis.port)
      const at = await saved(store, proposalOf(NOWHERE))
      redis.freeze()
      const proposal = proposalOf(at)
      const begun = performance.now()
      await expect(store.save(proposal)).rejects.toMatchObject({
        code: 'ERR_CANARY_STORE',
        outcome: 'unknown',
        commit: proposal.id,
      })
      expect(performance.now() - begun).toBeLessThan(10_000)
      redis.thaw()
      const result = await saved(open(redis.port), proposal)
      expect(result).toEqual({ epoch: at.epoch, version: 2, id: proposal.id })
      const audit = await open(redis.port).audit({ limit: 10 })
      expect(audit.filter(({ id }) => id === proposal.id)).toHaveLength(1)
    })

    test('a change that nothing was sent of is not written, and the next one is refused at once', async () => {
      const redis = await server()
      redis.freeze()
      const store = open(redis.port)
      await expect(store.save(proposalOf(NOWHERE))).rejects.toMatchObject(REFUSED)
      const begun = performance.now()
      await expect(store.save(proposalOf(NOWHERE))).rejects.toMatchObject(REFUSED)
      expect(performance.now() - begun).toBeLessThan(1000)
    })

    test('a change ends when its caller gives it up, and closing ends everything at once', async () => {
      const redis = await server()
      const store = open(redis.port)
      const at = await saved(store, proposalOf(NOWHERE))
      const watcher = listening(store, at)
      await watcher.until((events) => events.length > 0)
      redis.freeze()
      await expect(store.save(proposalOf(at), AbortSignal.timeout(50))).rejects.toMatchObject({ outcome: 'unknown' })
      const [change, load] = [store.save(proposalOf(at)), store.load()]
      const ended = Promise.allSettled([change, load])
      // Both are sent by then.
      await new Promise(setImmediate)
      await store.close()
      const [changed, loaded] = await ended
      expect(changed).toMatchObject({ status: 'rejected', reason: { code: 'ERR_CANARY_STORE', outcome: 'unknown' } })
      expect(loaded).toMatchObject({ status: 'rejected', reason: { code: 'ERR_CANARY_CLOSED' } })
      await expect(store.save(proposalOf(at))).rejects.toMatchObject({ code: 'ERR_CANARY_CLOSED' })
    })
  })

  describe('loses its connections', () => {
    test('a change whose answer is lost finds itself, and is made once', async () => {
      const redis = await server()
      const proxy = keep(await startCutProxy(redis.port))
      const [store, other] = [open(proxy.port), open(redis.port)]
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

    test('a change that did not arrive is made on the next connection', async () => {
      const redis = await server()
      const proxy = keep(await startCutProxy(redis.port))
      const store = open(proxy.port)
      const at = await saved(store, proposalOf(NOWHERE))
      proxy.silence()
      const change = saved(store, proposalOf(at))
      proxy.cut()
      proxy.mend()
      expect((await change).version).toBe(2)
    })

    test('nothing is left open when it is closed', async () => {
      const redis = await server()
      const store = open(redis.port)
      const at = await saved(store, proposalOf(NOWHERE))
      const watchers = [listening(store, at), listening(store, null)]
      await Promise.all(watchers.map((watcher) => watcher.until((events) => events.length > 0)))
      watchers[0]?.stop()
      await store.close()
      await until(
        async () => (await redis.command('INFO', 'clients')).includes('connected_clients:1\r'),
        'none is left',
      )
    })

    test('its scripts may be forgotten at any time', async () => {
      const redis = await server()
      const store = open(redis.port)
      let at = await saved(store, proposalOf(NOWHERE))
      for (let i = 0; i < 3; i += 1) {
        await redis.command('SCRIPT', 'FLUSH')
        at = await saved(store, proposalOf(at))
      }
      expect((await store.load())?.at).toEqual(at)
    })
  })

  test(
    'is killed under writes, no change that was acknowledged is lost or made twice',
    { timeout: 120_000 },
    async () => {
      const redis = await server()
      const store = open(redis.port)
      let at = await saved(store, proposalOf(NOWHERE))
      const acknowledged = [at.id]
      let kills = 0
      const over = new AbortController()
      const killing = (async () => {
        for (; kills < 5; kills += 1) {
          const goal = acknowledged.length + 20
          await until(() => acknowledged.length >= goal, 'changes are made')
          await redis.kill()
          await redis.start()
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
      const audit = await open(redis.port).audit({ limit: 1000 })
      expect(audit.map(({ id }) => id).toReversed()).toEqual(acknowledged.slice(-1000))
      expect(acknowledged.length).toBeGreaterThan(100)
    },
  )
})
