import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type RowChange, createRegistry, memoryStore } from '@canary-release/core/registry'
import { type Measure, below } from './measure.js'
import { fill } from './records.js'

const silent = { info() {}, warn() {}, error() {} }

/** The rows of a registry with so many releases and consumers, as it makes them itself. */
async function rowsOf(releases: number, consumers: number): Promise<readonly RowChange[]> {
  const registry = await createRegistry({ store: memoryStore(), logger: silent, changeTimeoutMs: 60_000 })
  await registry.change('bench', (draft) => {
    for (let i = 0; i < consumers; i += 1) draft.create('consumers', { username: `user-${i}`, custom_id: `crm-${i}` })
    for (let i = 0; i < releases; i += 1) {
      draft.create('services', { name: `service-${i}`, url: `http://service-${i}` })
      const config = { upstream_host: 'canary', percentage: 10 }
      draft.create('plugins', { name: 'canary', config }, { kind: 'services', key: `service-${i}` })
    }
  })
  const { rows } = registry.snapshot()
  await registry.close()
  return rows.map(({ kind, entity, release }) => ({ kind, id: entity.id, row: { kind, entity, release } }))
}

/** How long a large registry takes to be loaded, and for how long it stops everything else in the process. */
export const load =
  (releases = 10_000, consumers = 100_000): Measure =>
  async (engine) => {
    await using server = await engine.start()
    const store = engine.store(server.address)
    const changes = await rowsOf(releases, consumers)
    await fill(store, changes)
    // The first loads compile the code.
    const times: number[] = []
    const stops: number[] = []
    for (let i = 0; i < 5; i += 1) {
      const delay = monitorEventLoopDelay({ resolution: 1 })
      delay.enable()
      const begun = performance.now()
      // oxlint-disable-next-line no-await-in-loop -- one after another
      const state = await store.load()
      times.push(performance.now() - begun)
      delay.disable()
      stops.push(delay.max / 1e6)
      if (state?.rows.length !== changes.length)
        throw new Error(`loaded ${state?.rows.length} of ${changes.length} rows`)
    }
    await store.close()
    const what = `${releases} releases and ${consumers} consumers`
    const all = `5 loads of ${changes.length} rows, worst ${Math.max(...times).toFixed(0)} ms`
    return [
      below(`load of ${what}`, times.toSorted((a, b) => a - b)[2] ?? 0, 2_000, all),
      below('the event loop stopped meanwhile', Math.max(...stops), 50, 'worst of 5 loads'),
    ]
  }
