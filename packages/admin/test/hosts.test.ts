import { once } from 'node:events'
import { connect } from 'node:http2'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type Registry, createRegistry, memoryStore } from '@canary-release/core/registry'
import { contracted, listOf, recordOf, send } from './client.js'
import { HOSTS, onHttp2 } from './hosts.js'

const token = 'a-token-that-is-long-enough'
const right = { authorization: `Bearer ${token}` }
const SILENT = { info() {}, warn() {}, error() {} }

async function openRegistry(): Promise<Registry> {
  return createRegistry({ store: memoryStore(), logger: SILENT })
}

const globals = [globalThis.Request, globalThis.Response, globalThis.Headers, globalThis.fetch]

for (const host of HOSTS) {
  describe(`in ${host.name}`, () => {
    const opened = async () => {
      const registry = await openRegistry()
      const { url, close } = await host.open({ registry, token, logger: SILENT })
      const app: AsyncDisposable & { readonly url: string; readonly registry: Registry } = {
        url,
        registry,
        async [Symbol.asyncDispose]() {
          await close()
          await registry.close()
        },
      }
      return app
    }

    test('records are made, changed, listed and deleted by forms and JSON', async () => {
      await using app = await opened()
      const call = await contracted(app.url, '/admin', right)
      expect(await call('POST', '/services/', { form: ['name=orders', 'url=http://orders-v1:3000'] })).toMatchObject({
        status: 201,
        body: { host: 'orders-v1' },
      })
      // Where no parser of the application stands before it, curl's -F works as well.
      const parts = new FormData()
      parts.append('username', 'alice')
      parts.append('tags[]', 'a')
      const multipart = new Response(parts)
      const sent = {
        text: Buffer.from(await multipart.arrayBuffer()),
        headers: { 'content-type': multipart.headers.get('content-type') ?? '' },
      }
      if (!(host.parses && host.name.includes('Fastify'))) {
        expect(await call('POST', '/consumers', sent)).toMatchObject({
          status: 201,
          body: { username: 'alice', tags: ['a'] },
        })
      }
      const form = [
        'name=canary',
        'config.percentage=10',
        'config.upstream_host=v2',
        'config.groups[]=a',
        'config.groups[]=b',
      ]
      const made = await call('POST', '/services/orders/plugins', { form })
      expect(made).toMatchObject({ status: 201, body: { config: { percentage: 10, groups: ['a', 'b'] } } })
      const { id } = recordOf(made)
      const numbered = [
        'config.groups[1]=x',
        'config.groups[2]=y',
        'enabled=false',
        'instance_name=7',
        'config.percentage=',
      ]
      expect(await call('PATCH', `/plugins/${id}`, { form: numbered })).toMatchObject({
        status: 200,
        body: {
          config: { groups: ['x', 'y'], upstream_host: 'v2', percentage: null },
          enabled: false,
          instance_name: '7',
        },
      })
      const json = { config: { percentage: 20 }, enabled: true }
      const changed = await call('PATCH', `/plugins/${id}/`, {
        json,
        headers: { 'if-match': (await call('GET', `/plugins/${id}`)).headers.etag ?? '' },
      })
      expect(changed).toMatchObject({
        status: 200,
        body: { config: { percentage: 20, groups: ['x', 'y'] }, enabled: true },
      })
      expect(await call('POST', `/canaries/${id}/rollback`)).toMatchObject({
        status: 200,
        body: { state: 'rolled-back' },
      })
      expect(listOf(await call('GET', '/plugins?size=5')).data).toMatchObject([{ id }])
      expect(await call('DELETE', `/plugins/${id}`)).toMatchObject({ status: 204 })
      expect(await call('GET', '')).toMatchObject({ status: 200, body: { tagline: 'Welcome to canary-release' } })
    })

    test('`next` leads on from page to page, filters included', async () => {
      await using app = await opened()
      await app.registry.change('test', (draft) => {
        for (let i = 0; i < 7; i += 1)
          draft.create('services', { name: `s${i}`, host: 'h', tags: [i < 5 ? 'a b' : 'c'] })
      })
      const seen: unknown[] = []
      const pages: string[] = []
      for (let next: string | null = '/admin/services/?size=2&tags=a%20b'; next !== null;) {
        pages.push(next)
        const page = listOf(await send(app.url, 'GET', next, { headers: right }))
        seen.push(...page.data.map(({ name }) => name))
        next = page.next
      }
      expect(seen.toSorted()).toEqual(['s0', 's1', 's2', 's3', 's4'])
      expect(pages.slice(1)).toEqual(
        pages.slice(1).map(() => expect.stringMatching(/^\/admin\/services\?size=2&tags=a\+b&offset=/)),
      )
      expect(pages).toHaveLength(3)
      const tags = await send(app.url, 'GET', '/admin/tags?size=6', { headers: right })
      const rest = await send(app.url, 'GET', z.object({ next: z.string() }).parse(tags.body).next, { headers: right })
      expect(rest).toMatchObject({ status: 200, body: { data: [{ tag: expect.any(String) }], next: null } })
    })

    test('errors have the same bodies', async () => {
      await using app = await opened()
      const call = await contracted(app.url, '/admin', right)
      expect((await call('GET', '/nothing')).body).toEqual({ message: 'Not found' })
      expect((await call('PUT', '/services')).body).toEqual({ message: 'Method not allowed' })
      expect(await call('POST', '/plugins', { form: ['name=canary', '__proto__.x=1'] })).toMatchObject({
        status: 400,
        body: { code: 2 },
      })
      const text = '{"name":"canary","config":{"upstream_port":1,"x":{"__proto__":1}}}'
      const headers = { 'content-type': 'application/json' }
      // The parsers of Koa and Fastify answer such a body themselves.
      if (!host.parses || host.name.startsWith('Express')) {
        expect(await call('POST', '/plugins', { text, headers })).toMatchObject({ status: 400, body: { code: 2 } })
      }
      expect(await call('POST', '/plugins')).toMatchObject({
        status: 400,
        body: { message: expect.stringContaining('name: required') },
      })
      if (host.parses) return
      for (const [body, type, status] of [
        ['{', 'application/json', 400],
        ['a', 'text/plain', 415],
        ['', 'application/json', 400],
      ] as const) {
        expect(await call('POST', '/plugins', { text: body, headers: { 'content-type': type } })).toMatchObject({
          status,
        })
      }
    })

    test('strangers, foreign pages and bodies without end are turned away, and the own page is untouched', async () => {
      await using app = await opened()
      const path = '/admin/services'
      const json = { host: 'h' }
      expect(await send(app.url, 'POST', path, { json })).toMatchObject({
        status: 401,
        body: { message: 'Unauthorized' },
      })
      const wrong = { authorization: `Bearer ${token.replace('a-token', 'a-tokem')}` }
      expect(await send(app.url, 'POST', path, { json, headers: wrong })).toMatchObject({ status: 401 })
      for (const headers of [
        { host: 'evil.example' },
        { origin: 'http://evil.example' },
        { 'sec-fetch-site': 'cross-site' },
      ]) {
        expect(
          await send(app.url, 'POST', path, { form: ['host=h'], headers: { ...right, ...headers } }),
        ).toMatchObject({ status: 403 })
      }
      const large = { ...json, tags: ['x'.repeat(2 * 1024 * 1024)] }
      expect(await send(app.url, 'POST', path, { json: large, headers: right })).toMatchObject({
        status: 413,
        body: { message: 'Request body too large' },
      })
      expect(app.registry.version).toBe(0)
      expect(await send(app.url, 'POST', path, { json, headers: right })).toMatchObject({ status: 201 })
      expect(await send(app.url, 'POST', path, { json, headers: { 'kong-admin-token': token } })).toMatchObject({
        status: 201,
      })
      expect(await (await fetch(app.url)).text()).toBe('own page')
      expect([globalThis.Request, globalThis.Response, globalThis.Headers, globalThis.fetch]).toEqual(globals)
      expect(globalThis.Request).toBe(globals[0])
    })
  })
}

