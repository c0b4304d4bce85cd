import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SharedMemory, memoryShared } from '../../core/src/guard/fleet/memory-shared.js'
import { aStep, actOf } from '../../core/test/guard/shared-steps.js'
import { sharedSuite } from '../../core/test/guard/shared-suite.js'
import { type PostgresServer, startPostgres } from '../../../test/servers/postgres.js'
import { requireBinary } from '../../../test/servers/requirement.js'
import { resolveOptions } from '../src/options.js'
import { PostgresStore } from '../src/postgres-store.js'
import { sql } from './opened.js'

requireBinary('postgres')('on a PostgreSQL server,', () => {
  let server: PostgresServer
  let schemas = 0
  beforeAll(async () => {
    server = await startPostgres()
  })
  afterAll(() => server[Symbol.asyncDispose]())

  /** What processes share in a schema of its own. */
  function share() {
    schemas += 1
    const schema = `shared ${schemas}`
    const opened: PostgresStore[] = []
    let shift = 0
    return {
      schema,
      async connect() {
        const store = new PostgresStore(resolveOptions({ connectionString: server.url, schema }), () => shift)
        opened.push(store)
        return store.shared
      },
      async pass(ms: number) {
        shift += ms
      },
      async end(release: string) {
        await sql(
          server.url,
          `INSERT INTO "${schema}".canary_row (kind, id, revision, content)
           VALUES ('plugins', '${release}', 7, '{"entity":{},"release":{"run":"another"}}')`,
        )
      },
      async close() {
        await Promise.all(opened.map((store) => store.close()))
        await sql(server.url, `DROP SCHEMA IF EXISTS "${schema}" CASCADE`)
      },
    }
  }

  sharedSuite('PostgreSQL', async () => share())

  describe('what is shared there', () => {
    test('is what RunLog does, whatever members do', { timeout: 120_000 }, async () => {
      let lost = 0
      await fc.assert(
        fc.asyncProperty(fc.array(aStep, { minLength: 20, maxLength: 80 }), async (steps) => {
          const postgres = share()
          let now = 1_700_000_000_000
          const memory = memoryShared(new SharedMemory(() => now), () => now)
          const shared = await postgres.connect()
          const ticks = new Map<string, number>()
          for (const step of steps) {
            if (step.kind === 'pass') {
              now += step.ms
              // oxlint-disable-next-line no-await-in-loop -- one after another
              await postgres.pass(step.ms)
              continue
            }
            const act = actOf(step, ticks)
            // oxlint-disable-next-line no-await-in-loop -- one after another
            const [there, here] = [await act(shared), await act(memory)]
            expect(there).toEqual(here)
            if (JSON.stringify(there).includes('"lost"')) lost += 1
          }
          await postgres.close()
        }),
        { seed: 5, numRuns: 40 },
      )
      // Otherwise the hard part of it was never met.
      expect(lost).toBeGreaterThan(20)
    })
  })
})
