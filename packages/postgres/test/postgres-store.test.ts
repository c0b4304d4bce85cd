import { afterAll, beforeAll } from 'vitest'
import { NOWHERE, type Store } from '@canary-release/core/registry'
import { postgresStore } from '@canary-release/postgres'
import { proposalOf, runStoreSuite, saved } from '../../core/test/store/suite.js'
import { type PostgresServer, startPostgres } from '../../../test/servers/postgres.js'
import { requireBinary } from '../../../test/servers/requirement.js'
import { sql } from './opened.js'

requireBinary('postgres')('on a PostgreSQL server', () => {
  let server: PostgresServer
  let schemas = 0
  beforeAll(async () => {
    server = await startPostgres()
  })
  afterAll(() => server[Symbol.asyncDispose]())

  runStoreSuite('PostgreSQL', {
    async open() {
      schemas += 1
      const schema = `test ${schemas}`
      const opened: Store[] = []
      const open = () => {
        const store = postgresStore({ connectionString: server.url, schema })
        opened.push(store)
        return store
      }
      return {
        store: open(),
        another: async () => open(),
        trim: async () => {
          const store = open()
          await saved(store, proposalOf((await store.load())?.at ?? NOWHERE))
          await sql(server.url, `UPDATE "${schema}".canary_commit SET body = NULL, writes = NULL`)
        },
        async [Symbol.asyncDispose]() {
          await Promise.all(opened.map((store) => store.close()))
          await sql(server.url, `DROP SCHEMA IF EXISTS "${schema}" CASCADE`)
        },
      }
    },
  })
})
