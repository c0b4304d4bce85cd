import { once } from 'node:events'
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable, Transform } from 'node:stream'
import { brotliCompressSync, constants, createGzip, gunzipSync, gzipSync } from 'node:zlib'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { canary as fastifyCanary } from '@canary-release/fastify'
import fastifyCompress from '@fastify/compress'
import Fastify, { type FastifyInstance, type preParsingHookHandler } from 'fastify'
import fastifyRawBody from 'fastify-raw-body'
import { afterEach, describe, expect, test } from 'vitest'
import { turns } from './applications.js'
import { type HashingUpstream, type Received, binary, hashingUpstream, sha1, upload } from './uploads.js'

// What Fastify's preParsing hooks make of a body is what is sent.

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

const SMALL = binary(1000)
const LARGE = binary(8 * 1_048_576)
const FRAMINGS = ['with its length', 'in chunks'] as const

interface Running {
  readonly port: number
  readonly upstream: HashingUpstream
}

async function running(prepare: (app: FastifyInstance) => unknown, options: object = {}): Promise<Running> {
  const upstream = await hashingUpstream()
  opened.push(() => upstream.close())
  const app = Fastify({ forceCloseConnections: true })
  app.setErrorHandler((error: Error & { statusCode?: number; code?: string }, _request, reply) =>
    reply.code(error.statusCode ?? 500).send(`${error.code}: ${error.message}`),
  )
  await prepare(app)
  app.addHook('preHandler', () => turns(3))
  const upstreams = { A: upstream.url, B: upstream.url }
  await app.register(fastifyCanary, { name: 'x', upstreams, percentage: 50, graceMs: 0, ...options } as never)
  await app.listen({ port: 0, host: '127.0.0.1' })
  opened.push(() => app.close())
  return { port: (app.server.address() as AddressInfo).port, upstream }
}

function withTimeout({ proxy }: { proxy?: object }): object {
  return { proxy: { ...proxy, bodyTimeoutMs: 300 } }
}

/** As quick as it can be: the default takes seconds. */
const brotli = (body: Buffer) => brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })

const hook = (act: preParsingHookHandler) => (app: FastifyInstance) => void app.addHook('preParsing', act)

/** What the upstream got of a body that was sent. */
async function received(
  { port }: Running,
  body: Buffer,
  framing: (typeof FRAMINGS)[number],
  headers = {},
): Promise<Received> {
  const { status, text } = await upload(port, body, framing, headers)
  expect([status, text.slice(0, 100)]).toEqual([200, expect.stringContaining('sha1')])
  return JSON.parse(text)
}

const PLUGINS: Record<string, (app: FastifyInstance) => unknown> = {
  '@fastify/compress': (app) => app.register(fastifyCompress),
  'fastify-raw-body': (app) => app.register(fastifyRawBody),
  'fastify-raw-body, first': (app) => app.register(fastifyRawBody, { runFirst: true }),
  both: async (app) => {
    await app.register(fastifyCompress)
    await app.register(fastifyRawBody)
  },
}

const FORWARDERS: Record<string, () => { proxy?: object }> = {
  undici: () => ({}),
  'http-proxy': () => ({ proxy: { forwarder: httpProxyForwarder() } }),
}

