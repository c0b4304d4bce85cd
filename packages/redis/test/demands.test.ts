import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type Server, type AddressInfo, createServer } from 'node:net'
import { createClient } from '@redis/client'
import { describe, expect, test } from 'vitest'
import { NOWHERE } from '@canary-release/core/registry'
import { redisStore } from '../src/index.js'
import { requireBinary } from '../../../test/servers/requirement.js'
import { whatIsOpened } from './opened.js'
import { listening, proposalOf, saved } from '../../core/test/store/suite.js'

const describeWithRedis = requireBinary('redis-server')
const { keep, server, open } = whatIsOpened()

/** Something else on a port, that answers the same to each command. */
async function stranger(answer: string): Promise<number> {
  const listening: Server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk) => socket.write(answer.repeat(String(chunk).match(/^\*\d+\r$/gm)?.length ?? 1)))
  })
  await once(listening.listen(0, '127.0.0.1'), 'listening')
  const sockets = new Set<{ destroy(): unknown }>()
  listening.on('connection', (socket) => sockets.add(socket))
  keep({
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => listening.close(resolve))
    },
  })
  return (listening.address() as AddressInfo).port
}

describe('redisStore', () => {
  const cases: readonly (readonly [object, string])[] = [
    [{}, 'redisStore needs either url or client'],
    [{ url: 'redis://localhost', client: createClient() }, 'redisStore needs either url or client'],
    [{ url: 'http://user:secret@localhost' }, 'redisStore.url must be a URL that begins with redis:// or rediss://'],
    [{ url: 'redis://:x:' }, 'redisStore.url must be a URL that begins with redis:// or rediss://'],
    [
      { client: {} },
      'redisStore.client must be made by createClient, createCluster or createSentinel of @redis/client',
    ],
    [{ url: 'redis://x', name: 'a}b' }, 'redisStore.name must be 1 to 100 letters, digits, ".", "_" and "-"'],
    [{ url: 'redis://x', replicas: 1.5 }, 'redisStore.replicas must be a whole number from 0 to 10, got 1.5'],
    [{ url: 'redis://x', durability: 'memory' }, 'redisStore.durability must be "disk" or "none"'],
    [{ url: 'redis://x', replica: 1 }, 'redisStore.replica is not an option: known are url, client, name, replicas, durability, logger'], // prettier-ignore
  ]
  test.each(cases)('refuses options that are wrong: %j', (options, message) => {
    expect(() => redisStore(options)).toThrow(expect.objectContaining({ code: 'ERR_CANARY_OPTION', message }))
  })
})

