import { EventEmitter, once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { createProxy } from '../../src/proxy/proxy.js'
import { ask, gateway, httpUpstream, httpUpstreamOn, rawUpstream, testRelease, urlUpstream } from './harness.js'

/** A port where nobody listens. */
async function deadPort(): Promise<number> {
  const upstream = await rawUpstream(() => {})
  await upstream[Symbol.asyncDispose]()
  return upstream.port
}

const echo = (name: string) =>
  httpUpstream((request, response) => {
    void request.toArray().then((parts) => response.end(`${name}:${Buffer.concat(parts)}`))
  })

describe('the fallback', () => {
  test('serves from A what B could not be connected to, bodies included, and counts it as both', async () => {
    await using a = await echo('A')
    const release = testRelease({ A: urlUpstream('A', a.port), B: urlUpstream('B', await deadPort()), fallback: true })
    await using front = await gateway(release)
    const answer = await ask(front.port, '/', { method: 'POST', body: 'hello' })
    expect(answer).toMatchObject({ status: 200, body: 'A:hello' })
    expect(front.decisions).toMatchObject([{ upstream: 'A', reason: 'fallback' }])
    expect(release.outcomes).toMatchObject([
      { decision: { upstream: 'B', reason: 'bucket' }, status: null, error: { code: 'ERR_CANARY_UPSTREAM_CONNECT' } },
      { decision: { upstream: 'A', reason: 'fallback' }, status: 200, error: null },
    ])
  })

  test('is told to A in the decision header', async () => {
    await using a = await httpUpstream((request, response) => void response.end(request.headers['x-side']))
    const release = testRelease({
      A: urlUpstream('A', a.port),
      B: urlUpstream('B', await deadPort()),
      fallback: true,
      proxy: { decisionHeader: 'x-side' },
    })
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ body: 'A' })
  })

  test('serves a GET that B broke before its head, but no POST, nor a GET with a body', async () => {
    await using a = await echo('A')
    await using b = await rawUpstream((socket) => void socket.once('data', () => socket.destroy()))
    const release = testRelease({ A: urlUpstream('A', a.port), B: urlUpstream('B', b.port), fallback: true })
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ status: 200, body: 'A:' })
    expect(await ask(front.port, '/', { method: 'POST', body: 'x' })).toMatchObject({ status: 502 })
    expect(await ask(front.port, '/', { method: 'POST' })).toMatchObject({ status: 502 })
    expect(await ask(front.port, '/', { headers: { 'content-length': 1 }, body: 'x' })).toMatchObject({ status: 502 })
  })

  test('does not serve what B answered, be it a 503', async () => {
    await using a = await echo('A')
    await using b = await httpUpstream((_request, response) => void response.writeHead(503).end())
    const release = testRelease({ A: urlUpstream('A', a.port), B: urlUpstream('B', b.port), fallback: true })
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ status: 503 })
  })

  test('hands over to A as a handler of the framework', async () => {
    const release = testRelease({ A: { kind: 'handler' }, B: urlUpstream('B', await deadPort()), fallback: true })
    await using front = await gateway(release, {
      call: (call) => ({
        ...call,
        toHandler: (decision) => {
          if ('end' in call.response) call.response.end(`in process: ${decision.reason}`)
        },
      }),
    })
    expect(await ask(front.port)).toMatchObject({ status: 200, body: 'in process: fallback' })
    expect(front.results).toEqual([])
  })

  test('never happens without being asked for', async () => {
    await using a = await echo('A')
    const release = testRelease({ A: urlUpstream('A', a.port), B: urlUpstream('B', await deadPort()) })
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ status: 502 })
    expect(front.decisions).toEqual([])
  })
})

