// A process that writes a registry's file as fast as it can, until it is killed. Run on the built package.
import { createRegistry, fileStore } from '@canary-release/core/registry'

const [, , file = ''] = process.argv
const silent = { info() {}, warn() {}, error() {} }
const registry = await createRegistry({ store: fileStore(file), logger: silent })
const service = 'orders'

if (registry.get('services', service) === null) {
  await registry.change('writer', (draft) => {
    draft.create('services', { name: service, host: 'host-1', path: '/1' })
    for (let i = 0; i < 200; i += 1) draft.create('consumers', { username: `consumer-${i}` })
  })
}
for (;;) {
  const next = registry.version + 1
  // oxlint-disable-next-line no-await-in-loop
  await registry.change('writer', (draft) =>
    draft.patch('services', service, { host: `host-${next}`, path: `/${next}` }),
  )
  process.stdout.write(`${next}\n`)
}
