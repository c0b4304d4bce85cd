import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Registry, createRegistry, fileStore, parseDeclarative } from '@canary-release/core/registry'
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
  close(): Promise<void>
}

export async function createReleases(
  { percentage, duration }: Pick<DemoArguments, 'percentage' | 'duration'>,
  upstreams: { readonly A: string; readonly B: string },
): Promise<DemoReleases> {
  const folder = await mkdtemp(join(tmpdir(), 'canary-demo-'))
  const file = join(folder, 'canaries.json')
  const remove = () => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  const B = new URL(upstreams.B)
  const time = percentage === null ? { start: Math.ceil(Date.now() / 1000), duration } : { percentage }
  const declared = {
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
  const registry = await createRegistry({
    store: fileStore(file),
    initial: await parseDeclarative(JSON.stringify(declared)),
    guard: true,
    logger: { info() {}, warn() {}, error: (message) => process.stderr.write(`${message}\n`) },
  })
  return {
    registry,
    file,
    close: async () => {
      await registry.close()
      process.off('exit', remove)
      remove()
    },
  }
}
