import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { createRelease } from '@canary-release/core'
import { expect, test } from 'vitest'
import { ask, echoOf } from './client.js'
import { watchHeldMemory } from './held-memory.js'
import { type Stage, always, never } from './stage.js'

const MEGABYTE = Buffer.alloc(1_048_576, 'x')

export function forwarding(stage: Stage): void {
  const { app, mounted, options } = stage

  test.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'])(
    '%s arrives as it was sent',
    async (method) => {
      const { url } = await app({ percentage: 100 })
      const body = method === 'GET' || method === 'OPTIONS' ? '' : 'hello'
      const seen = await echoOf(`${url}/a/b?x=1&y=%20`, { method, body, headers: { 'content-length': body.length } })
      expect(seen).toMatchObject({ name: 'B', method, url: '/a/b?x=1&y=%20', body })
    },
  )

  test('a prefix is stripped, and the path otherwise left as it is', async () => {
    const { url } = await mounted({ mounts: [{ prefix: '/orders', source: options() }] })
    for (const path of ['/7', '/7/', '/a//b', '/a%2Fb', '/%7Euser', '/a;b=c', '/?q', '/']) {
      expect((await echoOf(`${url}/orders${path}`)).url).toBe(path)
    }
    expect((await echoOf(`${url}/orders`)).url).toBe('/')
  })

  test('two mounts at different prefixes', async () => {
    const { url } = await mounted({
      mounts: [
        { prefix: '/orders', source: options({ name: 'orders', percentage: 0 }) },
        { prefix: '/carts', source: options({ name: 'carts', percentage: 100 }) },
      ],
    })
    expect([(await echoOf(`${url}/orders/1`)).name, (await echoOf(`${url}/carts/1`)).name]).toEqual(['A', 'B'])
    expect((await ask(`${url}/other`)).status).toBe(404)
  })

  test('the base of an upstream goes before the path, and uri replaces it', async () => {
    const { url } = await app({ upstreams: { A: `${stage.A()}/base/`, B: { uri: '/v2' } } })
    expect((await echoOf(`${url}/x?q=1`, { headers: never })).url).toBe('/base/x?q=1')
    expect((await echoOf(`${url}/x?q=1`, { headers: always })).url).toBe('/v2?q=1')
  })

  test('headers arrive in order with their duplicates, without those of the connection', async () => {
    const { url } = await app({ percentage: 100 })
    const { rawHeaders } = await echoOf(url, {
      headers: {
        'x-one': ['1', '2'],
        connection: 'x-hop',
        'x-hop': 'dropped',
        te: 'trailers',
        'x-two': 'kept',
        cookie: 'a=1',
      },
    })
    const flat = rawHeaders.map((text) => text.toLowerCase()).join('|')
    expect(flat).toContain('x-one|1|x-one|2')
    expect(flat).toContain('x-two|kept')
    expect(flat).toContain('cookie|a=1')
    expect(flat).not.toMatch(/x-hop|te\|trailers/)
  })

  test('the upstream is told who asked whom, and forged claims are replaced', async () => {
    const { url } = await app({ percentage: 100 })
    const { host } = new URL(url)
    const forged = {
      'x-forwarded-for': '6.6.6.6',
      'x-forwarded-host': 'evil',
      forwarded: 'for=6.6.6.6',
      'x-canary-upstream': 'A',
    }
    const { headers } = await echoOf(url, { headers: forged })
    expect(headers).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': host,
    })
    expect(headers['host']).toBe(new URL(stage.B()).host)
    expect(headers['forwarded']).toBeUndefined()
    expect(headers['x-canary-upstream']).toBeUndefined()
  })

  test('a trusted proxy in front is appended to', async () => {
    const { url } = await app({ percentage: 100, trustedIps: ['loopback'] })
    const { headers } = await echoOf(url, {
      headers: { 'x-forwarded-for': '198.51.100.7', 'x-forwarded-proto': 'https' },
    })
    expect(headers['x-forwarded-for']).toMatch(/^198\.51\.100\.7, ?127\.0\.0\.1$/)
    expect(headers['x-forwarded-proto']).toMatch(/^https/)
  })

  test('preserveHost, decisionHeader and the hooks for headers', async () => {
    const { url } = await app({
      percentage: 100,
      proxy: {
        preserveHost: true,
        decisionHeader: 'X-Decision',
        onRequestHeaders: (headers: Record<string, unknown>) => void (headers['x-added'] = 'by a hook'),
        onResponseHeaders: (headers: Record<string, unknown>) => void delete headers['x-name'],
      },
    })
    const { text, headers } = await ask(url, { headers: { 'x-decision': 'forged' } })
    expect(JSON.parse(text).headers).toMatchObject({
      host: new URL(url).host,
      'x-decision': 'B',
      'x-added': 'by a hook',
    })
    expect(headers['x-name']).toBeUndefined()
  })

  test('cookies and Vary are joined with those of middlewares, other headers are the upstream’s', async () => {
    const headers = { 'set-cookie': ['session=1'], vary: 'origin', 'x-both': 'middleware', 'x-own': 'middleware' }
    const { url } = await app({}, { headers })
    const answered = await ask(`${url}/cookies`)
    expect(new Set(answered.headers['set-cookie'])).toEqual(new Set(['session=1', 'a=1', 'b=2']))
    expect(answered.headers['x-both']).toBe('upstream')
    expect(answered.headers['x-own']).toBe('middleware')
    expect(new Set(answered.headers.vary?.split(', '))).toEqual(new Set(['origin', 'accept']))
  })

  test.each([200, 201, 204, 304, 400, 404, 500, 503])('status %i is passed on', async (status) => {
    const { url } = await app({})
    const answered = await ask(`${url}/status/${status}`)
    expect([answered.status, answered.headers['x-status'], answered.whole]).toEqual([status, 'as asked', true])
    expect(answered.text).toBe(status === 204 || status === 304 ? '' : 'status')
  })

  test('HEAD has the headers of a GET, and no body', async () => {
    const { url } = await app({})
    const { status, headers, text } = await ask(`${url}/x`, { method: 'HEAD' })
    expect([status, headers['content-type'], text]).toEqual([200, 'application/json', ''])
  })

  test('trailers and early hints are passed on', async () => {
    const { url } = await app({})
    expect((await ask(`${url}/trailers`)).trailers).toEqual({ 'x-sum': '42' })
    const hinted = await ask(`${url}/hints`)
    expect([hinted.interim, hinted.text]).toEqual([[103], 'hinted'])
  })

  test('events arrive one by one', async () => {
    const { url } = await app({ percentage: 100 })
    const request = httpRequest(`${url}/events`, { agent: false }).end()
    const [response] = await once(request, 'response')
    response.setEncoding('utf8')
    const events = response[Symbol.asyncIterator]()
    expect((await events.next()).value).toBe('data: 1\n\n')
    await ask(`${url}/next-event`)
    expect((await events.next()).value).toBe('data: 2\n\n')
  })

  test('100 MB down and 100 MB up go through without being kept', { timeout: 60_000 }, async () => {
    const { url } = await app({ percentage: 100 })
    const memory = watchHeldMemory()
    const down = httpRequest(`${url}/megabytes/100`, { agent: false }).end()
    const [response] = await once(down, 'response')
    let bytes = 0
    for await (const chunk of response) {
      bytes += (chunk as Buffer).length
      memory.passed((chunk as Buffer).length)
    }
    expect(bytes).toBe(100 * MEGABYTE.length)
    const up = httpRequest(`${url}/upload`, { method: 'POST', agent: false })
    const hash = createHash('sha1')
    const answered = once(up, 'response')
    for (let i = 0; i < 100; i += 1) {
      hash.update(MEGABYTE)
      if (!up.write(MEGABYTE)) await once(up, 'drain')
      memory.passed(MEGABYTE.length)
    }
    up.end()
    let text = ''
    for await (const chunk of (await answered)[0]) text += String(chunk)
    expect(JSON.parse(text)).toMatchObject({ length: 100 * MEGABYTE.length, sha1: hash.digest('hex') })
    // Kept whole, it would be 100 in the end.
    expect(memory.most()).toBeLessThan(40 * MEGABYTE.length)
  })

  test('an upload that waits for 100-continue gets it here', async () => {
    const { url } = await app({ percentage: 100 })
    const request = httpRequest(url, {
      method: 'POST',
      agent: false,
      headers: { expect: '100-continue', 'content-length': 5 },
    })
    request.flushHeaders()
    await once(request, 'continue')
    const answered = once(request, 'response')
    request.end('hello')
    let text = ''
    for await (const chunk of (await answered)[0]) text += String(chunk)
    expect(JSON.parse(text)).toMatchObject({ body: 'hello' })
    expect(JSON.parse(text).headers.expect).toBeUndefined()
  })

  test('a client that leaves is told to the upstream', async () => {
    const { url } = await app({ percentage: 100 })
    const [, B] = stage.upstreams()
    const gone = once(B.server, 'request').then(([, response]) => once(response, 'close'))
    const request = httpRequest(`${url}/hang`, { agent: false }).end()
    request.on('error', () => {})
    await expect.poll(() => B.seen).toContain('GET /hang')
    request.destroy()
    await gone
  })

  test('an upstream that dies midway never makes a response that looks whole', async () => {
    const { url } = await app({})
    const { status, whole } = await ask(`${url}/die`)
    expect([status, whole]).toEqual([200, false])
  })

  test('B that cannot be reached: A serves, and the decision says so', async () => {
    const release = createRelease(
      options({
        upstreams: { A: stage.A(), B: 'http://127.0.0.1:9' },
        percentage: 100,
        upstreamFallback: true,
      }) as never,
    )
    const { url } = await app(release, { headers: {} })
    for (let i = 0; i < 7; i += 1) expect((await echoOf(url)).name).toBe('A')
    const { counts } = release.status()
    expect([counts.fallback, counts.B.failures, counts.A.failures]).toEqual([7, 5, 0])
  })

  test('B that breaks before its head: a GET goes to A, a POST is not repeated', async () => {
    const { url } = await app({ percentage: 100, upstreamFallback: true, upstreams: { A: stage.B(), B: stage.A() } })
    const [A] = stage.upstreams()
    expect((await ask(`${url}/reset`, { method: 'POST', body: 'x' })).status).toBe(502)
    expect(A.seen).toEqual(['POST /reset'])
  })
}
