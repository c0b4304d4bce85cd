import { CanaryError } from '@canary-release/core'
import {
  type Registry,
  type RegistryOptions,
  ViolationError,
  createRegistry,
  memoryStore,
} from '@canary-release/core/registry'

/** What a store throws that is away: nothing was written. */
export const AWAY = new CanaryError('ERR_CANARY_STORE', 'the store is away', { outcome: 'not-written' })

export const SILENT = { info() {}, warn() {}, error() {} }

/** A clock that stands until it is moved. */
export interface Clock {
  (): number
  seconds: number
}

export function clockAt(seconds: number): Clock {
  const clock = Object.assign(() => clock.seconds * 1000, { seconds })
  return clock
}

export const T0 = 1_800_000_000

export interface TestRegistry extends Registry {
  readonly clock: Clock
}

/** A registry in memory that closes itself, with a clock that stands. */
export async function testRegistry(options: Partial<RegistryOptions> = {}): Promise<TestRegistry> {
  const clock = clockAt(T0)
  const registry = await createRegistry({ store: memoryStore(), logger: SILENT, random: () => 0, clock, ...options })
  return disposable(registry, { clock })
}

export function disposable<Extra extends object>(registry: Registry, extra: Extra): Registry & Extra {
  return Object.assign(registry, extra)
}

/** What a change was refused with. */
export async function violationOf(promise: Promise<unknown>) {
  try {
    await promise
  } catch (error) {
    if (error instanceof ViolationError) return error.violation
    throw error
  }
  throw new Error('nothing was refused')
}

export const CANARY = { name: 'canary', config: { upstream_host: 'orders-v2', percentage: 10 } }

/** A service `orders` at http://orders-v1:3000. */
export function addOrders(registry: Registry) {
  return registry.change('test', (draft) => draft.create('services', { name: 'orders', url: 'http://orders-v1:3000' }))
}

/** Resolves once the registry is at a version. */
export function changed(
  registry: { version: number; on(name: 'change', listener: () => void): () => void },
  version: number,
) {
  return new Promise<void>((resolve) => {
    const off = registry.on('change', look)
    function look() {
      if (registry.version < version) return
      off()
      resolve()
    }
    look()
  })
}
