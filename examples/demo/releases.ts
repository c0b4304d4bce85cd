import {
  type Declarative,
  type Registry,
  type RegistryOptions,
  createRegistry,
  parseDeclarative,
} from '@canary-release/core/registry'
import type { DemoArguments } from './arguments.js'
import { openStore, storePlace } from './store.js'

export const CONSUMERS = 200
const NOTHING = '_format_version: "3.0"'
export const RELEASE = 'orders-v2'

export const consumerName = (number: number): string => `consumer-${number}`
export const consumerKey = (number: number): string => `key-${number}`

/** The demo's releases as records: one service, one canary on it, and consumers with their keys. */
export interface DemoReleases {
  readonly registry: Registry
  /** Where they are kept: a file, or the URL of a server. */
  readonly place: string
  /** The same for a person. */
  readonly shown: string
  /** Writes them: from now on they are in force, and a ramp's time runs. */
  begin(): Promise<void>
  close(): Promise<void>
}

/**
 * The releases as each process of the demo has them.
 *
 * @param processes how many of them serve requests, and so judge; 0: this one does not judge
 */
export async function openReleases(place: string, processes: number): Promise<Registry> {
  const logger = { info() {}, warn() {}, error: (message: string) => void process.stderr.write(`${message}\n`) }
  const store = openStore(place)
  // What a store does not merge, each process judges apart.
  const guard: RegistryOptions['guard'] = processes > 0 && { judges: store.shared === null ? processes : 1 }
  try {
    return await createRegistry({ store, guard, logger })
  } catch (error) {
    await store.close()
    throw error
  }
}

export async function createReleases(
  { percentage, duration, processes, store }: Pick<DemoArguments, 'percentage' | 'duration' | 'processes' | 'store'>,
  upstreams: { readonly A: string; readonly B: string },
): Promise<DemoReleases> {
  const { place, shown, remove } = await storePlace(store)
  // With several processes, those judge that serve requests.
  const registry = await openReleases(place, processes === 1 ? 1 : 0)
  return {
    registry,
    place,
    shown,
    begin: async () => {
      // What a demo left behind on a server may be rolled back: this one begins anew.
      await registry.sync(await parseDeclarative(NOTHING), 'demo')
      await registry.sync(await declared({ percentage, duration }, upstreams), 'demo')
    },
    close: async () => {
      await registry.close()
      remove()
    },
  }
}

/** One service, one canary on it, and consumers with their keys. */
async function declared(
  { percentage, duration }: Pick<DemoArguments, 'percentage' | 'duration'>,
  upstreams: { readonly A: string; readonly B: string },
): Promise<Declarative> {
  const B = new URL(upstreams.B)
  const time = percentage === null ? { start: Math.ceil(Date.now() / 1000), duration } : { percentage }
  const file = {
    _format_version: '3.0',
    services: [
      {
        name: 'orders',
        url: upstreams.A,
        plugins: [
          {
            name: 'canary',
            instance_name: RELEASE,
            config: { ...time, steps: 100, upstream_port: Number(B.port), canary_by_header_name: 'x-canary' },
          },
        ],
      },
    ],
    consumers: Array.from({ length: CONSUMERS }, (_, number) => ({
      username: consumerName(number),
      keyauth_credentials: [{ key: consumerKey(number) }],
    })),
  }
  return parseDeclarative(JSON.stringify(file))
}
