import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Declarative,
  type Registry,
  type RegistryOptions,
  createRegistry,
  fileStore,
  parseDeclarative,
} from '@canary-release/core/registry'
import type { DemoArguments } from './arguments.js'

export const CONSUMERS = 200
export const RELEASE = 'orders-v2'

export const consumerName = (number: number): string => `consumer-${number}`
export const consumerKey = (number: number): string => `key-${number}`

/** The demo's releases as records: one service, one canary on it, and consumers with their keys. */
export interface DemoReleases {
  readonly registry: Registry
  /** Where they are kept while the demo runs. */
  readonly file: string
  /** Writes them: from now on they are in force, and a ramp's time runs. */
  begin(): Promise<void>
  close(): Promise<void>
}

/** The releases of a file, as each process of the demo has them. */
export function openReleases(file: string, guard: RegistryOptions['guard']): Promise<Registry> {
  const logger = { info() {}, warn() {}, error: (message: string) => void process.stderr.write(`${message}\n`) }
  return createRegistry({ store: fileStore(file), guard, logger })
}

export async function createReleases(
  { percentage, duration, processes }: Pick<DemoArguments, 'percentage' | 'duration' | 'processes'>,
  upstreams: { readonly A: string; readonly B: string },
): Promise<DemoReleases> {
  const folder = await mkdtemp(join(tmpdir(), 'canary-demo-'))
  const file = join(folder, 'canaries.json')
  const remove = () => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  // With several processes, those judge that serve requests.
  const registry = await openReleases(file, processes === 1)
  return {
    registry,
    file,
    begin: async () => {
      await registry.sync(await declared({ percentage, duration }, upstreams), 'demo')
    },
    close: async () => {
      await registry.close()
      process.off('exit', remove)
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