describe.each(Object.entries(FORWARDERS))('through %s', (_forwarder, options) => {
  describe.each(Object.entries(PLUGINS))('%s', (name, register) => {
    test.each(FRAMINGS)('lets a plain body pass %s', async (framing) => {
      const app = await running(register, options())
      for (const body of [SMALL, LARGE]) {
        const { headers, ...rest } = await received(app, body, framing)
        expect(rest).toEqual({ length: body.length, sha1: sha1(body) })
        expect(headers['content-length']).toBe(framing === 'in chunks' ? undefined : String(body.length))
      }
    })

    const codings = { gzip: gzipSync, br: brotli }
    test.each(FRAMINGS)('has a compressed body sent as the hooks left it, %s', async (framing) => {
      const app = await running(register, options())
      for (const [coding, encode] of Object.entries(codings)) {
        for (const body of [SMALL, LARGE]) {
          const sent = encode(body)
          const got = await received(app, sent, framing, { 'content-encoding': coding })
          const isDecoded = name === '@fastify/compress' || name === 'both'
          expect(got.headers['content-encoding']).toBe(isDecoded ? undefined : coding)
          expect(got.sha1).toBe(sha1(isDecoded ? body : sent))
        }
      }
    })
  })

  test('a hook changes the body, and its headers with it', async () => {
    const compress = hook((request, _reply, payload, done) => {
      delete request.headers['content-length']
      request.headers['content-encoding'] = 'gzip'
      done(null, payload.pipe(createGzip()))
    })
    const app = await running(compress, options())
    for (const framing of FRAMINGS) {
      const { headers } = await received(app, LARGE, framing)
      expect([headers['content-encoding'], headers['content-length']]).toEqual(['gzip', undefined])
    }
    expect(gunzipSync(gzipSync(LARGE)).equals(LARGE)).toBe(true)
  })

  test('a hook that watches through a stream of its own keeps the length', async () => {
    const watch = hook((_request, _reply, payload, done) => {
      done(null, payload.pipe(new Transform({ transform: (chunk, _encoding, next) => next(null, chunk) })))
    })
    const app = await running(watch, options())
    const got = await received(app, LARGE, 'with its length')
    expect([got.sha1, got.headers['content-length']]).toEqual([sha1(LARGE), String(LARGE.length)])
  })

  test('a hook puts another body in place of the client’s', async () => {
    const replace = hook((request, _reply, payload, done) => {
      payload.resume()
      request.headers['content-length'] = '5'
      done(null, Readable.from(['h', 'ello']))
    })
    const app = await running(replace, options())
    for (const framing of FRAMINGS) {
      const got = await received(app, LARGE, framing)
      expect([got.sha1, got.headers['content-length']]).toEqual([sha1(Buffer.from('hello')), '5'])
    }
  })

  test.each([
    ['too short', '9'],
    ['too long', '3'],
  ])('a body that is %s for its length is refused', async (_how, length) => {
    const replace = hook((request, _reply, payload, done) => {
      payload.resume()
      request.headers['content-length'] = length
      done(null, Readable.from([Buffer.from('hello')]))
    })
    const { port, upstream } = await running(replace, options())
    const answer = await upload(port, SMALL, 'with its length')
    expect(answer).toEqual({ status: 500, text: expect.stringMatching(/ERR_CANARY_BODY.*content-length.*delete/) })
    expect(upstream.whole).toEqual([])
  })

  test('a hook’s stream of objects is refused', async () => {
    const app = await running(
      hook((_request, _reply, payload, done) => {
        payload.resume()
        done(null, Readable.from([{ a: 1 }]))
      }),
      options(),
    )
    const answer = await upload(app.port, SMALL, 'in chunks')
    expect(answer).toEqual({ status: 500, text: expect.stringMatching(/ERR_CANARY_BODY.*stream of bytes/) })
  })

  test('a hook’s stream that fails ends the exchange: 400, whenever it fails', async () => {
    const failing = (after: number) =>
      hook((_request, _reply, payload, done) => {
        let length = 0
        const stream = new Transform({
          transform: (chunk: Buffer, _encoding, next) => {
            length += chunk.length
            next(length > after ? new Error('secret') : null, chunk)
          },
        })
        done(null, payload.pipe(stream))
        payload.resume()
      })
    for (const after of [0, 500_000]) {
      const { port, upstream } = await running(failing(after), options())
      const answer = await upload(port, LARGE, 'in chunks')
      expect(answer).toEqual({ status: 400, text: expect.stringMatching(/^ERR_CANARY_REQUEST: (?!.*secret)/) })
      expect(upstream.whole).toEqual([])
    }
  })

  test('a hook’s stream that never ends ends with an error', async () => {
    const swallow = hook((_request, _reply, payload, done) => {
      payload.resume()
      done(null, new Readable({ read() {} }))
    })
    const { port, upstream } = await running(swallow, withTimeout(options()))
    const answer = await upload(port, SMALL, 'in chunks')
    expect(answer).toEqual({ status: 500, text: expect.stringMatching(/ERR_CANARY_BODY.*keeps it back/) })
    expect(upstream.whole).toEqual([])
  })

  test('a body that cannot be decompressed is the client’s fault', async () => {
    const { port, upstream } = await running((app) => app.register(fastifyCompress), options())
    const answer = await upload(port, SMALL, 'with its length', { 'content-encoding': 'gzip' })
    expect(answer).toEqual({ status: 400, text: expect.stringMatching(/^ERR_CANARY_REQUEST: /) })
    expect(upstream.whole).toEqual([])
  })

  test('a client that leaves in the middle ends the exchange', async () => {
    const { port, upstream } = await running((app) => app.register(fastifyCompress), options())
    const arrived = once(upstream.server, 'request') as Promise<[IncomingMessage]>
    const headers = { 'content-encoding': 'gzip' }
    const sent = httpRequest({ port, host: '127.0.0.1', method: 'POST', headers, agent: false })
    sent.on('error', () => {})
    const zipped = gzipSync(LARGE)
    sent.write(zipped.subarray(0, zipped.length / 2))
    const [incoming] = await arrived
    const gone = new Promise((resolve) => incoming.once('close', resolve))
    sent.destroy()
    await gone
    expect([incoming.complete, upstream.whole]).toEqual([false, []])
  })
})

test.each(['before', 'after'])(
  'a connection goes on after a large body that was refused %s its parser',
  async (when) => {
    const { port } = await running(async (app) => {
      await app.register(fastifyRawBody)
      app.addHook(when === 'before' ? 'onRequest' : 'preHandler', async (request, reply) => {
        if (request.headers['x-refused'] !== undefined) await reply.code(401).send('no')
      })
    })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    opened.push(() => agent.destroy())
    for (const refused of [true, false, true]) {
      const headers = refused ? { 'x-refused': '1' } : {}
      const sent = httpRequest({ port, host: '127.0.0.1', method: 'POST', headers, agent })
      sent.end(LARGE)
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      expect(response.statusCode).toBe(refused ? 401 : 200)
      response.resume()
      await once(response, 'end')
    }
  },
)

test('a hook waits for the end of a large body that is watched: it gets it, and the client an error', async () => {
  let length = 0
  const { port, upstream } = await running((app) => {
    app.addHook('onRequest', (request, _reply, done) => {
      request.raw.on('data', (chunk: Buffer) => (length += chunk.length))
      done()
    })
    app.addHook('preHandler', ({ raw }) => (raw.readableEnded ? Promise.resolve() : once(raw, 'end')))
  })
  const small = await upload(port, SMALL, 'in chunks')
  expect([small.status, upstream.whole]).toEqual([200, [sha1(SMALL)]])
  length = 0
  const large = await upload(port, LARGE, 'in chunks')
  expect(large).toEqual({ status: 500, text: expect.stringMatching(/ERR_CANARY_BODY.*mount canary before/) })
  expect([length, upstream.whole.length]).toEqual([LARGE.length, 1])
})
