import { readFileSync } from 'node:fs'
import type { Registry } from '@canary-release/core/registry'
import { z } from 'zod'
import { type Operation, SIZE, sizeOf } from '../operation.js'

const manifest = z.object({ version: z.string() })
const { version: VERSION } = manifest.parse(
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')),
)

/** This package's version. */
export { VERSION }

/** The version of Kong whose Admin API this is like: clients choose by it how they speak, and refuse what is none. */
const KONG_VERSION = '3.9.0'

/** What concerns the registry as a whole. */
export function registryOperations(registry: Registry): Operation[] {
  return [
    {
      method: 'GET',
      path: '/',
      id: 'getInformation',
      summary: 'Says what answers here.',
      answer: { status: 200, schema: 'Information' },
      errors: [],
      run: () => ({
        status: 200,
        body: {
          tagline: 'Welcome to canary-release',
          version: KONG_VERSION,
          edition: 'community',
          configuration: { database: 'registry', plugins: ['canary'] },
          canary_release: { version: VERSION },
          plugins: { available_on_server: { canary: true }, enabled_in_cluster: ['canary'] },
          registry: { version: registry.version },
        },
      }),
    },
    {
      method: 'GET',
      path: '/audit',
      id: 'listAudit',
      summary: 'Lists the newest changes first: when, who, what, before and after.',
      query: { size: SIZE },
      answer: { status: 200, schema: 'Audit' },
      errors: [400],
      run: ({ query }) => ({ status: 200, body: { data: registry.audit({ limit: sizeOf(query) }), next: null } }),
    },
  ]
}