describe('passive health', () => {
  test('takes B out after five connection failures in a row, and lets one request at a time try it again', async () => {
    let now = 0
    let accepts = false
    const asked = new EventEmitter()
    const port = await deadPort()
    const release = testRelease({ B: urlUpstream('B', port) })
    await using front = await gateway(release, { now: () => now })
    const message = async () => (await ask(front.port)).body.replace(/^\w+: /, '')
    for (let i = 0; i < 5; i += 1) expect(await message()).toBe('upstream B could not be connected to')
    expect(await message()).toBe('upstream B is out of service')
    now = 9_999
    expect(await message()).toBe('upstream B is out of service')
    now = 10_000
    expect(await message()).toBe('upstream B could not be connected to')
    now = 19_999
    expect(await message()).toBe('upstream B is out of service')

    // It comes back: while one request tries it, the others are still kept away.
    await using _back = await httpUpstreamOn(port, (response) => {
      if (accepts) response.end('back')
      else asked.emit('trial', response)
    })
    now = 20_000
    const trialAsked = once(asked, 'trial')
    const trial = ask(front.port)
    const [response] = await trialAsked
    expect(await message()).toBe('upstream B is out of service')
    accepts = true
    response.end('back')
    expect(await trial).toMatchObject({ body: 'back' })
    expect(await Promise.all([message(), message()])).toEqual(['back', 'back'])
  })

  test('counts connections only: errors in answers, and a success between failures, keep B in', async () => {
    await using b = await rawUpstream((socket) => void socket.once('data', () => socket.destroy()))
    await using front = await gateway(testRelease({ B: urlUpstream('B', b.port) }))
    for (let i = 0; i < 7; i += 1) {
      expect(await ask(front.port)).toMatchObject({ body: expect.stringMatching('gave no valid response') })
    }
  })

  test('forgets what it knew when B becomes another upstream', async () => {
    await using b = await echo('B')
    const release = testRelease({ B: urlUpstream('B', await deadPort()) })
    await using front = await gateway(release)
    for (let i = 0; i < 6; i += 1) await ask(front.port)
    Object.assign(release.options.upstreams, { B: urlUpstream('B', b.port) })
    expect(await ask(front.port)).toMatchObject({ body: 'B:' })
  })

  test('with the fallback asks A at once while B is out', async () => {
    await using a = await echo('A')
    const release = testRelease({ A: urlUpstream('A', a.port), B: urlUpstream('B', await deadPort()), fallback: true })
    await using front = await gateway(release)
    for (let i = 0; i < 8; i += 1) expect(await ask(front.port)).toMatchObject({ body: 'A:' })
    expect(release.outcomes.filter(({ decision }) => decision.upstream === 'B')).toHaveLength(5)
    expect(release.outcomes.filter(({ decision }) => decision.reason === 'fallback')).toHaveLength(8)
  })

  test('gives the trial to the next request where the first was not even sent', async () => {
    let now = 0
    const port = await deadPort()
    await using front = await gateway(testRelease({ B: urlUpstream('B', port) }), { now: () => now })
    for (let i = 0; i < 5; i += 1) await ask(front.port)
    now = 10_000
    await using _back = await httpUpstreamOn(port, (response) => response.end('back'))
    expect(await ask(front.port, '/../x')).toMatchObject({ status: 400 })
    expect(await ask(front.port)).toMatchObject({ body: 'back' })
  })
})

describe('active health checks', () => {
  test('take B out and bring it back, by their own path and counts', async () => {
    let status = 200
    const checks = new EventEmitter()
    const seen: string[] = []
    await using b = await httpUpstream((request, response) => {
      if (request.url !== '/healthz') return void response.end('B')
      seen.push(`${request.method} ${request.headers.host}`)
      response.writeHead(status).end()
      response.on('close', () => checks.emit('check'))
    })
    const health = { path: '/healthz', intervalMs: 5, timeoutMs: 1000, healthy: 2, unhealthy: 2 }
    const release = testRelease({ B: urlUpstream('B', b.port), health })
    await using front = await gateway(release)
    front.proxy.watch(release)
    front.proxy.watch(release)
    const until = async (body: string) => {
      for (;;) {
        await once(checks, 'check')
        if ((await ask(front.port)).body === body) return
      }
    }
    await until('B')
    status = 500
    await until('ERR_CANARY_UPSTREAM_CONNECT: upstream B is out of service')
    status = 302
    await until('B')
    expect(new Set(seen)).toEqual(new Set([`GET 127.0.0.1:${b.port}`]))
  })

  test('that no longer are asked for stop, and B is judged by its connections again', async () => {
    const checks = new EventEmitter()
    await using b = await httpUpstream((request, response) => {
      const isCheck = request.url === '/healthz'
      response.writeHead(isCheck ? 500 : 200).end()
      if (isCheck) response.on('close', () => checks.emit('check'))
    })
    const health = { path: '/healthz', intervalMs: 5, timeoutMs: 1000, healthy: 1, unhealthy: 1 }
    const release = testRelease({ B: urlUpstream('B', b.port), health })
    await using front = await gateway(release)
    front.proxy.watch(release)
    do await once(checks, 'check')
    while ((await ask(front.port)).status === 200)
    Object.assign(release.options, { health: null })
    front.proxy.watch(release)
    expect(await ask(front.port)).toMatchObject({ status: 200 })
  })

  test('that hang are bad, and end with the proxy', async () => {
    const asked = new EventEmitter()
    await using b = await rawUpstream((socket) => {
      socket.resume().on('end', () => socket.end())
      socket.on('close', () => asked.emit('closed'))
      asked.emit('check')
    })
    const health = { path: '/healthz', intervalMs: 5, timeoutMs: 10, healthy: 1, unhealthy: 1 }
    const release = testRelease({ B: urlUpstream('B', b.port), health })
    const proxy = createProxy()
    proxy.watch(release)
    await once(asked, 'check')
    await once(asked, 'closed')
    await once(asked, 'check')
    const closed = once(asked, 'closed')
    await proxy.close()
    await closed
    expect(b.sockets.size).toBe(0)
  })
})
