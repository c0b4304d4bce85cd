import { EventEmitter, once } from 'node:events'
import http2 from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { createHandler } from '../../src/entries/node.js'
import type { RequestHeadersHook } from '../../src/proxy/forwarder.js'
import { httpProxyForwarder } from '../../src/proxy/http-proxy/forwarder.js'
import { ask, gateway, httpUpstream, rawUpstream, testRelease, urlUpstream } from './harness.js'

/** A hook that waits until it is let go. */
function heldHook() {
  const events = new EventEmitter()
  let letGo: () => void = () => {}
  const onRequestHeaders: RequestHeadersHook = (headers) =>
    new Promise<void>((resolve) => {
      letGo = () => {
        headers['x-token'] = 'fetched'
        resolve()
      }
      events.emit('asked')
    })
  return { onRequestHeaders, asked: () => once(events, 'asked'), letGo: () => letGo() }
}

/** An upstream that remembers what it was asked. */
async function listeningUpstream() {
  const seen: string[] = []
  const upstream = await httpUpstream((request, response) => {
    seen.push(request.url ?? '')
    request.resume().on('end', () => response.end(`token ${request.headers['x-token']}`))
  })
  return { ...upstream, seen }
}

describe.each([
  ['undici', () => null],
  ['http-proxy', () => httpProxyForwarder()],
])('an async onRequestHeaders, through %s', (_name, forwarder) => {
  test('is waited for', async () => {
    await using upstream = await listeningUpstream()
    const hook = heldHook()
    const { onRequestHeaders } = hook
    const release = testRelease({
      B: urlUpstream('B', upstream.port),
      proxy: { onRequestHeaders, forwarder: forwarder() },
    })
    await using front = await gateway(release)
    const asked = hook.asked()
    const answer = ask(front.port, '/', { method: 'POST', body: 'x'.repeat(300_000) })
    await asked
    expect(upstream.seen).toEqual([])
    hook.letGo()
    expect(await answer).toMatchObject({ status: 200, body: 'token fetched' })
    expect(release.outcomes).toMatchObject([{ status: 200, aborted: false }])
  })

  test.each([
    ['', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    [' with its upgrade', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n'],
    [' in the middle of its body', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc'],
  ])('sends nothing for a client that left%s', async (_what, head) => {
    await using upstream = await listeningUpstream()
    const hook = heldHook()
    const { onRequestHeaders } = hook
    const release = testRelease({
      B: urlUpstream('B', upstream.port),
      proxy: { onRequestHeaders, forwarder: forwarder() },
    })
    await using front = await gateway(release)
    const asked = hook.asked()
    const client = connect(front.port, '127.0.0.1', () => client.write(head))
    await asked
    const left = front.next()
    client.resetAndDestroy()
    expect(await left).toBe(null)
    hook.letGo()
    // The next one passes the hook after the first has.
    const again = hook.asked()
    const answer = ask(front.port, '/next')
    await again
    hook.letGo()
    expect((await answer).status).toBe(200)
    expect(upstream.seen).toEqual(['/next'])
    expect(release.outcomes).toMatchObject([{ status: null, aborted: true }, { status: 200 }])
  })

  test('is not waited for when the mount closes, and what it sets then is not sent', async () => {
    await using upstream = await listeningUpstream()
    const hook = heldHook()
    const { onRequestHeaders } = hook
    const release = testRelease({
      B: urlUpstream('B', upstream.port),
      proxy: { onRequestHeaders, forwarder: forwarder() },
    })
    await using front = await gateway(release)
    const asked = hook.asked()
    const answer = ask(front.port)
    await asked
    await front.proxy.close(0)
    hook.letGo()
    expect(await answer).toMatchObject({ status: 503, body: 'ERR_CANARY_CLOSED: the canary is closed' })
    expect([upstream.seen, upstream.sockets.size]).toEqual([[], 0])
  })

  test('is given its time when the mount closes', async () => {
    await using upstream = await listeningUpstream()
    const hook = heldHook()
    const { onRequestHeaders } = hook
    const release = testRelease({
      B: urlUpstream('B', upstream.port),
      proxy: { onRequestHeaders, forwarder: forwarder() },
    })
    await using front = await gateway(release)
    const asked = hook.asked()
    const answer = ask(front.port)
    await asked
    const closed = front.proxy.close(20_000)
    hook.letGo()
    expect(await answer).toMatchObject({ status: 200, body: 'token fetched' })
    await closed
  })

  test('is asked again for A where B cannot be reached', async () => {
    const dead = await rawUpstream(() => {})
    await dead[Symbol.asyncDispose]()
    await using a = await httpUpstream((request, response) => void response.end(String(request.headers['x-side'])))
    const onRequestHeaders: RequestHeadersHook = async (headers, _request, decision) => {
      await new Promise((resolve) => setImmediate(resolve))
      headers['x-side'] = decision.upstream
    }
    const release = testRelease({
      A: urlUpstream('A', a.port),
      B: urlUpstream('B', dead.port),
      fallback: true,
      proxy: { onRequestHeaders, forwarder: forwarder() },
    })
    await using front = await gateway(release)
    expect(await ask(front.port)).toMatchObject({ status: 200, body: 'A' })
  })

  test('of a trial that is left or late makes room for the next trial', async () => {
    let now = 0
    const dead = await rawUpstream(() => {})
    await dead[Symbol.asyncDispose]()
    let hook: RequestHeadersHook = () => {}
    const events = new EventEmitter()
    const release = testRelease({
      B: urlUpstream('B', dead.port),
      proxy: {
        onRequestHeaders: (...given) => hook(...given),
        headersTimeoutMs: 100,
        forwarder: forwarder(),
      },
    })
    await using front = await gateway(release, { now: () => now })
    for (let i = 0; i < 5; i += 1) await ask(front.port)
    now = 10_000
    hook = () => new Promise(() => void events.emit('asked'))
    const asked = once(events, 'asked')
    const client = connect(front.port, '127.0.0.1', () => client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'))
    await asked
    expect((await ask(front.port)).body).toMatch('upstream B is out of service')
    const left = front.next()
    client.destroy()
    await left
    expect((await ask(front.port)).body).toBe('ERR_CANARY_HOOK: onRequestHeaders did not settle in 100 ms')
    hook = () => {}
    expect((await ask(front.port)).body).toMatch('upstream B could not be connected to')
  })
})

describe('an async onRequestHeaders behind HTTP/2', () => {
  test('sends nothing for a stream that was closed, and goes on with the others of its connection', async () => {
    await using upstream = await listeningUpstream()
    const hook = heldHook()
    const { onRequestHeaders } = hook
    const url = `http://127.0.0.1:${upstream.port}`
    const options = { name: 'test', upstreams: { A: url, B: url }, percentage: 0, proxy: { onRequestHeaders } }
    const handler = createHandler(options)
    const ended = new EventEmitter()
    handler.release?.on('outcome', ({ aborted }) => ended.emit('outcome', aborted))
    const server = http2.createServer(handler)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const asked = hook.asked()
    const left = session.request({ ':path': '/left' }).on('error', () => {})
    await asked
    const outcome = once(ended, 'outcome')
    left.close(http2.constants.NGHTTP2_CANCEL)
    expect(await outcome).toEqual([true])
    hook.letGo()
    const again = hook.asked()
    const stays = session.request({ ':path': '/stays' })
    await again
    hook.letGo()
    expect(Buffer.concat(await stays.toArray()).toString()).toBe('token fetched')
    expect(upstream.seen).toEqual(['/stays'])
    session.close()
    await handler.close(0)
    server.close()
  })
})
