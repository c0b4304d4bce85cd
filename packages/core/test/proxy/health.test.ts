import { EventEmitter, once } from 'node:events'
import http, { type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { healthAt, healthOf } from '../../src/proxy/health/health.js'
import { httpProxyForwarder } from '../../src/proxy/http-proxy/forwarder.js'
import { createProxy } from '../../src/proxy/proxy.js'
import {
  ask,
  gateway,
  httpUpstream,
  httpUpstreamOn,
  placeAt,
  rawUpstream,
  testRelease,
  urlUpstream,
} from './harness.js'

/** A port where nobody listens. */
async function closedPort(): Promise<number> {
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
    const release = testRelease({
      A: urlUpstream('A', a.port),
      B: urlUpstream('B', await closedPort()),
      fallback: true,
    })
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
      B: urlUpstream('B', await closedPort()),
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
    const A = { kind: 'handler', name: 'A', handler: null } as const
    const release = testRelease({ A, B: urlUpstream('B', await closedPort()), fallback: true })
    await using front = await gateway(release, {
      call: (call) => ({
        toHandler: () => {
          if ('end' in call.response) call.response.end(`in process: ${call.decision.reason}`)
        },
      }),
    })
    expect(await ask(front.port)).toMatchObject({ status: 200, body: 'in process: fallback' })
    expect(front.results).toEqual([])
  })

  test('never happens without being asked for', async () => {
    await using a = await echo('A')
    const release = testRelease({ A: urlUpstream('A', a.port), B: urlUpstream('B', await closedPort()) })
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ status: 502 })
    expect(front.decisions).toEqual([])
  })
})

