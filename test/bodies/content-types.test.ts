import { once } from 'node:events'
import { METHODS, createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { canary as fastifyCanary, canaryDecision } from '@canary-release/fastify'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import fastifyRawBody from 'fastify-raw-body'
import { afterEach, describe, expect, test } from 'vitest'

// Content types are for the upstream to judge: Fastify's canary sends them on as they came.

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

/** `null`: the header is not there. */
const TYPES: readonly (string | readonly string[] | null)[] = [
  null,
  '',
  'text',
  'application/json,application/json',
  'application/json, text/plain; charset=utf-8',
  ['application/json', 'text/html'],
  '; charset=utf-8',
  'application/',
  '/json',
  'text /plain',
  'a/b/c',
  'undefined',
  '*',
  'multipart/form-data; boundary="',
  'text/plain;',
  'application/json; charset',
  'café/crème',
  'application/json',
  'APPLICATION/VND.X+JSON ; v=1',
]
const SENT = ['POST', 'PUT', 'PATCH', 'DELETE', 'QUERY', 'PROPFIND'].filter((method) => METHODS.includes(method))

interface Seen {
  readonly types: string[]
  readonly body: string
}

const HOOKS = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const

interface Running {
  readonly port: number
  /** What each hook saw of the header, in order. */
  readonly hooks: (readonly [string, string | undefined])[]
  /** What an error handler was given. */
  readonly errors: unknown[]
}

async function running(prepare: (app: FastifyInstance) => unknown = () => {}): Promise<Running> {
  const upstream = createServer((request, response) => {
    void request.toArray().then((chunks) => {
      const { rawHeaders } = request
      const types = rawHeaders.filter((_, i) => rawHeaders[i - 1]?.toLowerCase() === 'content-type' && i % 2 === 1)
      response.end(JSON.stringify({ types, body: Buffer.concat(chunks).toString('latin1') }))
    })
  })
  await once(upstream.listen(0, '127.0.0.1'), 'listening')
  opened.push(() => upstream.close())
  const app = Fastify({ forceCloseConnections: true })
  const hooks: Running['hooks'] = []
  const errors: unknown[] = []
  app.setErrorHandler((error, request, reply) => {
    errors.push([error, request.headers['content-type']])
    return reply.code(500).send('failed')
  })
  for (const name of HOOKS)
    app.addHook(name as 'onRequest', async (request) => void hooks.push([name, request.headers['content-type']]))
  await prepare(app)
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
  await app.register(fastifyCanary, { name: 'x', upstreams: { A: url, B: url }, percentage: 50, graceMs: 0 })
  await app.listen({ port: 0, host: '127.0.0.1' })
  opened.push(() => app.close())
  return { port: (app.server.address() as AddressInfo).port, hooks, errors }
}

interface Sent {
  readonly method: string
  readonly type: (typeof TYPES)[number]
  readonly body?: string
  readonly chunked?: boolean
}

async function send({ port }: Running, { method, type, body = 'hällo', chunked = false }: Sent) {
  const bytes = Buffer.from(body, 'latin1')
  const lines = type === null ? [] : [type].flat().flatMap((value) => ['Content-Type', value])
  const framing = chunked ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(bytes.length)]
  const request = httpRequest({
    port,
    host: '127.0.0.1',
    method,
    agent: false,
    headers: ['Host', 'x', ...lines, ...framing],
  })
  request.end(bytes)
  const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer> & { statusCode: number }]
  let text = ''
  for await (const chunk of response) text += String(chunk)
  return { status: response.statusCode, text }
}

const seenBy = ({ status, text }: { status: number; text: string }): Seen => {
  expect([status, text]).toEqual([200, expect.stringContaining('types')])
  return JSON.parse(text)
}

/** What Node shows of a header that came twice is its first value. */
const shown = (type: Sent['type']) => (type === null ? undefined : [type].flat()[0])

