import { SharedMemory, memoryShared } from '../../src/guard/fleet/memory-shared.js'
import { sharedSuite } from './shared-suite.js'

sharedSuite('the memory', async () => {
  let now = 1_700_000_000_000
  const over = new Set<string>()
  const memory = new SharedMemory(
    () => now,
    (run) => over.has(run),
  )
  return {
    connect: async () => memoryShared(memory, () => now),
    pass: async (ms) => void (now += ms),
    end: async (_, run) => void over.add(run),
    close: async () => {},
  }
})
