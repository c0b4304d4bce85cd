import { until } from '../../../test/servers/processes.js'
import type { Engine } from '../engines/engine.js'
import { Children } from '../processes/children.js'
import { type Measure, below, never, quantile } from './measure.js'
import { fill, serviceChange } from './records.js'

interface Work {
  readonly taken: readonly number[]
  readonly refused: readonly string[]
}

/** Lets registries in some processes make changes at the same time. */
async function compete(engine: Engine, rows: 'own' | 'same', services: number, shape: Shape) {
  await using server = await engine.start()
  const store = engine.store(server.address)
  await fill(
    store,
    Array.from({ length: services }, (_, i) => serviceChange(i, 'first')),
  )
  const { version } = (await store.load())?.at ?? { version: 0 }
  const { processes, registries, changes } = shape
  const results: Work[] = []
  let cpu = 0
  let ready = 0
  await using children = new Children()
  const args = [engine.name, server.address, String(registries), String(changes), rows]
  children.start('writer', processes, args, (message) => {
    if (message === 'ready') ready += 1
    else {
      const done = message as { readonly works: readonly Work[]; readonly cpu: number }
      results.push(...done.works)
      cpu += done.cpu
    }
  })
  await until(() => ready === processes, 'the processes are ready', 300_000)
  const begun = performance.now()
  children.tell('go')
  await until(() => results.length === processes * registries, 'all are done', 120_000)
  const whole = performance.now() - begun
  const committed = ((await store.load())?.at.version ?? 0) - version
  await store.close()
  const taken = results.flatMap((result) => result.taken)
  const refused = results.flatMap((result) => result.refused)
  return { whole, cpu, taken, refused, committed }
}

interface Shape {
  readonly processes: number
  readonly registries: number
  readonly changes: number
}

/** 50 gateways. */
const SHAPE: Shape = { processes: 5, registries: 10, changes: 20 }

/** Changes that are not in each other's way: none is refused. */
export const disjoint =
  (services = 10_000, shape = SHAPE): Measure =>
  async (engine) => {
    const { whole, cpu, taken, refused, committed } = await compete(engine, 'own', services, shape)
    const all = taken.length + refused.length
    const what = `${shape.processes * shape.registries} registries × ${shape.changes} disjoint changes on ${services} records`
    return [
      never(`${what}: refused`, refused.length, `${all} ${refused[0] ?? ''}`),
      never('lost', Math.max(0, taken.length - committed), String(taken.length)),
      below(
        'the whole of it',
        whole,
        engine.limits.writers,
        `${Math.round((all / whole) * 1000)} changes a second; CPU of the gateways ${cpu.toFixed(0)} ms`,
      ),
      below('one change, p99', quantile(taken, 0.99), 500, `p50 ${quantile(taken, 0.5).toFixed(0)} ms`),
    ]
  }

/** Changes of one record: each is made, or refused in time, and none is lost. */
export const sameRow =
  (shape = SHAPE): Measure =>
  async (engine) => {
    const { whole, taken, refused, committed } = await compete(engine, 'same', 1, shape)
    const all = taken.length + refused.length
    const unknown = refused.filter((text) => text.endsWith('unknown')).length
    const latest = Math.max(...taken, ...refused.map((text) => Number.parseFloat(text)))
    const what = `${shape.processes * shape.registries} registries × ${shape.changes} changes of one record`
    const others = refused.filter((text) => !/(?:not-written|unknown)$/.test(text)).length
    return [
      never(`${what}: neither made nor refused by 503`, others, `${all}, ${taken.length} made`),
      never('lost', Math.max(0, taken.length - committed), String(taken.length)),
      never('made though refused', Math.max(0, committed - taken.length - unknown), String(refused.length)),
      below('the latest answer', latest, 2_500, `the whole ${whole.toFixed(0)} ms`),
    ]
  }
