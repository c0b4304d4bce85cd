import { type Decision, type Release, createRelease } from '@canary-release/core'
import { createRegistry, memoryStore } from '@canary-release/core/registry'
import { listenAdmin } from '@canary-release/admin'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask } from './conformance/client.js'
import { type App, FRAMEWORKS } from './conformance/frameworks.js'
import { type Upstream, startUpstream } from './conformance/upstream.js'

const UUID = '0c6d2f6a-7c1b-4b5e-9a3e-0f1e2d3c4b5a'
const BLANKS = /^[\t ]|[\t ]$/

/** What people write, what Node makes of it, and what looks like that. */
const pieces = [
  'a',
  'Z',
  'é',
  'Ã',
  '©',
  '\u00a0',
  '\u0080',
  'ÿ',
  '中',
  '🐤',
  '\ufeff',
  '"',
  ' ',
  '\t',
  '%C3%A9',
  '=',
  ',',
]
const texts = fc.oneof(
  fc.array(fc.constantFrom(...pieces), { maxLength: 6 }).map((some) => some.join('')),
  fc.constantFrom('always', 'never', '"always"', ' never', UUID, UUID.toUpperCase(), 'Zoë', 'zoe'),
)
/** The bytes of a text as Node reads and writes them; `latin1` for as long as it can say the text. */
const sent = fc
  .tuple(texts, fc.constantFrom('utf8', 'latin1', 'twice'))
  .map(([text, encoding]) => ({ text, bytes: bytesOf(text, encoding) }))

function bytesOf(text: string, encoding: string): string {
  if (encoding === 'latin1' && !/[\u0100-\uffff]/.test(text)) return text
  const once = Buffer.from(text).toString('latin1')
  return encoding === 'twice' ? Buffer.from(once).toString('latin1') : once
}

const WHERE = ['header', 'cookie', 'consumer', 'user'] as const
type Where = (typeof WHERE)[number]
const requests = fc.tuple(fc.constantFrom(...WHERE), sent)

/** What of a decision a request does not draw anew. */
function fixed({ upstream, reason, hashedBy, bucket, setCookie }: Decision) {
  return setCookie === undefined ? { upstream, reason, hashedBy, bucket } : { reason, hashedBy, fresh: true }
}

/** The decision of the release in force for each request, as it was made. */
function lastOf(release: Release): () => Decision | null {
  let last: Decision | null = null
  release.on('decision', (decision) => (last = decision))
  return () => {
    const decision = last
    last = null
    return decision
  }
}

const SILENT = { info() {}, warn() {}, error() {} }

