import { memoryStore } from '@canary-release/core/registry'
import { runStoreSuite } from './suite.js'

runStoreSuite('memory', async () => {
  const store = memoryStore()
  // All registries of a process share it; one that closes must not end the others.
  const open = () => ({ ...store, close: async () => undefined })
  return { open, [Symbol.asyncDispose]: () => store.close() }
})
