import { createRegistry } from '@canary-release/core/registry'
import { until } from '../../../test/servers/processes.js'
import { Children, hostClock } from '../processes/children.js'
import { type Measure, below, milliseconds, quantile } from './measure.js'

const PAUSE_MS = 20

/** From a change's acknowledgement until it is in force in other processes. */
export const propagation =
  (followers = 16, changes = 200): Measure =>
  async (engine) => {
    await using server = await engine.start()
    const registry = await createRegistry({ store: engine.store(server.address) })
    await registry.change('bench', (draft) => draft.create('services', { name: 'orders', url: 'http://orders' }))
    const inForce: { readonly version: number; readonly at: number }[] = []
    let ready = 0
    await using children = new Children()
    children.start('follower', followers, [engine.name, server.address], (message) => {
      if (message === 'ready') ready += 1
      else inForce.push(message as { version: number; at: number })
    })
    await until(() => ready === followers, 'the processes are ready', 120_000)
    const acknowledged = new Map<number, number>()
    for (let i = 0; i < changes; i += 1) {
      /* oxlint-disable no-await-in-loop -- one after another */
      await registry.change('bench', (draft) => draft.patch('services', 'orders', { host: `orders-${i}` }))
      acknowledged.set(registry.version, hostClock())
      await new Promise((resolve) => {
        setTimeout(resolve, PAUSE_MS)
      })
      /* oxlint-enable no-await-in-loop */
    }
    const ours = () => inForce.filter(({ version }) => acknowledged.has(version))
    await until(() => ours().length === followers * changes, 'all are in force everywhere')
    await registry.close()
    const delays = ours().map(({ version, at }) => Math.max(0, at - (acknowledged.get(version) ?? 0)))
    const more = `p50 ${milliseconds(quantile(delays, 0.5))}, worst ${milliseconds(Math.max(...delays))}, ${changes} changes`
    const what = `acknowledged → in force in ${followers} other processes, p99`
    return [below(what, quantile(delays, 0.99), engine.limits.propagation, more)]
  }
