import { readFileSync } from 'node:fs'
import type { Registry } from '@canary-release/core/registry'
import { invalidOptions } from '@canary-release/core/registry/internal'
import { z } from 'zod'
import { parsedBody } from '../bodies/parsed-body.js'
import { type Answer, type Operation, SIZE, sizeOf } from '../operation.js'
import { positionSchema } from '../schemas/kong-schemas.js'

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
      query: {
        size: SIZE,
        before: {
          description: 'Only versions below this one: the last of the page before.',
          schema: { type: 'integer', minimum: 1 },
        },
        plugin: { description: 'Only what changed the plugin with this id.', schema: { type: 'string', minLength: 1 } },
        by: { description: 'Only what this one did.', schema: { type: 'string', minLength: 1 } },
      },
      answer: { status: 200, schema: 'Audit' },
      errors: [400],
      run: ({ query }) => auditAnswer(registry, query),
    },
    {
      method: 'GET',
      path: '/members',
      id: 'listMembers',
      summary:
        'Lists the processes that have the store open, whose guards judge together where it is Redis or PostgreSQL.',
      answer: { status: 200, schema: 'Members' },
      errors: [],
      run: () => membersAnswer(registry),
    },
    {
      method: 'POST',
      path: '/store/accept',
      id: 'acceptStore',
      summary:
        'Takes what is stored in place of what was known, where `store.rewound` of `/status` says that the store was emptied, put back or failed over. The body is its `stored`.',
      body: 'Position',
      answer: { status: 200, schema: 'Position' },
      errors: [400, 409],
      async run({ body }) {
        await registry.accept(parsedBody(positionSchema, body))
        return { status: 200, body: registry.storeStatus.position }
      },
    },
  ]
}

async function membersAnswer(registry: Registry): Promise<Answer> {
  const members = await registry.members()
  const data = members.map(({ id, self, host, pid, version, ageMs, tickedAt, refused, expired }) => ({
    id,
    self,
    host,
    pid,
    version,
    age: ageMs / 1000,
    tickedAt: tickedAt === null ? null : tickedAt / 1000,
    refused,
    expired,
  }))
  return { status: 200, body: { data, next: null } }
}

async function auditAnswer(registry: Registry, query: URLSearchParams): Promise<Answer> {
  const limit = sizeOf(query)
  const before = query.has('before') ? Number(query.get('before')) : undefined
  if (before !== undefined && !(Number.isSafeInteger(before) && before >= 1)) {
    throw invalidOptions({ before: 'must be a version' })
  }
  const [plugin, by] = [query.get('plugin') ?? undefined, query.get('by') ?? undefined]
  const data = await registry.audit({ limit, before, plugin, by })
  const last = data.at(-1)
  if (last === undefined || data.length < limit || last.version === 1)
    return { status: 200, body: { data, next: null } }
  const next = new URLSearchParams(query)
  next.set('before', String(last.version))
  return { status: 200, body: { data, next: `/audit?${next}` } }
}