describe('the circuit breaker of B', () => {
  test('opens after five connection failures in a row, and lets one request at a time through when half-open', async () => {
    let now = 0
    let accepts = false
    const asked = new EventEmitter()
    const port = await closedPort()
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

  test.each([
    ['undici', () => null],
    ['http-proxy', () => httpProxyForwarder()],
  ])('lets the others in at the head of the trial, through %s, however long its body takes', async (_, forwarder) => {
    let now = 0
    const port = await closedPort()
    const release = testRelease({ B: urlUpstream('B', port), proxy: { forwarder: forwarder() } })
    await using front = await gateway(release, { now: () => now })
    for (let i = 0; i < 5; i += 1) await ask(front.port)
    now = 10_000
    let first: ServerResponse | null = null
    await using _back = await httpUpstreamOn(port, (response) => {
      if (first !== null) return void response.end('back')
      first = response
      response.write('data: 1\n\n')
    })
    const trial = http.get({ port: front.port, host: '127.0.0.1', agent: false })
    const [streaming] = (await once(trial, 'response')) as [http.IncomingMessage]
    await once(streaming, 'data')
    expect(await ask(front.port)).toMatchObject({ body: 'back' })
    // That the first is cut afterwards says nothing about B any more.
    trial.on('error', () => {}).destroy()
    expect(await ask(front.port)).toMatchObject({ body: 'back' })
  })

  test.each(['an upgrade', 'an upgrade that is refused'])('lets the others in at the head of %s', async (what) => {
    let now = 0
    const port = await closedPort()
    await using front = await gateway(testRelease({ B: urlUpstream('B', port) }), { now: () => now })
    for (let i = 0; i < 5; i += 1) await ask(front.port)
    now = 10_000
    const back = http.createServer((_request, response) => void response.end('back'))
    back.on('upgrade', (_request, socket) => {
      socket.on('error', () => {})
      socket.write(
        what === 'an upgrade'
          ? 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n'
          : 'HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nno',
      )
    })
    await once(back.listen(port, '127.0.0.1'), 'listening')
    const client = connect(front.port, '127.0.0.1', () => {
      client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    })
    await once(client, 'data')
    expect(await ask(front.port)).toMatchObject({ body: 'back' })
    const closed = once(client, 'close')
    client.destroy()
    await closed
    back.closeAllConnections()
    back.close()
  })

  test('gives the trial to the next request where its client left before the head', async () => {
    let now = 0
    const port = await closedPort()
    await using front = await gateway(testRelease({ B: urlUpstream('B', port) }), { now: () => now })
    for (let i = 0; i < 5; i += 1) await ask(front.port)
    now = 10_000
    const asked = new EventEmitter()
    let silent = true
    await using _back = await httpUpstreamOn(port, (response) => {
      if (!silent) return void response.end('back')
      silent = false
      asked.emit('trial')
    })
    const trialAsked = once(asked, 'trial')
    const trial = http.get({ port: front.port, host: '127.0.0.1', agent: false }).on('error', () => {})
    await trialAsked
    expect((await ask(front.port)).body).toMatch('upstream B is out of service')
    const left = front.next()
    trial.destroy()
    await left
    expect(await ask(front.port)).toMatchObject({ body: 'back' })
  })

  test('is known for each B of a release that stands at two places', async () => {
    await using b = await echo('B')
    const down = testRelease({ B: urlUpstream('B', await closedPort()) })
    const { A, release } = down.place
    const up = { ...down, place: placeAt(A, urlUpstream('B', b.port), release) }
    await using downFront = await gateway(down)
    await using upFront = await gateway(up)
    for (let i = 0; i < 5; i += 1) {
      expect((await ask(downFront.port)).body).toMatch('could not be connected to')
      expect((await ask(upFront.port)).body).toBe('B:')
    }
    expect((await ask(downFront.port)).body).toMatch('is out of service')
    expect((await ask(upFront.port)).body).toBe('B:')
    // And for each place by its present B.
    down.place = up.place
    expect((await ask(downFront.port)).body).toBe('B:')
  })

  test('forgets Bs that are gone, but none whose circuit is open', () => {
    const release = {}
    let now = 0
    const at = (pool: string) => healthAt(release, pool, () => now)
    const [fresh, out, long] = [at('fresh'), at('out'), at('out long ago')]
    for (let i = 0; i < 5; i += 1) long.report('closed', false)
    now = 3_600_000
    for (let i = 0; i < 5; i += 1) out.report('closed', false)
    for (let i = 0; i < 500; i += 1) at(`other ${i}`)
    expect([at('fresh') === fresh, at('out long ago') === long, at('out') === out]).toEqual([false, false, true])
  })

  test('counts connections only: errors in answers, and a success between failures, keep it closed', async () => {
    await using b = await rawUpstream((socket) => void socket.once('data', () => socket.destroy()))
    await using front = await gateway(testRelease({ B: urlUpstream('B', b.port) }))
    for (let i = 0; i < 7; i += 1) {
      expect(await ask(front.port)).toMatchObject({ body: expect.stringMatching('gave no valid response') })
    }
  })

  test('forgets what it knew when B becomes another upstream', async () => {
    await using b = await echo('B')
    const release = testRelease({ B: urlUpstream('B', await closedPort()) })
    await using front = await gateway(release)
    for (let i = 0; i < 6; i += 1) await ask(front.port)
    release.place = placeAt(release.place.A, urlUpstream('B', b.port), release.place.release)
    expect(await ask(front.port)).toMatchObject({ body: 'B:' })
  })

  test('asks A at once while it is open, with the fallback', async () => {
    await using a = await echo('A')
    const release = testRelease({
      A: urlUpstream('A', a.port),
      B: urlUpstream('B', await closedPort()),
      fallback: true,
    })
    await using front = await gateway(release)
    for (let i = 0; i < 8; i += 1) expect(await ask(front.port)).toMatchObject({ body: 'A:' })
    expect(release.outcomes.filter(({ decision }) => decision.upstream === 'B')).toHaveLength(5)
    expect(release.outcomes.filter(({ decision }) => decision.reason === 'fallback')).toHaveLength(8)
  })

  test('gives the trial to the next request where the first was not even sent', async () => {
    let now = 0
    const port = await closedPort()
    await using front = await gateway(testRelease({ B: urlUpstream('B', port) }), { now: () => now })
    for (let i = 0; i < 5; i += 1) await ask(front.port)
    now = 10_000
    await using _back = await httpUpstreamOn(port, (response) => response.end('back'))
    expect(await ask(front.port, '/../x')).toMatchObject({ status: 400 })
    expect(await ask(front.port)).toMatchObject({ body: 'back' })
  })
})

describe('active health checks', () => {
  test('open the circuit and close it, by their own path and counts', async () => {
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
    front.proxy.watch(release.place, release.health)
    front.proxy.watch(release.place, release.health)
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
    front.proxy.watch(release.place, release.health)
    do await once(checks, 'check')
    while ((await ask(front.port)).status === 200)
    front.proxy.watch(release.place, null)
    expect(await ask(front.port)).toMatchObject({ status: 200 })
  })

  test('judge each B of a release that stands at two places, and a B that both have once', async () => {
    const checks = new EventEmitter()
    const counts = { good: 0, bad: 0 }
    const upstream = (name: 'good' | 'bad') =>
      httpUpstream((request, response) => {
        if (request.url !== '/healthz') return void response.end(name)
        counts[name] += 1
        response.writeHead(name === 'good' ? 200 : 500).end()
        response.on('close', () => checks.emit(name))
      })
    await using good = await upstream('good')
    await using bad = await upstream('bad')
    const health = { path: '/healthz', intervalMs: 5, timeoutMs: 1000, healthy: 1, unhealthy: 1 }
    const { release } = testRelease({ B: urlUpstream('B', 4) }).place
    const place = (a: number, b: number) => placeAt(urlUpstream('A', a), urlUpstream('B', b), release)
    const first = place(1, good.port)
    let [second, third] = [place(2, bad.port), place(3, bad.port)]
    const proxy = createProxy()
    for (let i = 0; i < 3; i += 1) for (const one of [first, second, third]) proxy.watch(one, health)
    await Promise.all([once(checks, 'good'), once(checks, 'bad')])
    await Promise.all([once(checks, 'good'), once(checks, 'bad')])
    const circuits = () => [first, second, third].map((one) => healthOf(one, () => 0).admit())
    expect(circuits()).toEqual(['closed', 'open', 'open'])
    expect(Math.max(...[good, bad].map(({ sockets }) => sockets.size))).toBeLessThanOrEqual(1)

    // The last place with the bad B gets the good one: nobody wants the bad one any more.
    second = place(2, good.port)
    third = place(3, good.port)
    proxy.watch(second, health)
    proxy.watch(third, health)
    await once(checks, 'good')
    const asked = counts.bad
    for (let i = 0; i < 3; i += 1) await once(checks, 'good')
    expect(counts.bad).toBe(asked)
    expect(circuits()).toEqual(['closed', 'closed', 'closed'])
    await proxy.close()
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
    proxy.watch(release.place, release.health)
    await once(asked, 'check')
    await once(asked, 'closed')
    await once(asked, 'check')
    const closed = once(asked, 'closed')
    await proxy.close()
    await closed
    expect(b.sockets.size).toBe(0)
  })
})
