import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { ask, gateway, httpUpstream, testRelease, urlUpstream } from './harness.js'

interface Sent {
  readonly type: string
  readonly body: string | Buffer
  readonly headers?: Record<string, string>
}

/** What reaches the upstream of a body that someone read and left as `parsed`. */
async function sentAgain({ type, body, headers }: Sent, parsed: unknown, rawBody?: unknown) {
  await using upstream = await httpUpstream((request, response) => {
    void request.toArray().then((parts) => {
      const { 'content-length': length, 'content-encoding': encoding, 'transfer-encoding': chunked } = request.headers
      const text = Buffer.concat(parts).toString('latin1')
      response.end(JSON.stringify({ length, encoding, chunked, text }), 'latin1')
    })
  })
  await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }), {
    before: async (request) => {
      await readWhole(request)
      if (parsed !== undefined) Object.assign(request, { body: parsed })
      if (rawBody !== undefined) Object.assign(request, { rawBody })
    },
  })
  const length = { 'content-length': String(Buffer.byteLength(body)) }
  const all = { 'content-type': type, ...length, ...headers }
  const answer = await ask(front.port, '/', { method: 'POST', headers: all, body })
  return answer.status === 200 ? JSON.parse(answer.body) : `${answer.status} ${answer.body}`
}

async function readWhole(request: IncomingMessage): Promise<void> {
  request.resume()
  if (!request.readableEnded) await once(request, 'end')
}

describe('a body that was read is sent again', () => {
  const FORM = 'application/x-www-form-urlencoded'
  test.each<[string, Sent, unknown, string]>([
    ['JSON', { type: 'application/json', body: '{ "a": 1 }' }, { a: 1 }, '{"a":1}'],
    ['JSON of another name', { type: 'application/problem+json; charset=utf-8', body: '[]' }, [], '[]'],
    ['a JSON string', { type: 'application/json', body: '"{}"' }, '{}', '"{}"'],
    ['JSON read as text', { type: 'application/json', body: '{ "a": 1 }' }, '{ "a": 1 }', '{ "a": 1 }'],
    ['a JSON null', { type: 'application/json', body: 'null' }, null, 'null'],
    [
      'own properties with odd names',
      { type: 'application/json', body: '{"__proto__":1}' },
      JSON.parse('{"__proto__":1}'),
      '{"__proto__":1}',
    ],
    ['a form', { type: FORM, body: 'a=1&b=x+y' }, { a: '1', b: 'x y' }, 'a=1&b=x%20y'],
    ['a form with lists', { type: FORM, body: 'a=1&a=2' }, { a: ['1', '2'] }, 'a=1&a=2'],
    [
      'a nested form',
      { type: FORM, body: 'a[b][c]=1&d[]=2' },
      { a: { b: { c: '1' } }, d: ['2'] },
      'a%5Bb%5D%5Bc%5D=1&d%5B0%5D=2',
    ],
    ['text', { type: 'text/plain', body: 'hello' }, 'hello', 'hello'],
    ['text in latin-1', { type: 'text/plain; charset=ISO-8859-1', body: Buffer.from('é', 'latin1') }, 'é', 'é'],
    ['text in UTF-8', { type: 'text/plain', body: 'é' }, 'é', 'Ã©'],
    ['bytes', { type: 'application/octet-stream', body: 'abc' }, Buffer.from('abc'), 'abc'],
    ['bytes of multipart', { type: 'multipart/form-data; boundary=x', body: '--x--' }, Buffer.from('--x--'), '--x--'],
  ])('%s', async (_name, sent, parsed, text) => {
    expect(await sentAgain(sent, parsed)).toEqual({ length: String(text.length), text })
  })

  test('from rawBody, where there is one, byte for byte', async () => {
    const sent = { type: 'application/json', body: '{ "a": 1 }' }
    expect(await sentAgain(sent, { a: 1 }, Buffer.from('{ "a": 1 }'))).toMatchObject({
      text: '{ "a": 1 }',
      length: '10',
    })
    expect(await sentAgain(sent, { a: 1 }, '{ "a": 1 }')).toMatchObject({ text: '{ "a": 1 }', length: '10' })
  })

  test('without the encoding that the parser took off, and with a length where there were chunks', async () => {
    const headers = { 'content-encoding': 'gzip' }
    expect(await sentAgain({ type: 'text/plain', body: 'zipped', headers }, 'plain')).toEqual({
      length: '5',
      text: 'plain',
    })
  })

  const FIRST = 'was read and cannot be sent again: mount canary before the parser'
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  test.each<[string, Sent, unknown, string]>([
    [
      'multipart',
      { type: 'multipart/form-data; boundary=x', body: '--x--' },
      { field: '1' },
      `a body of type multipart/form-data ${FIRST}`,
    ],
    [
      'something nobody kept',
      { type: 'application/json', body: '{}' },
      undefined,
      `a body of type application/json ${FIRST}`,
    ],
    [
      'an unknown type',
      { type: 'application/x-odd', body: 'x' },
      { x: 1 },
      `a body of type application/x-odd ${FIRST}`,
    ],
    ['no type', { type: '', body: 'x' }, { x: 1 }, `a body ${FIRST}`],
    [
      'an unknown charset',
      { type: 'text/plain; charset=shift_jis', body: 'x' },
      'x',
      `a body of type text/plain ${FIRST}`,
    ],
    ['a cycle', { type: 'application/json', body: '{}' }, cycle, `a body of type application/json ${FIRST}`],
    ['a form with a cycle', { type: FORM, body: 'a=1' }, cycle, `a body of type ${FORM} ${FIRST}`],
    ['a bigint', { type: 'application/json', body: '1' }, 1n, `a body of type application/json ${FIRST}`],
  ])('but not %s', async (_name, sent, parsed, text) => {
    expect(await sentAgain(sent, parsed)).toBe(`500 ERR_CANARY_BODY: ${text}`)
  })
})

describe('a body that was not read', () => {
  test('is streamed, whatever a middleware put at req.body', async () => {
    await using upstream = await httpUpstream((request, response) => void request.pipe(response))
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }), {
      before: (request) => void Object.assign(request, { body: { forged: true } }),
    })
    const headers = { 'content-type': 'application/json' }
    expect(await ask(front.port, '/', { method: 'POST', headers, body: '{"a":1}' })).toMatchObject({ body: '{"a":1}' })
  })

  test('is not made up for a GET that a parser looked at', async () => {
    await using upstream = await httpUpstream((request, response) => void request.pipe(response))
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }), {
      before: async (request) => {
        await readWhole(request)
        Object.assign(request, { body: {} })
      },
    })
    expect(await ask(front.port)).toMatchObject({ status: 200, body: '' })
  })
})
