import { once } from 'node:events'
import { type Registry, createRegistry } from '@canary-release/core/registry'
import { engineOf } from '../engines/index.js'

// Several gateways in one process, each with a registry and connections of its own. When told, each makes its changes.
const [, , engine, address = '', registries = '1', changes = '1', rows = 'own', child = '0'] = process.argv
const [count, times] = [Number(registries), Number(changes)]
const store = () => engineOf(engine).store(address)
const silent = { info() {}, warn() {}, error() {} }
const opened: Registry[] = []
// oxlint-disable-next-line no-await-in-loop -- not all at once: what is measured comes later
for (let i = 0; i < count; i += 1) opened.push(await createRegistry({ store: store(), logger: silent }))
process.send?.('ready')
await once(process, 'message')

/** How long each change took, in milliseconds; of those that were refused, the error. */
async function work(registry: Registry, writer: number): Promise<{ taken: number[]; refused: string[] }> {
  const taken: number[] = []
  const refused: string[] = []
  for (let i = 0; i < times; i += 1) {
    const name = rows === 'own' ? `service-${writer * times + i}` : 'service-0'
    const begun = performance.now()
    try {
      const host = `host-${writer}-${i}`
      // oxlint-disable-next-line no-await-in-loop -- a writer makes one change after another
      await registry.change(`writer-${writer}`, (draft) => draft.patch('services', name, { host }))
      taken.push(performance.now() - begun)
    } catch (error) {
      refused.push(
        `${performance.now() - begun} ${String(error)} ${error instanceof Error && 'outcome' in error ? String(error.outcome) : ''}`,
      )
    }
  }
  return { taken, refused }
}

const before = process.cpuUsage()
const works = await Promise.all(opened.map((registry, i) => work(registry, Number(child) * count + i)))
const { user, system } = process.cpuUsage(before)
process.send?.({ works, cpu: (user + system) / 1000 })
