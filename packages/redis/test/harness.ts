import { NOWHERE, type Store } from '../src/contract.js'
import { type RedisStoreOptions, redisStore } from '../src/index.js'
import { type RedisServer } from '../../../test/servers/redis.js'
import { ID, type StorePlace, proposalOf, saved } from './suite.js'

let names = 0

/** A store of a name of its own, on a server that tests share. */
export function placeOn(
  server: RedisServer,
  options: Partial<RedisStoreOptions> = {},
): StorePlace & { readonly name: string } {
  names += 1
  const name = `test-${names}`
  const opened: Store[] = []
  const open = () => {
    const store = redisStore({ url: server.url, name, ...options })
    opened.push(store)
    return store
  }
  return {
    name,
    store: open(),
    another: async () => open(),
    trim: () => trim(opened[0]),
    damage: async () => {
      await server.command('HSET', `{canary:${name}}:rows`, `services/${ID}`, '1 {"entity":')
      await server.command(
        'XADD',
        `{canary:${name}}:log`,
        '999-0',
        'id',
        'x',
        'prev',
        'y',
        'writes',
        '',
        'changes',
        '[{}]',
      )
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.map((store) => store.close()))
    },
  }
}

/** More than the log holds: 10 MB of changes that are each small enough to be logged. */
async function trim(store: Store | undefined): Promise<void> {
  if (store === undefined) return
  let at = (await store.load())?.at ?? NOWHERE
  for (let i = 0; i < 100; i += 1) {
    // oxlint-disable-next-line no-await-in-loop -- each is made on the one before
    at = await saved(store, proposalOf(at, { host: 'h'.repeat(100_000) }))
  }
}
