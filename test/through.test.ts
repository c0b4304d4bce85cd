import { once } from 'node:events'
import { type IncomingMessage, type RequestListener, type ServerResponse, createServer, request } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Outcome, createRelease } from '@canary-release/core'
import type { Forwarder } from '@canary-release/core'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary } from '@canary-release/koa'
import fastifyCookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import Koa from 'koa'
import koaSession from 'koa-session'
import Koa2 from 'koa2'
import { afterEach, describe, expect, test } from 'vitest'
import { hasOnSend } from '../packages/fastify/src/through.js'
import { ask } from './conformance/client.js'

// Forwarded responses that the framework sends itself, and what an application does with them.

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

const SILENT = { info() {}, warn() {}, error() {} }
const options = (url: string, more: object = {}) => ({
  name: 'x',
  upstreams: { A: url, B: url },
  percentage: 50,
  logger: SILENT,
  ...more,
})

async function serving(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  opened.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What the application does with every response that comes back to it. */
interface Hook {
  (reply: {
    set(name: string, value: string): void
    get(name: string): unknown
    status(code: number): void
    body(body: string): void
  }): unknown
}

interface App {
  readonly url: string
  readonly outcome: Promise<Outcome>
}

type Start = (upstream: string, hook?: Hook, more?: object) => Promise<App>

function koaApp(Application: typeof Koa): Start {
  return async (upstream, hook, more) => {
    const release = createRelease(options(upstream, more))
    const outcome = new Promise<Outcome>((resolve) => release.on('outcome', resolve))
    const app = new Application()
    app.silent = true
    app.use(async (context, next) => {
      await next()
      await hook?.({
        set: (name, value) => context.set(name, value),
        get: (name) => context.response.get(name),
        status: (code) => (context.status = code),
        body: (body) => (context.body = body),
      })
    })
    app.use(koaCanary(release as never, { through: true }) as never)
    return { url: await serving(app.callback() as RequestListener), outcome }
  }
}

const fastifyApp: Start = async (upstream, hook, more) => {
  const release = createRelease(options(upstream, more))
  const outcome = new Promise<Outcome>((resolve) => release.on('outcome', resolve))
  const app = Fastify({ forceCloseConnections: true })
  app.addHook('onSend', async (_request, reply, payload) => {
    let sent = payload
    await hook?.({
      // A reply can be awaited, and is over then.
      set: (name, value) => void reply.header(name, value),
      get: (name) => reply.getHeader(name),
      status: (code) => void reply.code(code),
      body: (body) => {
        reply.removeHeader('content-length')
        sent = body
      },
    })
    return sent
  })
  await app.register(fastifyCanary, { release, graceMs: 0 })
  return { url: await listening(app), outcome }
}

async function listening(app: Pick<FastifyInstance, 'listen' | 'close'>): Promise<string> {
  opened.push(() => app.close())
  return app.listen({ port: 0, host: '127.0.0.1' })
}

const APPS: Record<string, Start> = {
  'Koa 2': koaApp(Koa2 as unknown as typeof Koa),
  'Koa 3': koaApp(Koa),
  'Fastify 5': fastifyApp,
}

/** An upstream whose answer each test says. */
function answering(answer: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<string> {
  return serving((request, response) => void answer(request, response))
}

describe.each(Object.entries(APPS))('through %s', (name, start) => {
  test('what the application sets on the way back is sent, and overrules the upstream', async () => {
    const upstream = await answering((_request, response) => response.setHeader('x-both', 'upstream').end('body'))
    const { url } = await start(upstream, async ({ set, get }) => {
      await delay(1)
      set('x-late', `after ${String(get('x-both'))}`)
      set('x-both', 'application')
    })
    const { headers, text, whole } = await ask(url)
    expect([headers['x-late'], headers['x-both'], text, whole]).toEqual(['after upstream', 'application', 'body', true])
  })

  test('cookies of the upstream and of the application are all sent', async () => {
    const upstream = await answering((_request, response) => response.setHeader('set-cookie', ['a=1', 'b=2']).end())
    const seen: unknown[] = []
    const { url } = await start(upstream, ({ get }) => seen.push(get('set-cookie')), { hash: { cookie: 'id' } })
    const { headers } = await ask(url)
    expect(headers['set-cookie']).toEqual(['a=1', 'b=2', expect.stringMatching(/^id=/)])
    expect(seen).toEqual([headers['set-cookie']])
  })

  test('a body that stays keeps its length, and one without a type gets none', async () => {
    const upstream = await answering((_request, response) => response.setHeader('content-length', 4).end('body'))
    const { url } = await start(upstream)
    const { headers } = await ask(url)
    expect([headers['content-length'], headers['content-type'], headers['transfer-encoding']]).toEqual([
      '4',
      undefined,
      undefined,
    ])
  })

  test('HEAD keeps the length of the body that it does not have', async () => {
    const upstream = await answering((_request, response) => response.setHeader('content-length', 4711).end())
    const { url, outcome } = await start(upstream)
    const { headers, text, whole } = await ask(url, { method: 'HEAD' })
    expect([headers['content-length'], text, whole]).toEqual(['4711', '', true])
    expect(await outcome).toMatchObject({ status: 200, aborted: false, error: null })
  })

  test.each([204, 304])('%i has no body, keeps its connection, and counts as whole', async (status) => {
    let connections = 0
    const upstream = await answering((incoming, response) => {
      if (!known.has(incoming.socket)) connections += 1
      known.add(incoming.socket)
      response.setHeader('etag', '"1"').writeHead(status).end()
    })
    const known = new Set<object>()
    const { url, outcome } = await start(upstream)
    for (let i = 0; i < 3; i += 1) {
      const answered = await ask(url)
      expect([answered.status, answered.headers['etag'], answered.text, answered.whole]).toEqual([
        status,
        '"1"',
        '',
        true,
      ])
    }
    expect(await outcome).toMatchObject({ status, aborted: false, error: null })
    expect(connections).toBe(1)
  })

  test.each([
    [200, 'Fine'],
    [299, 'Own Words'],
    [799, 'Beyond'],
  ])('%i %s is sent as it came', async (status, reason) => {
    const upstream = await answering((_request, response) => response.writeHead(status, reason).end('body'))
    const { url } = await start(upstream)
    const [response] = await once(request(url, { agent: false }).end(), 'response')
    expect([response.resume().statusCode, response.statusMessage]).toEqual([status, reason])
  })

  test('a status that the application changes comes with its own reason', async () => {
    const upstream = await answering((_request, response) => response.end('body'))
    const { url } = await start(upstream, ({ status }) => status(418))
    const [response] = await once(request(url, { agent: false }).end(), 'response')
    expect([response.resume().statusCode, response.statusMessage]).toEqual([
      418,
      expect.stringMatching(/^I'm a teapot$/i),
    ])
  })

  test('a body that the application puts in place of an endless one is sent, and the upstream is let go', async () => {
    let gone: Promise<unknown> | undefined
    const upstream = await answering((_request, response) => {
      gone = once(response, 'close')
      response.write('for ever')
    })
    const { url, outcome } = await start(upstream, ({ body }) => body('in its place'))
    const { status, text, whole } = await ask(url)
    expect([status, text, whole]).toEqual([200, 'in its place', true])
    expect(await outcome).toMatchObject({ status: 200, aborted: false, error: null })
    await gone
  })

  test('an application that fails on the way back answers with its error', async () => {
    let gone: Promise<unknown> | undefined
    const upstream = await answering((_request, response) => {
      gone = once(response, 'close')
      response.write('for ever')
    })
    const { url, outcome } = await start(upstream, () => {
      throw new Error('broken')
    })
    expect((await ask(url)).status).toBe(500)
    expect(await outcome).toMatchObject({ status: 200, aborted: false, error: null })
    await gone
  })

  test('a head arrives before there is a body', async () => {
    const upstream = await answering((_request, response) => response.flushHeaders())
    const { url } = await start(upstream, ({ set }) => set('x-late', 'set'))
    const asked = request(url, { agent: false }).end()
    const [response] = await once(asked, 'response')
    expect([response.statusCode, response.headers['x-late']]).toEqual([200, 'set'])
    asked.on('error', () => {}).destroy()
  })

  test('an upstream waits for a client that does not read', async () => {
    const MEGABYTE = Buffer.alloc(1_048_576)
    let written = 0
    let blocked: (() => void) | undefined
    const isBlocked = new Promise<void>((resolve) => (blocked = resolve))
    const upstream = await answering(async (_request, response) => {
      while (written < 200) {
        written += 1
        if (response.write(MEGABYTE)) continue
        const drained = await Promise.race([once(response, 'drain').then(() => true), delay(500).then(() => false)])
        if (drained) continue
        blocked?.()
        await once(response, 'drain')
      }
      response.end()
    })
    const { url } = await start(upstream)
    const [response] = await once(request(url, { agent: false }).end(), 'response')
    await isBlocked
    expect(written).toBeLessThan(100)
    let bytes = 0
    for await (const chunk of response) bytes += (chunk as Buffer).length
    expect(bytes).toBe(200 * MEGABYTE.length)
  })

  test('a client that leaves midway is counted as gone, and the upstream is told', async () => {
    let gone: Promise<unknown> | undefined
    const upstream = await answering((_request, response) => {
      gone = once(response, 'close')
      response.write('half')
    })
    const { url, outcome } = await start(upstream)
    const asked = request(url, { agent: false }).end()
    const [response] = await once(asked, 'response')
    await once(response, 'data')
    asked.on('error', () => {}).destroy()
    expect(await outcome).toMatchObject({ status: 200, aborted: true, error: null })
    await gone
  })

  test('a client that leaves while the application still works on the head is counted as gone', async () => {
    const upstream = await answering((_request, response) => response.write('half'))
    let reached: (() => void) | undefined
    let goOn: (() => void) | undefined
    const isReached = new Promise<void>((resolve) => (reached = resolve))
    const mayGoOn = new Promise<void>((resolve) => (goOn = resolve))
    const { url, outcome } = await start(upstream, () => {
      reached?.()
      return mayGoOn
    })
    const asked = request(url, { agent: false }).end()
    asked.on('error', () => {})
    await isReached
    asked.destroy()
    expect(await outcome).toMatchObject({ status: 200, aborted: true, error: null })
    goOn?.()
  })

  test('an upstream that breaks is its failure, before the head has left too', async () => {
    let breakOff: (() => void) | undefined
    const upstream = await answering((_request, response) => {
      response.write('half')
      breakOff = () => response.destroy()
    })
    const { url, outcome } = await start(upstream, async () => {
      breakOff?.()
      await outcome
    })
    await expect(ask(url)).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await outcome).toMatchObject({ aborted: false, error: { code: 'ERR_CANARY_UPSTREAM_RESPONSE' } })
  })

  test('trailers do not gainsay what the application has set', async () => {
    const upstream = await answering((_request, response) => {
      response.setHeader('trailer', 'x-sum, x-own').write('body')
      response.addTrailers({ 'x-sum': '42', 'x-own': 'upstream' })
      response.end()
    })
    const { url } = await start(upstream, ({ set }) => set('x-own', 'application'))
    const { headers, trailers } = await ask(url)
    expect([headers['x-own'], trailers]).toEqual(['application', { 'x-sum': '42' }])
  })

  test('http-proxy’s responses go the same way', async () => {
    const upstream = await answering((_request, response) => response.setHeader('x-both', 'upstream').end('body'))
    const more = { proxy: { forwarder: httpProxyForwarder() } }
    const { url, outcome } = await start(
      upstream,
      ({ set, get }) => set('x-late', `after ${String(get('x-both'))}`),
      more,
    )
    const { headers, text, whole } = await ask(url)
    expect([headers['x-late'], text, whole]).toEqual(['after upstream', 'body', true])
    expect(await outcome).toMatchObject({ status: 200, aborted: false, error: null })
  })

  test('a forwarder of one’s own writes the response itself', async () => {
    const forwarder: Forwarder = {
      forward({ response, beforeHead }, head, done) {
        beforeHead?.(response)
        head(200)
        response.statusCode = 200
        response.on('finish', () => done({ phase: 'done', status: 200, error: null, aborted: false }))
        response.end('own')
      },
      close: async () => {},
    }
    const { url, outcome } = await start('http://127.0.0.1:9', undefined, { proxy: { forwarder } })
    const { status, text, whole } = await ask(url)
    expect([status, text, whole]).toEqual([200, 'own', true])
    expect(await outcome).toMatchObject({ status: 200, aborted: false })
  })

  test('a header that may not be sent is the upstream’s failure, and the error page gets none of the others', async () => {
    const upstream = await answering((incoming) =>
      incoming.socket.end('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nx-bad: a\x01b\r\ncontent-length: 2\r\n\r\nno'),
    )
    const { url } = await start(upstream)
    const { status, headers } = await ask(url)
    expect([status, headers['content-encoding'], name]).toEqual([502, undefined, name])
  })
})

describe('Koa', () => {
  test.each([
    [true, true],
    [false, false],
  ])('through %s: the cookie of koa-session arrives: %s', async (through, arrives) => {
    const upstream = await answering((_request, response) => response.end('body'))
    const app = new Koa()
    app.keys = ['a key of some length']
    app.use(koaSession(app))
    app.use(async (context, next) => {
      await next()
      if (context.session !== null) context.session['views'] = 1
    })
    app.use(koaCanary(options(upstream) as never, { through }))
    app.silent = true
    const { headers, text } = await ask(await serving(app.callback()))
    expect([text, headers['set-cookie'] !== undefined]).toEqual(['body', arrives])
  })

  test('refuses a through that is neither true nor false', () => {
    const wrong = 'auto' as unknown as boolean
    expect(() => koaCanary(options('http://a') as never, { through: wrong })).toThrow(/through must be true or false/)
  })
})

describe('Fastify', () => {
  async function app(setUp: (app: FastifyInstance) => unknown, more: object = {}): Promise<string> {
    const upstream = await answering((_request, response) => response.setHeader('set-cookie', 'a=1').end('body'))
    const fastify = Fastify()
    await setUp(fastify)
    await fastify.register(fastifyCanary, { ...options(upstream), ...more })
    return listening(fastify)
  }

  test('setCookie of @fastify/cookie is sent beside the cookies of the upstream', async () => {
    const url = await app(async (fastify) => {
      await fastify.register(fastifyCookie)
      fastify.addHook(
        'preHandler',
        async (_request, reply) => void reply.setCookie('own', '1', { path: '/', sameSite: false }),
      )
    })
    expect(new Set((await ask(url)).headers['set-cookie'])).toEqual(new Set(['a=1', 'own=1; Path=/']))
  })

  test('a session of @fastify/session lasts over forwarded requests', async () => {
    const views: number[] = []
    const url = await app(async (fastify) => {
      await fastify.register(fastifyCookie)
      await fastify.register(fastifySession, {
        secret: 'a secret of more than thirty-two letters',
        cookie: { secure: false },
      })
      fastify.addHook('preHandler', async ({ session }) => {
        const seen = Number(session.get('views' as never) ?? 0) + 1
        session.set('views' as never, seen as never)
        views.push(seen)
      })
    })
    const cookies = (await ask(url)).headers['set-cookie'] ?? []
    const cookie = cookies.map((line) => line.split(';', 1)[0]).join('; ')
    await ask(url, { headers: { cookie } })
    expect(views).toEqual([1, 2])
  })

  test('auto: hijacks where no onSend hook is, and sends by the reply where one is', async () => {
    for (const [hooks, isHijacked] of [
      [[], true],
      [['onSend'], false],
    ] as const) {
      let sent: boolean | undefined
      const url = await app((fastify) => {
        for (const hook of hooks) fastify.addHook(hook, async () => undefined)
        // Only what is hijacked is said to be sent before its end.
        fastify.addHook('onRequest', async (_request, reply) => {
          const { setHeader } = reply.raw
          reply.raw.setHeader = (...args) => {
            sent = reply.sent
            return Reflect.apply(setHeader, reply.raw, args)
          }
          const { writeHead } = reply.raw
          Reflect.set(reply.raw, 'writeHead', (...args: unknown[]) => {
            sent = reply.sent
            return Reflect.apply(writeHead, reply.raw, args)
          })
        })
      })
      expect((await ask(url)).text).toBe('body')
      expect(sent).toBe(isHijacked)
    }
  })

  test('auto: finds hooks of the application, of a parent added later, and of routes', async () => {
    const hook = async (): Promise<void> => undefined
    const SET_UPS: Record<string, (fastify: FastifyInstance) => unknown> = {
      before: (fastify) => fastify.addHook('onSend', mark),
      route: (fastify) => fastify.addHook('onRoute', (route) => void (route.onSend = [mark])),
      later: (fastify) => void fastify.addHook('onRequest', hook),
    }
    async function mark(_request: unknown, reply: { header(name: string, value: string): unknown }): Promise<void> {
      reply.header('x-mark', 'seen')
    }
    for (const [name, setUp] of Object.entries(SET_UPS)) {
      const upstream = await answering((_request, response) => response.end('body'))
      const fastify = Fastify()
      await setUp(fastify)
      await fastify.register(fastifyCanary, options(upstream))
      if (name === 'later') fastify.addHook('onSend', mark)
      expect([name, (await ask(await listening(fastify))).headers['x-mark']]).toEqual([name, 'seen'])
    }
  })

  test('false: no onSend hook sees a forwarded response', async () => {
    let seen = 0
    const url = await app((fastify) => fastify.addHook('onSend', async () => void (seen += 1)), { through: false })
    expect((await ask(url)).text).toBe('body')
    expect(seen).toBe(0)
  })

  test('refuses a through that is none', async () => {
    const fastify = Fastify()
    const wrong = fastify.register(fastifyCanary, { ...options('http://a'), through: 'yes' as 'auto' })
    await expect(Promise.resolve(wrong)).rejects.toThrow('through must be "auto", true or false, got yes')
  })

  test('the installed Fastify keeps its hooks where they are looked for', async () => {
    const fastify = Fastify()
    expect(hasOnSend(fastify)).toBe(false)
    const child = await new Promise<FastifyInstance>((resolve) => {
      fastify.register(async (instance) => resolve(instance))
      void fastify.ready()
    })
    expect(hasOnSend(child)).toBe(false)
    const other = Fastify()
    other.addHook('onSend', async () => undefined)
    await other.ready()
    expect(hasOnSend(other)).toBe(true)
    // Of an application that hides them, nobody knows.
    expect(hasOnSend({})).toBe(true)
  })

  test('HTTP/2: body, trailers and a head without a body', async () => {
    const upstream = await answering((incoming, response) => {
      if (incoming.url === '/head') return response.flushHeaders()
      response.setHeader('trailer', 'x-sum').write('body')
      response.addTrailers({ 'x-sum': '42' })
      return response.end()
    })
    const fastify = Fastify({ http2: true } as unknown as FastifyServerOptions)
    fastify.addHook('onSend', async (_request, reply) => void reply.header('x-late', 'set'))
    await fastify.register(fastifyCanary, { ...options(upstream), graceMs: 0 })
    const client = connectHttp2(await listening(fastify))
    opened.push(() => client.destroy())
    const whole = client.request({ ':path': '/' })
    const trailers = once(whole, 'trailers')
    const [headers] = await once(whole, 'response')
    let text = ''
    for await (const chunk of whole) text += String(chunk)
    expect([headers[':status'], headers['x-late'], text]).toEqual([200, 'set', 'body'])
    expect((await trailers)[0]).toMatchObject({ 'x-sum': '42' })
    const open = client.request({ ':path': '/head' })
    expect((await once(open, 'response'))[0]).toMatchObject({ ':status': 200, 'x-late': 'set' })
    open.close()
  })
})