describe.each(SENT)('%s', (method) => {
  test('has any content type sent on as it came, and all hooks see it so', async () => {
    const app = await running()
    for (const type of TYPES) {
      for (const chunked of [false, true]) {
        app.hooks.length = 0
        const seen = seenBy(await send(app, { method, type, chunked }))
        expect([type, seen]).toEqual([type, { types: type === null ? [] : [type].flat(), body: 'hällo' }])
        expect(app.hooks).toEqual(HOOKS.map((name) => [name, shown(type)]))
      }
    }
    expect(app.errors).toEqual([])
  })

  test('has it sent on without a body too', async () => {
    const app = await running()
    for (const type of TYPES) {
      const seen = seenBy(await send(app, { method, type, body: '' }))
      expect([type, seen]).toEqual([type, { types: type === null ? [] : [type].flat(), body: '' }])
    }
  })
})

test('a request without a parser keeps its content type', async () => {
  const app = await running()
  for (const method of ['GET', 'OPTIONS']) {
    app.hooks.length = 0
    seenBy(await send(app, { method, type: 'text', body: method === 'GET' ? '' : 'x' }))
    expect(app.hooks).toEqual(HOOKS.map((name) => [name, 'text']))
  }
})

test('methods that the application gave or took a body are known', async () => {
  const app = await running((own) => {
    own.addHttpMethod('MKCOL', { hasBody: true })
    own.addHttpMethod('LOCK', { hasBody: false })
  })
  for (const method of ['MKCOL', 'LOCK']) {
    app.hooks.length = 0
    expect(seenBy(await send(app, { method, type: 'text' }))).toEqual({ types: ['text'], body: 'hällo' })
    expect(app.hooks.slice(2)).toEqual([
      ['preValidation', 'text'],
      ['preHandler', 'text'],
    ])
  }
})

test('request.mediaType speaks of the original before and after', async () => {
  const spoken: unknown[] = []
  const app = await running((own) => {
    for (const name of HOOKS)
      own.addHook(name as 'onRequest', async (request) => void spoken.push(Reflect.get(request, 'mediaType')))
  })
  seenBy(await send(app, { method: 'POST', type: 'text' }))
  expect(spoken.length).toBe(4)
  expect(new Set(spoken)).toEqual(new Set([spoken[0]]))
  expect(spoken[0]).not.toBe('application/octet-stream')
})

test('headers that a hook has replaced are as it left them', async () => {
  const seen: unknown[] = []
  const app = await running((own) => {
    own.addHook('onRequest', async (request: FastifyRequest) => {
      Reflect.set(request, 'headers', { 'content-type': 'of, a hook', 'x-own': '1' })
    })
    own.addHook('preHandler', async ({ headers }) => void seen.push([headers['content-type'], headers['x-own']]))
  })
  expect(seenBy(await send(app, { method: 'POST', type: 'text' }))).toEqual({ types: ['text'], body: 'hällo' })
  expect(seen).toEqual([['of, a hook', '1']])
})

test('hooks of single routes, as plugins add them, see the original', async () => {
  const seen: unknown[] = []
  const app = await running(async (own) => {
    await own.register(fastifyRawBody)
    own.addHook('onRoute', (route) => {
      const watch = async (request: FastifyRequest) => void seen.push(request.headers['content-type'])
      route.preParsing = [route.preParsing ?? [], watch].flat() as never
    })
  })
  seenBy(await send(app, { method: 'POST', type: 'text', body: 'hello' }))
  expect(seen).toEqual(['text'])
})

test('a preParsing hook that fails leaves the original to the error handler', async () => {
  const app = await running((own) => {
    own.addHook('preParsing', async () => {
      throw new Error('no')
    })
  })
  expect(await send(app, { method: 'POST', type: 'text' })).toEqual({ status: 500, text: 'failed' })
  expect(app.errors).toEqual([[expect.objectContaining({ message: 'no' }), 'text']])
})

test('routes of the application itself are judged by Fastify, as without a canary', async () => {
  const app = Fastify({ forceCloseConnections: true })
  const upstreams = { A: 'http://127.0.0.1:1', B: 'http://127.0.0.1:1' }
  await app.register(fastifyCanary, { prefix: '/far', name: 'x', upstreams, percentage: 50 })
  await app.register(canaryDecision, { name: 'y', upstreams, percentage: 50, mode: 'rewrite' })
  app.post('/own', async () => 'own')
  const answer = await app.inject({ method: 'POST', url: '/own', headers: { 'content-type': 'text' }, payload: 'x' })
  opened.push(() => app.close())
  expect(answer.statusCode).toBe(415)
})
