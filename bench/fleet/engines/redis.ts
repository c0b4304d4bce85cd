import { redisStore } from '@canary-release/redis'
import { startCutProxy } from '../../../test/servers/cut-proxy.js'
import { until } from '../../../test/servers/processes.js'
import { startRedis } from '../../../test/servers/redis.js'
import type { Engine } from './engine.js'

export const redis: Engine = {
  name: 'redis',
  limits: { propagation: 10, writers: 2_000, tick: 10 },
  async start() {
    const server = await startRedis()
    return {
      address: server.url,
      kill: () => server.kill(),
      start: () => server.start(),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  },
  async startPair() {
    const opened: AsyncDisposable[] = []
    const dispose = async () => {
      // oxlint-disable-next-line no-await-in-loop -- the last first
      for (const each of opened.splice(0).toReversed()) await each[Symbol.asyncDispose]()
    }
    try {
      const master = await startRedis({ 'min-replicas-to-write': '1' })
      opened.push(master)
      const link = await startCutProxy(master.port)
      opened.push(link)
      const replica = await startRedis({ replicaof: `127.0.0.1 ${link.port}` })
      opened.push(replica)
      const follows = async () => (await replica.command('INFO', 'replication')).includes('master_link_status:up')
      await until(follows, 'the replica follows')
      return {
        master: master.url,
        replica: replica.url,
        cutLink: () => link.silence(),
        async failOver() {
          await master.kill()
          await replica.command('REPLICAOF', 'NO', 'ONE')
        },
        [Symbol.asyncDispose]: dispose,
      }
    } catch (error) {
      await dispose()
      throw error
    }
  },
  store: (url, { replicas = 0 } = {}) => redisStore({ url, replicas }),
}