describeWithRedis('a store says what to change', () => {
  /** What each way to use the store answers. */
  async function refusal(port: number, options: Parameters<typeof open>[1] = {}): Promise<string> {
    const store = open(port, options)
    const error = await store.load().then(
      () => null,
      (reason: unknown) => reason,
    )
    expect(error).toMatchObject({ code: 'ERR_CANARY_STORE' })
    await expect(store.save(proposalOf(NOWHERE))).rejects.toMatchObject({
      code: 'ERR_CANARY_STORE',
      outcome: 'not-written',
    })
    return error instanceof Error ? error.message : ''
  }

  test('where a killed server would lose changes, unless that is allowed', async () => {
    const redis = await server({ appendonly: 'no' })
    expect(await refusal(redis.port)).toMatch(/set "appendonly yes"/)
    expect((await saved(open(redis.port, { durability: 'none' }), proposalOf(NOWHERE))).version).toBe(1)
  })

  test('where it acknowledges changes before they are in its file, once and only as a warning', async () => {
    const warned: string[] = []
    const logger = { info() {}, warn: (message: string) => void warned.push(message), error() {} }
    const [lax, strict] = [await server({ appendfsync: 'everysec' }), await server()]
    for (const redis of [strict, lax]) {
      const store = open(redis.port, { logger })
      const at = await saved(store, proposalOf(NOWHERE))
      const watcher = listening(store, at)
      await watcher.until((events) => events.length > 0)
    }
    expect(warned).toEqual([expect.stringMatching(/set "appendfsync always" there$/)])
  })

  test('where a full server would evict the registry, unless that is allowed', async () => {
    const redis = await server({ 'maxmemory-policy': 'allkeys-lru' })
    expect(await refusal(redis.port)).toMatch(/set "maxmemory-policy noeviction"/)
    expect((await saved(open(redis.port, { durability: 'none' }), proposalOf(NOWHERE))).version).toBe(1)
  })

  test('where the server is a replica', async () => {
    const master = await server()
    const replica = await server({ replicaof: `127.0.0.1 ${master.port}` })
    expect(await refusal(replica.port, { durability: 'none' })).toMatch(/is a replica: give the address of the master/)
  })

  test('where replicas are waited for that the master does not need', async () => {
    const redis = await server()
    expect(await refusal(redis.port, { replicas: 1 })).toMatch(/set "min-replicas-to-write 1"/)
  })

  test('where it lacks replicas', async () => {
    const redis = await server({ 'min-replicas-to-write': '1' })
    await expect(open(redis.port).save(proposalOf(NOWHERE))).rejects.toMatchObject({
      code: 'ERR_CANARY_STORE',
      outcome: 'not-written',
      message: expect.stringMatching(/fewer replicas are connected/),
    })
  })

  test('where its memory is full', async () => {
    const redis = await server({ maxmemory: '100kb' })
    const refused = open(redis.port).save(proposalOf(NOWHERE))
    await expect(refused).rejects.toMatchObject({ outcome: 'not-written', message: expect.stringMatching(/raise its maxmemory/) }) // prettier-ignore
    expect(await redis.command('DBSIZE')).toBe(':0')
  })

  test('where the password is missing or wrong', async () => {
    const redis = await server({ requirepass: 'secret' })
    expect(await refusal(redis.port)).toMatch(/asks for a password/)
    const url = (password: string) => ({ url: `redis://:${password}@127.0.0.1:${redis.port}` })
    expect(await refusal(redis.port, url('wrong'))).toMatch(/refused the user name or password/)
    expect((await saved(open(redis.port, url('secret')), proposalOf(NOWHERE))).version).toBe(1)
  })

  test('where rights are missing: those that the README gives suffice', async () => {
    const redis = await server()
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    const [rule = ''] = /^ACL SETUSER canary .*$/m.exec(readme) ?? []
    await redis.command(...rule.split(' '))
    const as = { url: `redis://canary:secret@127.0.0.1:${redis.port}` }
    const store = open(redis.port, as)
    const at = await saved(store, proposalOf(NOWHERE))
    expect((await store.load())?.at).toEqual(at)
    expect(await store.audit({ limit: 1 })).toHaveLength(1)
    const watcher = listening(store, null)
    await watcher.to(1)

    await redis.command('ACL', 'SETUSER', 'canary', '-xadd', '-hdel')
    expect(await refusal(redis.port, as)).toMatch(/grant \+hdel \+xadd on the keys/)
    await redis.command('ACL', 'SETUSER', 'canary', '+xadd', '+hdel', 'resetkeys', '~other')
    expect(await refusal(redis.port, as)).toMatch(/may not run what the store needs/)
    await redis.command('ACL', 'SETUSER', 'canary', '-info')
    expect(await refusal(redis.port, as)).toMatch(/may not run what the store needs/)
  })

  test('where other data are under its keys: they are left as they are', async () => {
    const redis = await server()
    const foreign: readonly (readonly string[])[] = [
      ['SET', '{canary:default}:head', 'mine'],
      ['HSET', '{canary:default}:head', 'mine', '1'],
      ['HSET', '{canary:default}:rows', 'mine', '1'],
      ['SET', '{canary:default}:log', 'mine'],
      ['XADD', '{canary:default}:log', '1-0', 'mine', '1'],
      ['RPUSH', '{canary:default}:ids', 'mine'],
    ]
    for (const command of foreign) {
      await redis.command(...command)
      expect(await refusal(redis.port)).toMatch(/choose another name|is not whole: restore it/)
      expect(await redis.command('DBSIZE')).toBe(':1')
      await redis.command('FLUSHALL')
    }
  })

  test('where another version has written', async () => {
    const redis = await server()
    const store = open(redis.port)
    const at = await saved(store, proposalOf(NOWHERE))
    await redis.command('HSET', '{canary:default}:head', 'format', '2')
    const message = expect.stringMatching(/written by another version .* upgrade/)
    await expect(store.load()).rejects.toMatchObject({ code: 'ERR_CANARY_STORE', message })
    await expect(store.save(proposalOf(at))).rejects.toMatchObject({ outcome: 'not-written', message })
    const watcher = listening(store, at)
    await watcher.until((events) => events.some((event) => event.kind === 'error'))
    expect(watcher.events).toEqual([
      { kind: 'disconnected', since: expect.any(Number) },
      { kind: 'error', error: expect.objectContaining({ code: 'ERR_CANARY_STORE', message }) },
    ])
  })

  test('where the server is too old', async () => {
    const info = 'redis_version:5.0.14\r\nrole:master\r\naof_enabled:1\r\nmaxmemory_policy:noeviction\r\n'
    const port = await stranger(`$${info.length}\r\n${info}\r\n`)
    expect(await refusal(port)).toMatch(/Redis 6\.2 or newer, or Valkey, is needed/)
  })

  test('where something else listens', async () => {
    const port = await stranger('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
    expect(await refusal(port)).toMatch(/cannot be reached|did not answer in time|is no Redis/)
  })
})
