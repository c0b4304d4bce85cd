import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient, createCluster, createSentinel } from '@redis/client'
import { expect, test } from 'vitest'
import { NOWHERE } from '@canary-release/core/registry'
import { freePorts, until } from '../../../test/servers/processes.js'
import { startSentinel } from '../../../test/servers/redis.js'
import { requireBinary } from '../../../test/servers/requirement.js'
import { whatIsOpened } from './opened.js'
import { listening, proposalOf, saved } from '../../core/test/store/suite.js'

const describeWithRedis = requireBinary('redis-server')
const { keep, server, open } = whatIsOpened()

const SLOTS = 16_384

describeWithRedis('a store finds its master', () => {
  test('by the settings of a client, which it neither connects nor closes', async () => {
    const redis = await server({ requirepass: 'secret' })
    const client = createClient({ password: 'secret', database: 3, socket: { port: redis.port, host: '127.0.0.1' } })
    const store = open(0, { client })
    const at = await saved(store, proposalOf(NOWHERE))
    const watcher = listening(store, null)
    await watcher.to(1)
    expect((await open(0, { url: `redis://:secret@127.0.0.1:${redis.port}/3` }).load())?.at).toEqual(at)
    expect([client.isOpen, (await open(0, { client, name: 'other' }).load()) === null]).toEqual([false, true])
    await client.connect()
    await store.close()
    expect(await client.ping()).toBe('PONG')
    client.destroy()
  })

  test('over a Unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'canary-redis-socket-'))
    keep({ [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true }) })
    const path = join(folder, 'redis.sock')
    await server({ unixsocket: path })
    const store = open(0, { client: createClient({ socket: { path, tls: false } }) })
    expect((await saved(store, proposalOf(NOWHERE))).version).toBe(1)
  })

  test('over TLS, with certificates on both sides', async () => {
    const path = (name: string) => fileURLToPath(new URL(`../../core/test/tls/${name}.pem`, import.meta.url))
    const [port = 0] = await freePorts(1)
    await server({
      'tls-port': String(port),
      'tls-cert-file': path('server'),
      'tls-key-file': path('server-key'),
      'tls-ca-cert-file': path('ca'),
    })
    const [ca, cert, key] = [path('ca'), path('client'), path('client-key')].map((each) => readFileSync(each, 'utf8'))
    const url = `rediss://127.0.0.1:${port}`
    const socket = { tls: true, ca, cert, key, servername: 'upstream.test' } as const
    const store = open(0, { client: createClient({ url, socket }) })
    const at = await saved(store, proposalOf(NOWHERE))
    const watcher = listening(store, null)
    await watcher.to(1)
    expect((await store.load())?.at).toEqual(at)
    // A server that nobody vouches for is none.
    await expect(open(0, { url }).load()).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
  })

  test('in a cluster, also after its slot moved to another node', { timeout: 60_000 }, async () => {
    const settings = { 'cluster-enabled': 'yes', 'cluster-config-file': 'nodes.conf' }
    const nodes = [await server(settings), await server(settings)] as const
    const [first, second] = nodes
    await first.command('CLUSTER', 'ADDSLOTSRANGE', '0', String(SLOTS / 2 - 1))
    await second.command('CLUSTER', 'ADDSLOTSRANGE', String(SLOTS / 2), String(SLOTS - 1))
    await first.command('CLUSTER', 'MEET', '127.0.0.1', String(second.port))
    const isWhole = async () => {
      const infos = await Promise.all(nodes.map((node) => node.command('CLUSTER', 'INFO')))
      return infos.every((info) => info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:2'))
    }
    await until(isWhole, 'the cluster is whole')

    const client = createCluster({ rootNodes: [{ url: first.url }, { url: second.url }] })
    const stores = [open(0, { client }), open(0, { client, name: 'other' })] as const
    for (const store of stores) {
      const at = await saved(store, proposalOf(NOWHERE))
      expect((await store.load())?.at).toEqual(at)
    }
    const [store] = stores
    let at = (await store.load())?.at ?? NOWHERE
    const watcher = listening(store, at)
    at = await saved(store, proposalOf(at))
    await watcher.to(2)

    // The store's slot goes to the other node, with its keys.
    const slot = /\d+/.exec(await first.command('CLUSTER', 'KEYSLOT', '{canary:default}:head'))?.[0] ?? ''
    const [from, to] = Number(slot) < SLOTS / 2 ? [first, second] : [second, first]
    const idOf = async (node: typeof first) => /[0-9a-f]{40}/.exec(await node.command('CLUSTER', 'MYID'))?.[0] ?? ''
    const [fromId, toId] = [await idOf(from), await idOf(to)]
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)
    const keys = ['head', 'rows', 'log', 'audit', 'ids'].map((part) => `{canary:default}:${part}`)
    await from.command('MIGRATE', '127.0.0.1', String(to.port), '', '0', '5000', 'KEYS', ...keys)
    for (const node of [to, from]) await node.command('CLUSTER', 'SETSLOT', slot, 'NODE', toId)

    await until(async () => {
      const result = await store.save(proposalOf(at)).catch(() => null)
      if (result?.kind === 'saved') at = result.at
      return result !== null
    }, 'the store has found its node')
    await watcher.to(3)
    expect(watcher.commits().map(({ version }) => version)).toEqual([2, 3])
    expect(at.version).toBe(3)
  })

  test('by Sentinel, also after a failover', { timeout: 60_000 }, async () => {
    const master = await server()
    const replica = await server({ replicaof: `127.0.0.1 ${master.port}` })
    const [port = 0] = await freePorts(1)
    const folder = mkdtempSync(join(tmpdir(), 'canary-sentinel-'))
    keep({ [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true }) })
    const file = join(folder, 'sentinel.conf')
    writeFileSync(
      file,
      `port ${port}\nbind 127.0.0.1\ndir ${folder}\nsentinel monitor canary 127.0.0.1 ${master.port} 1\n` +
        'sentinel down-after-milliseconds canary 500\nsentinel failover-timeout canary 3000\n',
    )
    const sentinel = keep(await startSentinel(file, port))
    await until(async () => {
      const [up, known] = [
        await replica.command('INFO', 'replication'),
        await sentinel.command('SENTINEL', 'replicas', 'canary'),
      ]
      return up.includes('master_link_status:up') && known.includes(String(replica.port))
    }, 'Sentinel knows the replica')

    const client = createSentinel({ name: 'canary', sentinelRootNodes: [{ host: '127.0.0.1', port }] })
    const store = open(0, { client })
    let at = await saved(store, proposalOf(NOWHERE))
    const watcher = listening(store, at)
    await watcher.until((events) => events.length > 0)
    await until(
      async () => (await replica.command('HGET', '{canary:default}:head', 'id')).includes(at.id),
      'it follows',
    )
    await master.kill()
    await until(
      async () => {
        const result = await store.save(proposalOf(at)).catch(() => null)
        if (result?.kind === 'saved') at = result.at
        return result !== null
      },
      'the store has found the new master',
      30_000,
    )
    await watcher.to(2)
    expect(watcher.commits().map(({ id }) => id)).toEqual([at.id])
    expect(await replica.command('HGET', '{canary:default}:head', 'id')).toContain(at.id)
  })
})
