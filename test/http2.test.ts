import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type ClientHttp2Stream, connect as connectHttp2, createSecureServer } from 'node:http2'
import { Agent, request as httpsRequest } from 'node:https'
import type { AddressInfo, Server as NetServer } from 'node:net'
import { createHandler } from '@canary-release/core/node'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary } from '@canary-release/koa'
import Fastify from 'fastify'
import Koa from 'koa'
import { afterEach, describe, expect, test } from 'vitest'
import { ask } from './conformance/client.js'
import { type Upstream, startUpstream } from './conformance/upstream.js'

// Servers that speak HTTP/2 over TLS and HTTP/1.1 to those who do not; Express has no HTTP/2.

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

const pem = (name: string) => readFileSync(new URL(`../packages/core/test/tls/${name}.pem`, import.meta.url))
const tls = () => ({ cert: pem('server'), key: pem('server-key'), allowHTTP1: true })
const trust = () => ({ ca: pem('ca'), servername: 'upstream.test' })

const options = ({ url }: Upstream) =>
  ({
    name: 'x',
    upstreams: { A: url, B: url },
    percentage: 50,
    hash: { cookie: 'canary_id' },
    logger: { info() {}, warn() {}, error() {} },
  }) as const

async function listen(server: NetServer, close: () => Promise<unknown>): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  opened.push(async () => {
    await close()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const SERVERS: Record<string, (upstream: Upstream) => Promise<number>> = {
  async Koa(upstream) {
    const app = new Koa()
    app.silent = true
    const middleware = koaCanary(options(upstream))
    app.use(middleware)
    return listen(createSecureServer(tls(), app.callback()), () => middleware.close(0))
  },
  async Fastify(upstream) {
    const app = Fastify({ http2: true, https: tls() })
    await app.register(fastifyCanary, { ...options(upstream), graceMs: 0 } as never)
    await app.listen({ port: 0, host: '127.0.0.1' })
    opened.push(() => app.close())
    return (app.server.address() as AddressInfo).port
  },
  async 'node:http2'(upstream) {
    const handler = createHandler(options(upstream))
    return listen(createSecureServer(tls(), handler), () => handler.close(0))
  },
}

describe.each(Object.entries(SERVERS))('HTTP/2 on %s', (_name, start) => {
  async function stage() {
    const upstream = await startUpstream('A')
    opened.push(() => upstream.close())
    const port = await start(upstream)
    const session = connectHttp2(`https://127.0.0.1:${port}`, trust())
    opened.push(() => session.close())
    return { upstream, port, session }
  }

  async function textOf(stream: ClientHttp2Stream): Promise<string> {
    let text = ''
    for await (const chunk of stream) text += String(chunk)
    return text
  }

  test('a POST of a megabyte arrives whole, without pseudo headers', async () => {
    const { session } = await stage()
    const body = Buffer.alloc(1_048_576, 'canary ')
    const stream = session.request({ ':method': 'POST', ':path': '/upload?x=1', 'content-type': 'text/plain' })
    stream.end(body)
    const [head] = await once(stream, 'response')
    const seen = JSON.parse(await textOf(stream))
    expect([head[':status'], seen.method, seen.url, seen.length]).toEqual([200, 'POST', '/upload?x=1', body.length])
    expect(seen.sha1).toBe(createHash('sha1').update(body).digest('hex'))
    expect(seen.rawHeaders.filter((name: string) => name.startsWith(':'))).toEqual([])
    expect(seen.headers['x-forwarded-proto']).toBe('https')
    expect(String(head['set-cookie'])).toMatch(/^canary_id=.*; Secure/)
  })

  test('an authority that is no host is refused, and a host is sent on', async () => {
    const { session, upstream } = await stage()
    for (const authority of ['a:99999', '[::1', 'a%2fb', '1.2.3.999']) {
      const stream = session.request({ ':path': '/x', ':authority': authority })
      const [head] = await once(stream, 'response')
      stream.resume()
      expect([authority, head[':status']]).toEqual([authority, 400])
    }
    expect(upstream.seen).toEqual([])
    for (const [authority, port] of [
      ['shop_1.example', '443'],
      ['[::1]:8443', '8443'],
    ]) {
      const { headers } = JSON.parse(await textOf(session.request({ ':path': '/x', ':authority': authority })))
      expect(headers).toMatchObject({ 'x-forwarded-host': authority, 'x-forwarded-port': port })
    }
  })

  test('ten megabytes come down whole', async () => {
    const { session } = await stage()
    const stream = session.request({ ':path': '/megabytes/10' })
    let bytes = 0
    for await (const chunk of stream) bytes += (chunk as Buffer).length
    expect(bytes).toBe(10 * 1_048_576)
  })

  test('an event comes when it is sent, not at the end', async () => {
    const { session, upstream } = await stage()
    const stream = session.request({ ':path': '/events' }).setEncoding('utf8')
    expect((await once(stream, 'data'))[0]).toBe('data: 1\n\n')
    await ask(`${upstream.url}/next-event`)
    expect((await once(stream, 'data'))[0]).toBe('data: 2\n\n')
    await once(stream, 'end')
  })

  test('many streams of one session at once are kept apart', async () => {
    const { session } = await stage()
    const paths = Array.from({ length: 50 }, (_, i) => `/x/${i}`)
    const urls = await Promise.all(
      paths.map(async (path) => JSON.parse(await textOf(session.request({ ':path': path }))).url),
    )
    expect(urls).toEqual(paths)
  })

  test('a client that cancels its stream is told to the upstream', async () => {
    const { session, upstream } = await stage()
    const gone = once(upstream.server, 'request').then(([, response]) => once(response, 'close'))
    const stream = session.request({ ':path': '/hang' })
    stream.on('error', () => {})
    await expect.poll(() => upstream.seen).toContain('GET /hang')
    stream.close(8)
    await gone
  })

  test('a client of HTTP/1.1 is served on the same port', async () => {
    const { port } = await stage()
    const agent = new Agent({ ...trust(), ALPNProtocols: ['http/1.1'] })
    const request = httpsRequest({ host: '127.0.0.1', port, agent, method: 'POST', path: '/one' }).end('hello')
    const [response] = await once(request, 'response')
    let text = ''
    for await (const chunk of response) text += String(chunk)
    agent.destroy()
    expect(JSON.parse(text)).toMatchObject({ method: 'POST', url: '/one', body: 'hello' })
  })
})
