import { once } from 'node:events'
import { type Server, type ServerResponse, createServer, request as httpRequest } from 'node:http'
import { type ClientHttp2Session, connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo, Server as NetServer } from 'node:net'
import { type Decision, createRelease } from '@canary-release/core'
import { attachUpgrades, createHandler } from '@canary-release/core/node'
import { attachUpgrades as attachExpress, canary as expressCanary } from '@canary-release/express'
import { canaryDecision, canary as fastifyCanary } from '@canary-release/fastify'
import { attachUpgrades as attachKoa, canary as koaCanary } from '@canary-release/koa'
import fastifyJwt from '@fastify/jwt'
import Router from '@koa/router'
import compression from 'compression'
import express from 'express'
import session from 'express-session'
import Fastify, { type FastifyInstance } from 'fastify'
import Koa from 'koa'
import multer from 'multer'
import passport from 'passport'
import request from 'supertest'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { ask, echoOf } from './conformance/client.js'
import { type Upstream, startUpstream } from './conformance/upstream.js'

// What one framework has and the others have not.

let A: Upstream
let B: Upstream
const opened: (() => unknown)[] = []
beforeAll(async () => {
  A = await startUpstream('A')
  B = await startUpstream('B')
})
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})
afterAll(() => Promise.all([A.close(), B.close()]))

const SILENT = { info() {}, warn() {}, error() {} }
const options = (more: object = {}) =>
  ({ name: 'x', upstreams: { A: A.url, B: B.url }, percentage: 50, logger: SILENT, ...more }) as const

