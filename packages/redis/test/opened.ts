import { afterEach } from 'vitest'
import type { Store } from '@canary-release/core/registry'
import { type RedisStoreOptions, redisStore } from '../src/index.js'
import { type RedisServer, startRedis } from '../../../test/servers/redis.js'

/** What tests of a file open; it is closed after each of them, the last first. */
export function whatIsOpened() {
  const opened: AsyncDisposable[] = []
  afterEach(async () => {
    // oxlint-disable-next-line no-await-in-loop -- a store before its server
    for (const each of opened.splice(0).toReversed()) await each[Symbol.asyncDispose]()
  })
  function keep<Thing extends AsyncDisposable>(thing: Thing): Thing {
    opened.push(thing)
    return thing
  }
  return {
    keep,
    server: async (settings?: Parameters<typeof startRedis>[0]): Promise<RedisServer> =>
      keep(await startRedis(settings)),
    open(port: number, options: RedisStoreOptions = {}): Store {
      const store = redisStore(
        options.client === undefined ? { url: `redis://127.0.0.1:${port}`, ...options } : options,
      )
      keep({ [Symbol.asyncDispose]: () => store.close() })
      return store
    },
  }
}
