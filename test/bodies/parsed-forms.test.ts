import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { canary as expressCanary } from '@canary-release/express'
import { canary as koaCanary } from '@canary-release/koa'
import express from 'express'
import express4 from 'express4'
import { array, assert, asyncProperty, constantFrom, oneof, record, tuple } from 'fast-check'
import Koa from 'koa'
import koaBodyParser from 'koa-bodyparser'
import { afterEach, expect, test } from 'vitest'

// Whatever form a parser has read: the upstream gets one that every reader takes as it was meant, or none.

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  opened.push(() => server.close())
  return (server.address() as AddressInfo).port
}

type Start = (options: never) => Promise<number>

const expressWith =
  (create: typeof express, extended: boolean): Start =>
  (options) => {
    const canary = expressCanary(options)
    opened.push(() => canary.close(0))
    const app = create().set('env', 'test')
    app.use(create.urlencoded({ extended })).use(canary)
    const errors: express.ErrorRequestHandler = (error, _request, response, _next) =>
      void response.status(error.status ?? 500).send(String(error.code))
    return listening(createServer(app.use(errors)))
  }

const PARSERS: Record<string, Start> = {
  'Express 4, extended': expressWith(express4 as unknown as typeof express, true),
  'Express 4': expressWith(express4 as unknown as typeof express, false),
  'Express 5, extended': expressWith(express, true),
  'Express 5': expressWith(express, false),
  'koa-bodyparser without its text': (options) => {
    const canary = koaCanary(options)
    opened.push(() => canary.close(0))
    const app = new Koa()
    app.on('error', () => {})
    app.use(koaBodyParser())
    app.use((context, next) => {
      Reflect.deleteProperty(context.request, 'rawBody')
      return next()
    })
    app.use(canary as never)
    return listening(createServer((request, response) => void app.callback()(request, response)))
  },
}

const PIECES = ['a', '1', '=', '.', '%20', '+', ' ', 'é', '%C3%A9', '%E9', '%EF%BF%BD', '%', '%25', '%zz', ';']
const MORE = ["'", '(', '~', '%7E', '%2B', '*', '%2A', '#', '%26', '%3D', '"', '\n', '%0A', '€', '💡', '%F0%9F%92%A1']
const VALUES = ['', '1', 'x y', 'x+y', 'x%20y', 'é', '%C3%A9', '%E9', '100%', '100%25', "it's", 'me@x.org', '~']
const NAMES = ['a', 'b', 'c.d', 'é', 'e[f]', 'g h', 'g+h']

/** Lists are written in one way throughout: several are not told apart by their length. */
const uniform = record({
  style: constantFrom('', '[]', '[0]', '%5B%5D', '%5b0%5d'),
  fields: array(tuple(constantFrom(...NAMES), array(constantFrom(...VALUES), { minLength: 1, maxLength: 3 })), {
    minLength: 1,
    maxLength: 4,
  }),
}).map(({ style, fields }) =>
  [...new Map(fields)]
    .flatMap(([name, values]) => values.map((value, i) => `${name}${style.replace('0', String(i))}=${value}`))
    .join('&'),
)
const pieces = array(constantFrom(...PIECES, ...MORE), { maxLength: 10 }).map((all) => all.join(''))
const plain = array(tuple(constantFrom(...NAMES, 'a.b', 'x[y][z]', '1'), pieces), {
  minLength: 1,
  maxLength: 4,
})
const forms = oneof(
  uniform,
  plain.map((fields) => fields.map((pair) => pair.join('=')).join('&')),
)

/** As any other reader takes it: fields in order, names in any. */
function meaning(form: string): unknown {
  return [...new URLSearchParams(form)].sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0))
}

async function send(port: number, form: string): Promise<{ status: number; text: string }> {
  const body = Buffer.from(form)
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length }
  const request = httpRequest({ port, host: '127.0.0.1', method: 'POST', headers, agent: false }).end(body)
  const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer> & { statusCode: number }]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return { status: response.statusCode, text: Buffer.concat(chunks).toString() }
}

test.each(Object.entries(PARSERS))('%s: a form means the same to the upstream, or is refused', async (_name, start) => {
  const upstream = await listening(createServer((request, response) => void request.pipe(response)))
  const url = `http://127.0.0.1:${upstream}`
  const port = await start({ name: 'x', upstreams: { A: url, B: url }, percentage: 50 } as never)
  const counts = { sent: 0, refused: 0 }
  await assert(
    asyncProperty(forms, async (form) => {
      const { status, text } = await send(port, form)
      if (status === 200) {
        expect(meaning(text)).toEqual(meaning(form))
        expect(Buffer.byteLength(text)).toBe(Buffer.byteLength(form))
        counts.sent += 1
      } else counts.refused += 1
    }),
    { seed: 5, numRuns: 300 },
  )
  expect(Math.min(counts.sent, counts.refused)).toBeGreaterThan(10)
})
