import { NOWHERE, type Position, type Store } from '@canary-release/core/registry'
import { ID, type StoreHarness, type StorePlace, proposalOf, saved } from '../../core/test/store/suite.js'
import { type CutProxy, startCutProxy } from '../../../test/servers/cut-proxy.js'
import type { RedisServer } from '../../../test/servers/redis.js'
import { redisStore } from '../src/index.js'

interface RedisPlace extends StorePlace {
  readonly name: string
  /** The way of `store` to the server; the others have one of their own. */
  readonly link: CutProxy
}

let names = 0

/** Stores of a name of their own, on a server that tests share. */
export function harnessOn(server: () => RedisServer): StoreHarness<RedisPlace> {
  return {
    async open() {
      names += 1
      const name = `test-${names}`
      const link = await startCutProxy(server().port)
      const opened: Store[] = []
      const open = (port: number) => {
        const store = redisStore({ url: `redis://127.0.0.1:${port}`, name })
        opened.push(store)
        return store
      }
      const store = open(link.port)
      return {
        name,
        link,
        store,
        another: async () => open(server().port),
        trim: () => trim(store),
        async [Symbol.asyncDispose]() {
          await Promise.all(opened.map((each) => each.close()))
          await link[Symbol.asyncDispose]()
        },
      }
    },
    async damage({ name }) {
      await server().command('HSET', `{canary:${name}}:rows`, `services/${ID}`, '1 {"entity":')
    },
    async cut({ link }) {
      link.cut()
      return async () => link.mend()
    },
    async freeze({ link }) {
      link.silence()
      return async () => link.mend()
    },
    async rewind({ name }, to: Position) {
      const keys = ['head', 'rows', 'log', 'audit', 'ids'].map((part) => `{canary:${name}}:${part}`)
      const answer = await server().command('EVAL', REWIND, '5', ...keys, String(to.version), to.id)
      if (answer.startsWith('-')) throw new Error(answer)
    },
  }
}

// Leaves what a server has that never received the last commits.
const REWIND = `
local to = tonumber(ARGV[1])
redis.call('DEL', KEYS[2])
for _, entry in ipairs(redis.call('XRANGE', KEYS[3], '-', ARGV[1] .. '-0')) do
  for _, change in ipairs(cjson.decode(entry[2][8])) do
    local row = cjson.encode({ entity = change.row.entity, release = change.row.release })
    redis.call('HSET', KEYS[2], change.kind .. '/' .. change.id, string.match(entry[1], '%d+') .. ' ' .. row)
  end
end
for _, key in ipairs({ KEYS[3], KEYS[4], KEYS[5] }) do
  for _, entry in ipairs(redis.call('XRANGE', key, '(' .. ARGV[1] .. '-0', '+')) do redis.call('XDEL', key, entry[1]) end
  redis.call('XSETID', key, ARGV[1] .. '-0')
end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'id', ARGV[2])
return 'OK'
`

/** More than the log holds: 10 MB of changes that are each small enough to be logged. */
async function trim(store: Store): Promise<void> {
  let at = (await store.load())?.at ?? NOWHERE
  for (let i = 0; i < 100; i += 1) {
    // oxlint-disable-next-line no-await-in-loop -- each is made on the one before
    at = await saved(store, proposalOf(at, { host: 'h'.repeat(100_000) }))
  }
}