async function listen(server: NetServer & { closeAllConnections?: () => void }): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  opened.push(() => {
    server.closeAllConnections?.()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function listenFastify(app: FastifyInstance): Promise<string> {
  opened.push(() => app.close())
  return app.listen({ port: 0, host: '127.0.0.1' })
}

/** A release whose decisions are kept. */
function observed(more: object = {}) {
  const release = createRelease(options(more))
  const decisions: Decision[] = []
  release.on('decision', (decision) => decisions.push(decision))
  return { release, decisions }
}
const bucketOf = (request: object) => createRelease(options()).decide(request).bucket

describe('the framework’s own trust', () => {
  const forwardedFor = { 'x-forwarded-for': '198.51.100.7' }

  test('Express: trust proxy by address is obeyed, a stranger is not', async () => {
    for (const [setting, ip] of [
      ['loopback', '198.51.100.7'],
      ['10.0.0.0/8', '127.0.0.1'],
      [1, '198.51.100.7'],
    ] as const) {
      const { release, decisions } = observed({ hash: 'ip' })
      const app = express()
      app.set('trust proxy', setting)
      app.use(expressCanary(release))
      const { body } = await request(app).get('/').set(forwardedFor).expect(200)
      expect(decisions[0]?.bucket).toBe(bucketOf({ ip }))
      expect(body.headers['x-forwarded-for']).toMatch(
        ip === '127.0.0.1' ? /^127\.0\.0\.1$/ : /^198\.51\.100\.7, ?127\.0\.0\.1$/,
      )
    }
  })

  test('Fastify: trustProxy is obeyed; rubbish in the header is never an address', async () => {
    for (const [trustProxy, value, ip] of [
      ['127.0.0.1', '198.51.100.7', '198.51.100.7'],
      [false, '198.51.100.7', '127.0.0.1'],
      [true, 'rubbish', '127.0.0.1'],
      [true, '198.51.100.7:4711', '198.51.100.7'],
    ] as const) {
      const { release, decisions } = observed({ hash: 'ip' })
      const app = Fastify({ trustProxy })
      await app.register(fastifyCanary, { release })
      const client = request(await listenFastify(app))
      await client.get('/').set('x-forwarded-for', value).expect(200)
      expect(decisions[0]?.bucket).toBe(bucketOf({ ip }))
    }
  })

  test('Koa: never ctx.ip, whose leftmost entry anyone can forge', async () => {
    const { release, decisions } = observed({ hash: 'ip' })
    const app = new Koa({ proxy: true })
    app.use(koaCanary(release))
    await request(app.callback()).get('/').set(forwardedFor).expect(200)
    expect(decisions[0]?.bucket).toBe(bucketOf({ ip: '127.0.0.1' }))
  })
})

describe('authentications', () => {
  test('Express: the user of passport', async () => {
    const { release, decisions } = observed()
    const authentication = new passport.Passport()
    authentication.use('fixed', new FixedStrategy() as never)
    const app = express()
    app.use(authentication.initialize(), authentication.authenticate('fixed', { session: false }))
    app.use(expressCanary(release))
    await request(app).get('/').expect(200)
    expect(decisions[0]).toMatchObject({ hashedBy: 'consumer', bucket: bucketOf({ consumer: 'alice' }) })
  })

  test.each(['onRequest', 'preValidation', 'preHandler'] as const)(
    'Fastify: the token of @fastify/jwt, verified in %s, by hooks added before and after the plugin',
    async (hook) => {
      const { release, decisions } = observed()
      const app = Fastify()
      await app.register(fastifyJwt, { secret: 'a secret of some length' })
      if (hook === 'onRequest') app.addHook(hook, (request) => request.jwtVerify())
      await app.register(fastifyCanary, { prefix: '/orders', release })
      if (hook !== 'onRequest') app.addHook(hook, (request) => request.jwtVerify())
      const client = request(await listenFastify(app))
      await client.get('/orders').expect(401)
      const authorization = `Bearer ${app.jwt.sign({ sub: 'alice' })}`
      await client.get('/orders').set({ authorization }).expect(200)
      expect(decisions).toHaveLength(1)
      expect(decisions[0]?.bucket).toBe(bucketOf({ consumer: 'alice' }))
    },
  )
})

/** A strategy of passport that knows everybody. */
class FixedStrategy {
  name = 'fixed'
  success?: (user: object) => void
  authenticate(): void {
    this.success?.({ id: 'alice' })
  }
}

describe('Express', () => {
  test('a session’s cookie is sent beside the upstream’s', async () => {
    const app = express()
    app.use(session({ secret: 'x', resave: false, saveUninitialized: true }))
    app.use(expressCanary(options()))
    const { headers } = await request(app).get('/cookies').expect(200)
    expect(headers['set-cookie']).toHaveLength(3)
    expect(String(headers['set-cookie'])).toMatch(/connect\.sid=/)
  })

  test('compression compresses what is forwarded', async () => {
    const app = express()
    app.use(compression({ threshold: 0 }), expressCanary(options()))
    const { body } = await request(app).get('/x').set('accept-encoding', 'gzip').expect('content-encoding', 'gzip')
    expect(body).toMatchObject({ url: '/x' })
  })

  test('a form with files that multer has read cannot be sent again', async () => {
    const app = express()
    app.use(multer().any(), expressCanary(options()))
    app.use(((error, _request, response, _next) =>
      response.status(500).send(error.code)) as express.ErrorRequestHandler)
    await request(app).post('/').attach('file', Buffer.from('hello'), 'a.txt').expect(500, 'ERR_CANARY_BODY')
  })

  test('upgrades on a server that exists already, until they are detached', async () => {
    const app = express()
    app.use(expressCanary(options()))
    const server = createServer(app)
    const detach = attachExpress(server, app)
    await expectTunnel(await listen(server))
    expect(server.listenerCount('upgrade')).toBe(1)
    detach()
    expect(server.listenerCount('upgrade')).toBe(0)
  })
})

describe('Koa', () => {
  test('on the routes of @koa/router, with its whole path', async () => {
    const app = new Koa()
    const router = new Router({ prefix: '/api' })
    router.all('/orders/{*rest}', koaCanary(options()) as never)
    app.use(router.routes())
    const answer = request(app.callback()).get('/api/orders/7')
    await answer.expect(200, /"url":"\/api\/orders\/7"/)
  })

  test('upgrades on a server that exists already', async () => {
    const app = new Koa()
    app.use(koaCanary(options()))
    const server = createServer(app.callback())
    attachKoa(server, app)
    await expectTunnel(await listen(server))
  })
})

describe('Fastify', () => {
  test.each([
    ['/orders', '/orders/7', '/7'],
    ['/orders', '/%6frders/7', '/7'],
    ['/:tenant/orders', '/acme/orders/7?x=1', '/7?x=1'],
    ['/orders', '/orders', '/'],
    ['/orders', '/orders?x=1', '/?x=1'],
  ])('strips the prefix %s from %s', async (prefix, path, expected) => {
    const app = Fastify()
    await app.register(fastifyCanary, { prefix, ...options() })
    expect((await echoOf(await listenFastify(app), { path })).url).toBe(expected)
  })

  test('leaves the routes beside it their content-type parsers', async () => {
    const app = Fastify()
    await app.register(fastifyCanary, { prefix: '/orders', ...options() })
    app.post('/own', (request) => ({ parsed: request.body }))
    const client = request(await listenFastify(app))
    const answer = client.post('/own').send({ a: 1 })
    await answer.expect(200, { parsed: { a: 1 } })
  })

  test('answers 404 where the plugin that forwards is told to rewrite: no route of its own comes after it', async () => {
    const app = Fastify()
    app.setNotFoundHandler((request, reply) => reply.code(404).send({ nothing: request.url }))
    await app.register(fastifyCanary, { ...options(), mode: 'rewrite' })
    const client = request(await listenFastify(app))
    await client.get('/x').expect(404, { nothing: '/x' })
  })

  test('only decides with canaryDecision, whatever the mode', async () => {
    const app = Fastify()
    await app.register(canaryDecision, options({ percentage: 100 }))
    app.get('/x', (request) => ({ upstream: request.canary?.upstream }))
    const client = request(await listenFastify(app))
    await client.get('/x').expect(200, { upstream: 'B' })
  })

  test('a wrong option rejects the registration', async () => {
    const app = Fastify()
    await expect(async () => app.register(fastifyCanary, { ...options(), percentage: 101 })).rejects.toMatchObject({
      code: 'ERR_CANARY_OPTION',
    })
  })

  test('leaves upgrades of other plugins alone, and closes its tunnels', async () => {
    const app = Fastify()
    const others = new WebSocketServer({ noServer: true })
    app.server.on('upgrade', (request, socket, head) => {
      if (request.url === '/own') others.handleUpgrade(request, socket, head, (client) => client.send('own'))
    })
    await app.register(fastifyCanary, { prefix: '/orders', ...options() })
    const url = await listenFastify(app)
    const own = new WebSocket(url.replace('http', 'ws') + '/own')
    expect(String((await once(own, 'message'))[0])).toBe('own')
    own.terminate()
    await expectTunnel(`${url}/orders`)
  })
})

describe('HTTP/2', () => {
  async function get(url: string, headers: Record<string, string> = {}): Promise<{ status: number; body: string }> {
    const client: ClientHttp2Session = connectHttp2(url)
    opened.push(() => client.close())
    const stream = client.request({ ':path': '/x?y=1', ...headers })
    const [answered] = await once(stream, 'response')
    let body = ''
    for await (const chunk of stream) body += String(chunk)
    return { status: answered[':status'], body }
  }

  test.each([
    [
      'Fastify',
      async () => {
        const app = Fastify({ http2: true })
        await app.register(fastifyCanary, options() as never)
        return listenFastify(app as never)
      },
    ],
    ['node:http2', async () => listen(createHttp2Server(createHandler(options())))],
  ])('%s: requests arrive without their pseudo headers', async (_name, start) => {
    const { status, body } = await get(await start(), { 'x-one': '1' })
    expect(status).toBe(200)
    const seen = JSON.parse(body)
    expect(seen).toMatchObject({ method: 'GET', url: '/x?y=1', headers: { 'x-one': '1' } })
    expect(JSON.stringify(seen.rawHeaders)).not.toContain('":')
  })

  test('an upstream that dies midway resets the stream', async () => {
    const url = await listen(createHttp2Server(createHandler(options())))
    const client = connectHttp2(url)
    opened.push(() => client.close())
    const stream = client.request({ ':path': '/die' })
    await expect(async () => {
      for await (const _ of stream);
    }).rejects.toThrow(/stream|reset|closed/i)
  })
})

describe('node:http', () => {
  test('a WebSocket, message by message, through a server with upgrades attached', async () => {
    const echo = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    echo.on('connection', (client) => client.on('message', (data) => client.send(`echo ${String(data)}`)))
    await once(echo, 'listening')
    opened.push(() => echo.close())
    const upstream = `http://127.0.0.1:${(echo.address() as AddressInfo).port}`
    const handler = createHandler(options({ upstreams: { A: upstream, B: upstream } }))
    const server: Server = createServer(handler)
    attachUpgrades(server, handler)
    const url = await listen(server)
    const client = new WebSocket(url.replace('http', 'ws'))
    await once(client, 'open')
    for (const text of ['one', 'two', 'x'.repeat(100_000)]) {
      client.send(text)
      expect(String((await once(client, 'message'))[0])).toBe(`echo ${text}`)
    }
    client.close()
    await once(client, 'close')
    await handler.close(0)
  })

  test('answers errors itself, as JSON', async () => {
    const handler = createHandler(options({ upstreams: { A: 'http://127.0.0.1:9', B: 'http://127.0.0.1:9' } }))
    const answer = request(handler).get('/').expect('content-type', 'application/json')
    await answer.expect(502, /"code":"ERR_CANARY_UPSTREAM_CONNECT"/)
  })

  test('answers 404 in rewrite mode where nothing comes after it', async () => {
    const handler = createHandler(options({ mode: 'rewrite' }))
    const answer = request(handler).get('/')
    await answer.expect(404, /"code":"ERR_NOT_FOUND"/)
  })

  test('cuts the client off where a handler fails after its head', async () => {
    const B = (_request: unknown, response: ServerResponse) => {
      response.writeHead(200).write('half of it')
      throw new Error('broken')
    }
    const upstreams = { A: 'http://127.0.0.1:9', B }
    const handler = createHandler(options({ upstreams, percentage: 100 }) as never)
    const answered = await ask(await listen(createServer(handler))).then(
      ({ whole }) => whole,
      () => false,
    )
    expect(answered).toBe(false)
  })

  test('refuses requests after close()', async () => {
    const handler = createHandler(options())
    await handler.close()
    const answer = request(handler).get('/')
    await answer.expect(503, /"code":"ERR_CANARY_CLOSED"/)
    expect(() => handler.release?.update({ percentage: 1 })).toThrow(/closed/)
  })
})

async function expectTunnel(url: string): Promise<void> {
  const asked = httpRequest(url, { agent: false, headers: { connection: 'Upgrade', upgrade: 'echo' } }).end()
  const [response, socket] = await once(asked, 'upgrade')
  expect(response.headers['x-name']).toMatch(/^[AB]$/)
  socket.write('ping')
  expect(String((await once(socket, 'data'))[0])).toBe('ping')
  socket.destroy()
}