/** A registry with a service that has a canary by a header, one by consumer, and two consumers; records have no cookies. */
async function recorded(upstream: Upstream) {
  const registry = await createRegistry({ store: memoryStore(), logger: SILENT })
  const admin = await listenAdmin({ registry, port: 0, logger: SILENT })
  const call = async (method: string, path: string, body?: object): Promise<unknown> => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${admin.url}${path}`, {
      method,
      ...(body === undefined ? {} : { headers, body: JSON.stringify(body) }),
    })
    expect(answer.ok, `${method} ${path}`).toBe(true)
    return answer.json()
  }
  await call('POST', '/consumers', { id: UUID, username: 'zoe' })
  await call('POST', '/consumers', { username: 'Zoë' })
  const { port } = new URL(upstream.url)
  for (const [name, hash] of [
    ['header', { hash: 'header', hash_header: 'x-tenant' }],
    ['consumer', { hash: 'consumer' }],
  ] as const) {
    await call('POST', '/services', { name, url: upstream.url })
    const config = { percentage: 50, upstream_port: Number(port), canary_by_header_name: 'x-canary', ...hash }
    await call('POST', `/services/${name}/plugins`, { name: 'canary', instance_name: name, config })
  }
  return { registry, admin, call }
}

/** What is said of a decision by whoever explains it. */
interface Explained {
  readonly decision: Decision
}

describe.each(Object.entries(FRAMEWORKS))('an explanation through %s', (_name, { start }) => {
  let upstream: Upstream
  let app: App
  let records: Awaited<ReturnType<typeof recorded>>
  const made = new Map<string, { release: Release; last: () => Decision | null }>()
  /** What the authentication says of everybody; `null`: what the header says. */
  let user: string | null = null

  beforeAll(async () => {
    upstream = await startUpstream('B')
    records = await recorded(upstream)
    for (const [where, hash] of [
      ['header', { header: 'x-tenant' }],
      ['cookie', { cookie: 'tenant' }],
      ['consumer', 'consumer'],
    ] as const) {
      const override = { header: 'x-canary', cookie: 'canary' }
      const upstreams = { A: upstream.url, B: upstream.url }
      const release = createRelease({ name: 'x', upstreams, percentage: 50, hash, override, logger: SILENT })
      made.set(where, { release, last: lastOf(release) })
      const live = records.registry.release(where)
      if (live !== null) made.set(`records/${where}`, { release: live, last: lastOf(live) })
    }
    app = await start({
      mounts: [...made].map(([where, { release }]) => ({
        prefix: `/${where}`,
        source: where.startsWith('records/')
          ? { registry: records.registry, service: where.slice(8), logger: SILENT }
          : release,
      })),
      authenticate: (headers) => ({ id: user ?? headers['x-user'] }),
    })
  })

  afterAll(async () => {
    await app.close()
    await records.admin.close()
    await records.registry.close()
    await upstream.close()
  })

  async function decided(where: string, headers: Record<string, string>): Promise<Decision> {
    const { status } = await ask(`${app.url}/${where}`, { headers })
    const decision = made.get(where)?.last() ?? null
    expect([status, decision]).toEqual([200, expect.anything()])
    return decision as Decision
  }

  async function explainedByAdmin(where: string, query: Record<string, string>): Promise<Decision> {
    const text = new URLSearchParams({ ip: '127.0.0.1', ...query })
    const explained = (await records.call('GET', `/canaries/${where}/explain?${text}`)) as Explained
    return explained.decision
  }

  /** How a request says a text, and how the text and what Node read are described. */
  function ways(where: Where, text: string, bytes: string) {
    switch (where) {
      case 'header':
        return {
          headers: { 'x-tenant': bytes },
          meant: { headers: { 'x-tenant': text } },
          query: { 'header.X-Tenant': text },
        }
      case 'cookie':
        return {
          headers: { cookie: `other=1; tenant=${bytes}` },
          meant: { cookies: { tenant: text } },
          query: { 'cookie.tenant': text },
        }
      case 'consumer':
        return { headers: { 'x-user': bytes }, meant: { consumer: text }, query: { consumer: text } }
      case 'user':
        return { headers: {}, meant: { consumer: text }, query: { consumer: text } }
    }
  }

  test('names the side that the request gets, in code and by the Admin API', async () => {
    await fc.assert(
      fc.asyncProperty(requests, async ([where, { text, bytes }]) => {
        // A name that a header brings has lost its blanks to the server, which an authentication must know.
        fc.pre(where !== 'consumer' || !BLANKS.test(text))
        user = where === 'user' ? text : null
        const { headers, meant, query } = ways(where, text, bytes)
        const at = where === 'user' ? 'consumer' : where
        const ip = '127.0.0.1'
        const real = fixed(await decided(at, headers))
        const release = made.get(at)?.release
        expect(fixed(release?.explain({ ip, ...meant }).decision as Decision)).toEqual(real)
        if (where !== 'user') {
          const read = where === 'consumer' ? { consumer: bytes } : { headers }
          expect(fixed(release?.explain({ ip, ...read }).decision as Decision)).toEqual(real)
        }
        if (where === 'cookie') return
        const known = fixed(await decided(`records/${at}`, headers))
        expect(fixed(await explainedByAdmin(at, query))).toEqual(known)
      }),
      { seed: 20_261_125, numRuns: 120 },
    )
  })

  test.each([
    ['id in capitals', UUID.toUpperCase(), UUID],
    ['id', UUID, UUID],
    ['username', 'zoe', UUID],
  ])('knows a consumer of the registry by its %s', async (_by, name, id) => {
    user = name
    const { bucket, hashedBy } = await decided('records/consumer', {})
    const release = made.get('records/consumer')?.release
    expect([bucket, hashedBy]).toEqual([release?.explain({ consumer: id }).decision.bucket, 'consumer'])
    expect((await explainedByAdmin('consumer', { consumer: name })).bucket).toBe(bucket)
  })
})
