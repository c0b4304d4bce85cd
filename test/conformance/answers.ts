import { once } from 'node:events'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import type { Duplex } from 'node:stream'
import { createRelease, currentDecision } from '@canary-release/core'
import { expect, test } from 'vitest'
import { ask, echoOf } from './client.js'
import { type Stage, always, never } from './stage.js'

/** Errors, authentication, upgrades, handlers, rewrite mode and closing. */
export function answers(stage: Stage): void {
  const { app, mounted, options, harness } = stage

  test.each([
    ['refused', 'http://127.0.0.1:9', '/', 502, 'ERR_CANARY_UPSTREAM_CONNECT'],
    ['reset', null, '/reset', 502, 'ERR_CANARY_UPSTREAM_RESPONSE'],
    ['silent', null, '/hang', 504, 'ERR_CANARY_UPSTREAM_TIMEOUT'],
    ['climbing', null, '/../x', 400, 'ERR_CANARY_REQUEST'],
    ['climbing by escapes', null, '/%2e%2e/x', 400, 'ERR_CANARY_REQUEST'],
  ] as const)(
    '%s: the framework’s own error handling answers, and names nobody',
    async (_name, B, path, status, code) => {
      const { url } = await app({
        upstreams: { A: stage.A(), B: B ?? stage.B() },
        percentage: 100,
        proxy: { headersTimeoutMs: 300 },
      })
      const answered = await ask(url, { path })
      expect([answered.status, answered.text]).toEqual([status, expect.stringMatching(new RegExp(`^${code}: `))])
      expect(answered.text).not.toMatch(/127\.0\.0\.1|ECONN|node:|\.js/)
    },
  )

  test('an authentication before it turns callers away, and no upstream hears of them', async () => {
    const authenticate = ({ authorization }: Record<string, unknown>) =>
      authorization === 'yes' ? { id: 'alice' } : null
    const { url } = await app({}, { authenticate })
    expect((await ask(url)).status).toBe(401)
    expect(stage.upstreams().flatMap(({ seen }) => seen)).toEqual([])
    expect((await ask(url, { headers: { authorization: 'yes' } })).status).toBe(200)
  })

  async function upgrade(url: string, headers: Record<string, string> = {}): Promise<[IncomingMessage, Duplex | null]> {
    const request = httpRequest(url, {
      agent: false,
      headers: { connection: 'Upgrade', upgrade: 'echo', ...headers },
    }).end()
    return Promise.race([
      once(request, 'upgrade').then(([response, socket]) => [response, socket] as [IncomingMessage, Duplex]),
      once(request, 'response').then(([response]) => [response.resume(), null] as [IncomingMessage, null]),
    ])
  }

  test('an upgrade is tunnelled to the side that the page comes from', async () => {
    const { url } = await mounted({ mounts: [{ prefix: '/chat', source: options() }] })
    for (const [headers, name] of [
      [always, 'B'],
      [never, 'A'],
    ] as const) {
      expect((await echoOf(`${url}/chat/page`, { headers })).name).toBe(name)
      const [response, socket] = await upgrade(`${url}/chat/socket`, headers)
      expect([response.statusCode, response.headers['x-name']]).toEqual([101, name])
      socket?.write('ping')
      expect(String((await once(socket as Duplex, 'data'))[0])).toBe('ping')
      socket?.destroy()
    }
  })

  test('an upgrade passes the same authentication as the page, and is decided for the same user', async () => {
    const authenticate = ({ authorization }: Record<string, unknown>) =>
      typeof authorization === 'string' ? { id: authorization } : null
    const { url } = await app({ override: {} }, { authenticate })
    const [refused, none] = await upgrade(url)
    expect([refused.statusCode, none]).toEqual([401, null])
    for (const user of ['alice', 'bob', 'carol', 'dave']) {
      const [response, socket] = await upgrade(url, { authorization: user })
      const page = await echoOf(url, { headers: { authorization: user } })
      expect(response.headers['x-name']).toBe(page.name)
      socket?.destroy()
    }
  })

  test('an upgrade that the upstream refuses gets its answer, one that nobody takes the application’s', async () => {
    const { url } = await mounted({ mounts: [{ prefix: '/chat', source: options() }] })
    expect((await upgrade(`${url}/chat/refuse`))[0].statusCode).toBe(403)
    expect((await upgrade(`${url}/elsewhere`))[0].statusCode).toBe(404)
  })

  test('handlers of the application may be upstreams, and know the decision', async () => {
    const handlers = {
      A: harness.handler(() => `A ${currentDecision()?.upstream}`),
      B: harness.handler(async () => {
        await new Promise((resolve) => setImmediate(resolve))
        return `B ${currentDecision()?.upstream}`
      }),
    }
    const { url } = await app({ upstreams: handlers })
    expect((await ask(url, { headers: never })).text).toBe('A A')
    expect((await ask(url, { headers: always })).text).toBe('B B')
    expect(currentDecision()).toBeUndefined()
  })

  test('a handler that throws ends in the framework’s error handling', async () => {
    const handler = harness.handler(() => {
      throw new Error('broken')
    })
    const atOnce = () => {
      throw new Error('broken')
    }
    for (const B of [handler, atOnce]) {
      const { url } = await app({ upstreams: { A: stage.A(), B } })
      expect((await ask(url, { headers: always })).status).toBe(500)
      // The same where it is asked after another upstream failed.
      const fallback = await app({ upstreams: { A: B, B: 'http://127.0.0.1:9' }, upstreamFallback: true })
      expect((await ask(fallback.url, { headers: always })).status).toBe(500)
    }
  })

  test('the fallback may be a handler', async () => {
    const A = harness.handler(() => `A serves by ${currentDecision()?.reason}`)
    const { url } = await app({ upstreams: { A, B: 'http://127.0.0.1:9' }, upstreamFallback: true })
    expect((await ask(url, { headers: always })).text).toMatch(/^A serves by /)
  })

  test('an application may count a request as failed although its status is good', async () => {
    const release = createRelease(options({ upstreams: { A: stage.A(), B: harness.failing('wrong total') } }) as never)
    const { url } = await app(release)
    expect((await ask(url, { headers: always })).text).toBe('failed softly')
    expect(release.status().counts.B).toEqual({ requests: 1, failures: 1 })
  })

  test('rewrite mode says where to, and rewrites the path only where it differs', async () => {
    const upstreams = { A: stage.A(), B: `${stage.B()}/base` }
    const { url } = await app({ mode: 'rewrite', upstreams }, { rewrites: true })
    const A = JSON.parse((await ask(`${url}/x?q=1`, { headers: never })).text)
    const B = JSON.parse((await ask(`${url}/x?q=1`, { headers: always })).text)
    expect([A.url, A.decision.origin, A.decision.reason]).toEqual(['/x?q=1', stage.A(), 'override'])
    expect([B.url, B.decision.origin, B.decision.upstream]).toEqual(['/base/x?q=1', stage.B(), 'B'])
  })

  test('counts in rewrite mode how the application answered', async () => {
    const release = createRelease(options({ mode: 'rewrite' }) as never)
    const statuses: unknown[] = []
    release.on('outcome', ({ status }) => statuses.push(status))
    const { url } = await app(release, { rewrites: true })
    await ask(url)
    await expect.poll(() => statuses).toEqual([200])
  })

  test('counts in rewrite mode a client as gone that left before the decision', async () => {
    const release = createRelease(options({ mode: 'rewrite' }) as never)
    const outcome = new Promise((resolve) => release.on('outcome', resolve))
    const client = new AbortController()
    const authenticate = async (_headers: object, request: IncomingMessage) => {
      client.abort()
      await once(request.socket, 'close')
      return { id: 1 }
    }
    const { url } = await app(release, { rewrites: true, authenticate })
    await expect(fetch(url, { signal: client.signal })).rejects.toThrow('aborted')
    expect(await outcome).toMatchObject({ status: null, aborted: true })
  })

  test('a registry that does not know the service: 503', async () => {
    const { createRegistry, memoryStore } = await import('@canary-release/core/registry')
    const registry = await createRegistry({ store: memoryStore(), logger: { info() {}, warn() {}, error() {} } })
    const { url } = await mounted({ mounts: [{ source: { registry, service: 'orders' } }] })
    expect((await ask(url)).text).toMatch(/^ERR_CANARY_SERVICE: /)
    await registry.change('test', (draft) => draft.create('services', { name: 'orders', url: stage.A() }))
    expect((await echoOf(url)).name).toBe('A')
    await registry.close()
  })
}