describe('in HTTP/2', () => {
  test('requests are answered, and judged by their authority', async () => {
    const registry = await openRegistry()
    const { url, close } = await onHttp2({ registry, token, logger: SILENT })
    const session = connect(url)
    const ask = async (headers: Record<string, string>, body = '') => {
      const stream = session.request({ ...right, ...headers })
      if (body !== '') stream.end(body)
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      const [head] = await once(stream, 'response')
      await once(stream, 'end')
      return [head[':status'], JSON.parse(Buffer.concat(chunks).toString())]
    }
    try {
      const type = { 'content-type': 'application/x-www-form-urlencoded' }
      expect(await ask({ ':method': 'POST', ':path': '/services', ...type }, 'host=h&port=81')).toMatchObject([
        201,
        { port: 81 },
      ])
      expect(await ask({ ':path': '/services' })).toMatchObject([200, { next: null }])
      expect(await ask({ ':path': '/services', authorization: '' })).toMatchObject([401, { message: 'Unauthorized' }])
      expect(await ask({ ':path': '/services', ':authority': 'evil.example' })).toMatchObject([403, {}])
    } finally {
      session.close()
      await close()
      await registry.close()
    }
  })
})

describe('a body that the application has read and kept', () => {
  test('is a 500 that the log explains', async () => {
    const logged: string[] = []
    const registry = await openRegistry()
    const [host] = HOSTS
    const { url, close } = await (host ?? expect.fail()).open({
      // Whatever runs first and reads the body: here it is the authentication.
      authenticate: async (request) => {
        for await (const _ of request) continue
        return 'me'
      },
      registry,
      logger: { ...SILENT, error: (message) => void logged.push(message) },
    })
    try {
      const { status, body } = await send(url, 'POST', '/admin/services', { json: { host: 'h' } })
      expect([status, body]).toEqual([500, { message: 'An unexpected error occurred' }])
      expect(logged.join()).toContain('mount it before body parsers, or leave req.body or req.rawBody')
      expect(await send(url, 'DELETE', '/admin/services/x')).toMatchObject({ status: 204 })
    } finally {
      await close()
      await registry.close()
    }
  })

  for (const [what, left, refusal] of [
    [
      'nests without end',
      { body: JSON.parse(`${'{"a":'.repeat(10)}1${'}'.repeat(10)}`) },
      [400, 'Cannot parse form body'],
    ],
    ['is no record', { body: ['host=h'] }, [400, 'Cannot parse form body']],
    ['has more than 1 MB', { rawBody: Buffer.alloc(1024 * 1024 + 1) }, [413, 'Request body too large']],
  ] as const) {
    test(`is refused where what was made of it ${what}`, async () => {
      const registry = await openRegistry()
      const { url, close } = await (HOSTS[0] ?? expect.fail()).open({
        authenticate: async (request) => {
          for await (const _ of request) continue
          Object.assign(request, left)
          return 'me'
        },
        registry,
        logger: SILENT,
      })
      try {
        const { status, body } = await send(url, 'POST', '/admin/services', { form: ['host=h'] })
        expect([status, body]).toEqual([refusal[0], { message: refusal[1] }])
        expect(registry.version).toBe(0)
      } finally {
        await close()
        await registry.close()
      }
    })
  }
})
