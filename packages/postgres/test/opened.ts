import { Client } from 'pg'
import { afterEach } from 'vitest'
import type { Store } from '@canary-release/core/registry'
import { type PostgresStoreOptions, postgresStore } from '@canary-release/postgres'
import { type PostgresServer, startPostgres } from '../../../test/servers/postgres.js'

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
    server: async (settings?: Parameters<typeof startPostgres>[0]): Promise<PostgresServer> =>
      keep(await startPostgres(settings)),
    /** A store by a URL, or by the port of a server or of a proxy before it. */
    open(place: number | string, options: PostgresStoreOptions = {}): Store {
      const url = typeof place === 'string' ? place : urlOf(place)
      const store = postgresStore(options.pool === undefined ? { connectionString: url, ...options } : options)
      keep({ [Symbol.asyncDispose]: () => store.close() })
      return store
    },
  }
}

export function urlOf(port: number, user = 'postgres', database = 'postgres'): string {
  return `postgres://${user}@127.0.0.1:${port}/${database}`
}

/** One or more statements by hand, on a connection of their own. */
export async function sql(url: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  // A server that is killed with a connection open.
  client.on('error', () => undefined)
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, unknown>>(text)
    return rows
  } finally {
    await client.end()
  }
}
