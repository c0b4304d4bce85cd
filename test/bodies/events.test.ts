import { once } from 'node:events'
import { type IncomingMessage, type ServerResponse, createServer, request as httpRequest } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { createBrotliDecompress, createGunzip, gzipSync } from 'node:zlib'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { createHandler } from '@canary-release/core/node'
import { canary as expressCanary } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary } from '@canary-release/koa'
import fastifyCompress from '@fastify/compress'
import compression from 'compression'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import Koa from 'koa'
import koaCompress from 'koa-compress'
import Koa2 from 'koa2'
import { afterEach, describe, expect, test } from 'vitest'

// What an upstream says piece by piece reaches the client piece by piece, whatever compresses on the way.

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  opened.push(() => {
    if ('closeAllConnections' in server && typeof server.closeAllConnections === 'function')
      server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** An application that compresses, before a canary. */
type Start = (options: never) => Promise<number>

const expressWith =
  (create: typeof express, ...before: express.RequestHandler[]): Start =>
  (options) => {
    const canary = expressCanary(options)
    opened.push(() => canary.close(0))
    const app = create()
    for (const middleware of before) app.use(middleware)
    return listening(createServer(app.use(canary)))
  }

const koaWith =
  (Application: typeof Koa): Start =>
  (options) => {
    const canary = koaCanary(options)
    opened.push(() => canary.close(0))
    const app = new Application()
    app.use(koaCompress({ threshold: 0 })).use(canary as never)
    return listening(createServer((request, response) => void app.callback()(request, response)))
  }

const compresses = compression({ threshold: 0, filter: () => true })
const APPLICATIONS: Record<string, Start> = {
  'compression on Express 4': expressWith(express4 as unknown as typeof express, compresses),
  'compression on Express 5': expressWith(express, compresses),
  'compression on node:http': (options) => {
    const handler = createHandler(options)
    opened.push(() => handler.close(0))
    return listening(
      createServer((request, response) =>
        compresses(request as never, response as never, () => void handler(request, response)),
      ),
    )
  },
  'koa-compress on Koa 2': koaWith(Koa2 as unknown as typeof Koa),
  'koa-compress on Koa 3': koaWith(Koa),
  '@fastify/compress on Fastify 5': async (options) => {
    const app = Fastify({ forceCloseConnections: true })
    await app.register(fastifyCompress, { threshold: 0 })
    await app.register(fastifyCanary, { graceMs: 0, ...(options as object) } as never)
    await app.listen({ port: 0, host: '127.0.0.1' })
    opened.push(() => app.close())
    return (app.server.address() as AddressInfo).port
  },
}

const FORWARDERS: Record<string, () => object> = {
  undici: () => ({}),
  'http-proxy': () => ({ proxy: { forwarder: httpProxyForwarder() } }),
}

const optionsFor = (port: number, more: object = {}) => {
  const url = `http://127.0.0.1:${port}`
  return { name: 'x', upstreams: { A: url, B: url }, percentage: 50, ...more } as never
}

/** Starts an upstream that answers by hand, and asks for it through an application; both ends of the answer. */
async function exchange(start: Start, type: string, more: object, coding = 'gzip') {
  const upstream = createServer()
  const asked = once(upstream, 'request') as Promise<[IncomingMessage, ServerResponse]>
  const port = await start(optionsFor(await listening(upstream), more))
  const request = httpRequest({ port, host: '127.0.0.1', headers: { 'accept-encoding': coding }, agent: false }).end()
  const [, response] = await asked
  response.writeHead(200, { 'content-type': type }).flushHeaders()
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  return { response, answer }
}

/** Reads what an answer says, decoded. */
function reader(answer: IncomingMessage) {
  const decoders: Record<string, () => NodeJS.ReadWriteStream> = { gzip: createGunzip, br: createBrotliDecompress }
  const decoder = decoders[answer.headers['content-encoding'] ?? '']?.()
  const plain = decoder === undefined ? answer : answer.pipe(decoder)
  let text = ''
  let told = () => {}
  plain.on('data', (chunk: Buffer) => {
    text += String(chunk)
    told()
  })
  return {
    /** Resolves when all that has come is this text. */
    has: (expected: string) =>
      new Promise<void>((resolve) => {
        told = () => {
          if (text === expected) resolve()
        }
        told()
      }),
    ended: once(plain, 'end'),
    text: () => text,
  }
}

const MESSAGES = ['text/event-stream', 'application/x-ndjson; charset=utf-8']
/** Only a middleware that offers `flush` can be asked to let out anything else. */
const typesOf = (name: string) =>
  name.startsWith('compression') ? [...MESSAGES, 'application/json', 'text/html'] : MESSAGES

describe.each(Object.entries(APPLICATIONS))('%s', (name, start) => {
  describe.each(Object.entries(FORWARDERS))('through %s', (_forwarder, forwarder) => {
    test.each(typesOf(name))('hands on each piece of %s before the next is there', async (type) => {
      const { response, answer } = await exchange(start, type, forwarder())
      const { has, ended } = reader(answer)
      let sent = ''
      for (const piece of ['data: 1\n\n', '{"a":1}\n', `data: ${'x'.repeat(5000)}\n\n`, 'data: 4\n\n']) {
        response.write(piece)
        sent += piece
        await has(sent)
      }
      response.end('last\n')
      await ended
      await has(`${sent}last\n`)
    })
  })
})

test('Brotli hands on each event too', async () => {
  const { response, answer } = await exchange(expressWith(express, compresses), 'text/event-stream', {}, 'br')
  expect(answer.headers['content-encoding']).toBe('br')
  const { has } = reader(answer)
  for (const [i, sent] of ['one\n', 'one\ntwo\n'].entries()) {
    response.write(sent.slice(i * 4))
    await has(sent)
  }
})

test('many pieces that come together are compressed together', async () => {
  const { response, answer } = await exchange(expressWith(express, compresses), 'text/html', {})
  let size = 0
  answer.on('data', (chunk: Buffer) => (size += chunk.length))
  const { ended, text } = reader(answer)
  const pieces = Array.from({ length: 1000 }, (_, i) => `<li>${i % 10}</li>\n`)
  response.cork()
  for (const piece of pieces) response.write(piece)
  response.uncork()
  response.end()
  await ended
  expect(text()).toBe(pieces.join(''))
  // A flush after each would take 5 bytes and more each time.
  expect(size).toBeLessThan(gzipSync(pieces.join('')).length + 500)
})

test.each([
  [
    'throws',
    () => {
      throw new Error('no')
    },
  ],
  ['rejects', () => Promise.reject(new Error('no'))],
])('a flush that %s is reported once, and the response goes on', async (_how, flush) => {
  const breaks: express.RequestHandler = (_request, response, next) => {
    Object.assign(response, { flush })
    next()
  }
  const errors: unknown[] = []
  const onError = (error: unknown) => errors.push(error)
  const { response, answer } = await exchange(expressWith(express, breaks), 'text/event-stream', { onError })
  const { has, ended } = reader(answer)
  for (const sent of ['one\n', 'one\ntwo\n']) {
    response.write(sent.slice(-4))
    await has(sent)
  }
  response.end()
  await ended
  expect(errors).toEqual([expect.objectContaining({ code: 'ERR_CANARY_HOOK' })])
})
