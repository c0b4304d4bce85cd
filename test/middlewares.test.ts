import { once } from 'node:events'
import { type RequestListener, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { type Decision, createRelease } from '@canary-release/core'
import { canary as expressCanary } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary } from '@canary-release/koa'
import fastifyCompress from '@fastify/compress'
import fastifyCookie from '@fastify/cookie'
import fastifyCors from '@fastify/cors'
import compression from 'compression'
import express from 'express'
import { expressjwt } from 'express-jwt'
import Fastify from 'fastify'
import jsonwebtoken from 'jsonwebtoken'
import Koa from 'koa'
import koaCompress from 'koa-compress'
import koaJwt from 'koa-jwt'
import { afterEach, describe, expect, test } from 'vitest'
import { type Answered, ask } from './conformance/client.js'
import { startUpstream } from './conformance/upstream.js'

// The middlewares and plugins that stand beside a canary in real applications.

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

const SILENT = { info() {}, warn() {}, error() {} }
const options = (url: string) => ({ name: 'x', upstreams: { A: url, B: url }, percentage: 50, logger: SILENT }) as const

async function serving(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  opened.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('compression', () => {
  const TEXT = 'compress me, '.repeat(1000)
  const CODED: Record<string, Buffer> = {
    identity: Buffer.from(TEXT),
    gzip: gzipSync(TEXT),
    br: brotliCompressSync(TEXT),
  }

  /** Answers in the coding that its path names. */
  const upstream = () =>
    serving(({ url = '' }, response) => {
      const coding = url.slice(1)
      const body = CODED[coding] ?? Buffer.alloc(0)
      if (coding !== 'identity') response.setHeader('content-encoding', coding)
      response.writeHead(200, { 'content-type': 'text/plain', 'content-length': body.length, etag: '"1"' }).end(body)
    })

  const APPS: Record<string, (url: string) => Promise<string>> = {
    async express(url) {
      const app = express()
      app.use(compression({ threshold: 0 }), expressCanary(options(url)))
      return serving(app)
    },
    async koa(url) {
      const app = new Koa()
      app.use(koaCompress({ threshold: 0 })).use(koaCanary(options(url)))
      return serving(app.callback())
    },
    async 'koa, through it'(url) {
      const app = new Koa()
      app.use(koaCompress({ threshold: 0 })).use(koaCanary(options(url), { through: true }))
      return serving(app.callback())
    },
    async fastify(url) {
      const app = Fastify()
      await app.register(fastifyCompress, { threshold: 0 })
      await app.register(fastifyCanary, options(url))
      opened.push(() => app.close())
      return app.listen({ port: 0, host: '127.0.0.1' })
    },
  }

  describe.each(Object.entries(APPS))('of %s', (name, start) => {
    test.each(['identity', 'gzip', 'br'])(
      'a response in %s arrives whole, and compressed once at most',
      async (coding) => {
        const url = await start(await upstream())
        const answered = await ask(`${url}/${coding}`, { headers: { 'accept-encoding': 'gzip, br' } })
        const said = answered.headers['content-encoding'] ?? 'identity'
        // One name: never the coding of the upstream and another on top of it. What is written past Koa it does not see.
        expect(['identity', 'gzip', 'br']).toContain(said)
        if (coding !== 'identity') expect(said).toBe(coding)
        else expect(said === 'identity').toBe(name === 'koa')
        expect([answered.status, answered.whole, decoded(answered)]).toEqual([200, true, TEXT])
        const length = answered.headers['content-length']
        if (length !== undefined) expect(Number(length)).toBe(answered.text.length)
      },
    )

    test('a HEAD stays without a body', async () => {
      const url = await start(await upstream())
      const headers = { 'accept-encoding': 'gzip, br' }
      const head = await ask(`${url}/gzip`, { method: 'HEAD', headers })
      expect([head.status, head.text, head.headers['content-encoding']]).toEqual([200, '', 'gzip'])
    })
  })

  function decoded({ headers, text }: Answered): string {
    const body = Buffer.from(text, 'latin1')
    const coding = headers['content-encoding']
    return String(coding === 'gzip' ? gunzipSync(body) : coding === 'br' ? brotliDecompressSync(body) : body)
  }
})

describe('tokens', () => {
  const secret = 'a secret of some length'
  const bearer = (claims: object) => ({ authorization: `Bearer ${jsonwebtoken.sign(claims, secret)}` })

  /** A release at an upstream of its own, whose decisions are kept. */
  async function observed() {
    const upstream = await startUpstream('A')
    opened.push(() => upstream.close())
    const release = createRelease(options(upstream.url))
    const decisions: Decision[] = []
    release.on('decision', (decision) => decisions.push(decision))
    return { upstream, release, decisions, bucketOf: (consumer: string) => release.decide({ consumer }).bucket }
  }

  const APPS: Record<string, (release: ReturnType<typeof createRelease>) => Promise<string>> = {
    async 'express-jwt'(release) {
      const app = express()
      app.use(expressjwt({ secret, algorithms: ['HS256'] }), expressCanary(release))
      const errors: express.ErrorRequestHandler = (error, _request, response, _next) =>
        void response.sendStatus(error.status)
      app.use(errors)
      return serving(app)
    },
    async 'koa-jwt'(release) {
      const app = new Koa()
      app.silent = true
      app.use(koaJwt({ secret })).use(koaCanary(release))
      return serving(app.callback())
    },
  }

  test.each(Object.entries(APPS))('of %s name the consumer; without one nobody is asked', async (_name, start) => {
    const { upstream, release, decisions, bucketOf } = await observed()
    const url = await start(release)
    expect((await ask(url)).status).toBe(401)
    expect((await ask(url, { headers: { authorization: 'Bearer forged' } })).status).toBe(401)
    expect([upstream.seen, decisions]).toEqual([[], []])
    for (const sub of ['alice', 'bob']) {
      expect((await ask(url, { headers: bearer({ sub }) })).status).toBe(200)
      expect(decisions.at(-1)).toMatchObject({ hashedBy: 'consumer' })
    }
    expect(decisions.map(({ bucket }) => bucket)).toEqual([bucketOf('alice'), bucketOf('bob')])
  })
})

test('@fastify/cookie: hooks read cookies, and the header they set is sent beside the upstream’s', async () => {
  const upstream = await startUpstream('A')
  opened.push(() => upstream.close())
  const app = Fastify()
  await app.register(fastifyCookie)
  app.addHook('preHandler', async (request, reply) => {
    reply.header('set-cookie', app.serializeCookie('seen', request.cookies['session'] ?? 'none', { httpOnly: true }))
  })
  const source = { ...options(upstream.url), hash: { cookie: 'canary_id' } } as const
  await app.register(fastifyCanary, source)
  opened.push(() => app.close())
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const { headers } = await ask(`${url}/cookies`, { headers: { cookie: 'session=s1' } })
  expect(headers['set-cookie']).toEqual(['seen=s1; HttpOnly', 'a=1', 'b=2', expect.stringMatching(/^canary_id=/)])
})

test.each(['', '/orders'])(
  '@fastify/cors: answers preflights itself, and its headers go with responses of %s/*',
  async (prefix) => {
    const upstream = await startUpstream('A')
    opened.push(() => upstream.close())
    const app = Fastify()
    await app.register(fastifyCors, { origin: 'https://shop.example' })
    await app.register(fastifyCanary, { ...options(upstream.url), prefix })
    opened.push(() => app.close())
    const url = `${await app.listen({ port: 0, host: '127.0.0.1' })}${prefix}/x`
    const origin = 'https://shop.example'
    const preflight = await ask(url, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'PUT' } })
    expect(preflight.status).toBe(204)
    expect(preflight.headers['access-control-allow-origin']).toBe(origin)
    for (const method of ['GET', 'PUT']) {
      const { status, headers, text } = await ask(url, { method, headers: { origin } })
      expect([status, headers['access-control-allow-origin']]).toEqual([200, origin])
      expect(JSON.parse(text)).toMatchObject({ name: 'A', method, url: '/x' })
    }
  },
)
