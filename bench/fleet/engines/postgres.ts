import { postgresStore } from '@canary-release/postgres'
import { startCutProxy } from '../../../test/servers/cut-proxy.js'
import { type PostgresServer, startPostgres } from '../../../test/servers/postgres.js'
import type { Engine } from './engine.js'

// As a server is run: what is acknowledged is on the disk. Fifty writers have two connections each.
const SETTINGS = { fsync: 'on', max_connections: '300' }

export const postgres: Engine = {
  name: 'postgres',
  limits: { propagation: 25, writers: 5_000, tick: 20 },
  async start() {
    const server = await startPostgres(SETTINGS)
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
    const keep = <Thing extends AsyncDisposable>(thing: Thing): Thing => {
      opened.push(thing)
      return thing
    }
    try {
      // A commit waits for the standby, by the server's own setting.
      const primary = keep(await startPostgres({ ...SETTINGS, synchronous_standby_names: '*' }))
      const link = keep(await startCutProxy(primary.port))
      const standby: PostgresServer = keep(await primary.standby(link.port))
      return {
        master: primary.url,
        replica: standby.url,
        cutLink: () => link.silence(),
        async failOver() {
          await primary.kill()
          await standby.promote()
        },
        [Symbol.asyncDispose]: dispose,
      }
    } catch (error) {
      await dispose()
      throw error
    }
  },
  store: (connectionString) => postgresStore({ connectionString }),
}
