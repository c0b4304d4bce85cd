import { createRegistry } from '@canary-release/core/registry'
import { engineOf } from '../engines/index.js'
import { hostClock } from './children.js'

// A gateway's registry: says of each version when it was in force.
const [, , engine, address = ''] = process.argv
const registry = await createRegistry({ store: engineOf(engine).store(address) })
registry.on('change', ({ version }) => process.send?.({ version, at: hostClock() }))
process.send?.('ready')
