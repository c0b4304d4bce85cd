import { type Store, memoryStore } from '@canary-release/core/registry'
import { runStoreSuite } from './suite.js'

/** One of several that share a store; closing it does not end the others. */
function sharing(store: Store): Store {
  const leaving = new Set<() => void>()
  return {
    ...store,
    watch(from, listener) {
      const stop = store.watch(from, listener)
      leaving.add(stop)
      return stop
    },
    close: async () => leaving.forEach((stop) => stop()),
  }
}

runStoreSuite('memory', {
  async open() {
    const store = memoryStore()
    const another = async () => sharing(store)
    return { store: sharing(store), another, [Symbol.asyncDispose]: () => store.close() }
  },
})
