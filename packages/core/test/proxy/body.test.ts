import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { ask, gateway, httpUpstream, testRelease, urlUpstream } from './harness.js'

interface Sent {
  readonly type: string
  readonly body: string | Buffer
  readonly headers?: Record<string, string>
  readonly chunked?: boolean
}

/** What is left of a body by who read it. */
interface Left {
  readonly body?: unknown
  readonly rawBody?: unknown
}

/** What reaches the upstream of a body that someone read. */
async function sentAgain({ type, body, headers, chunked = false }: Sent, left: Left) {
  await using upstream = await httpUpstream((request, response) => {
    void request.toArray().then((parts) => {
      const { 'content-length': length, 'content-encoding': encoding, 'transfer-encoding': coding } = request.headers
      const text = Buffer.concat(parts).toString('latin1')
      response.end(JSON.stringify({ length, encoding, coding, text }), 'latin1')
    })
  })
  await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }), {
    before: async (request) => {
      await readWhole(request)
      Object.assign(request, left)
    },
  })
  const framing = chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(Buffer.byteLength(body)) }
  const all = { 'content-type': type, ...framing, ...headers }
  const answer = await ask(front.port, '/', { method: 'POST', headers: all, body })
  return answer.status === 200 ? JSON.parse(answer.body) : `${answer.status} ${answer.body}`
}

async function readWhole(request: IncomingMessage): Promise<void> {
  request.resume()
  if (!request.readableEnded) await once(request, 'end')
}

const JSON_TYPE = 'application/json'
const FORM = 'application/x-www-form-urlencoded'
const TEXT = 'text/plain'
const latin1 = (text: string) => Buffer.from(text, 'latin1')
const REMEDY = 'mount canary before the parser, or keep the bytes in rawBody'
const refusal = (type: string) =>
  expect.stringMatching(
    new RegExp(
      `^500 ERR_CANARY_BODY: a body of type ${type} was read and cannot be sent again \\([^)]+\\): ${REMEDY}$`,
    ),
  )

describe('a body that was read is sent again', () => {
  test.each<[string, Sent, unknown, string]>([
    ['JSON', { type: JSON_TYPE, body: '{ "a": 1 }' }, { a: 1 }, '{"a":1}'],
    ['JSON of another name', { type: 'application/problem+json; charset=utf-8', body: '[]' }, [], '[]'],
    ['an empty object', { type: JSON_TYPE, body: '{ }' }, {}, '{}'],
    ['a JSON string', { type: JSON_TYPE, body: '"{}"' }, '{}', '"{}"'],
    ['JSON read as text', { type: JSON_TYPE, body: '{ "a": 1 }' }, '{ "a": 1 }', '{ "a": 1 }'],
    ['a JSON null', { type: JSON_TYPE, body: 'null' }, null, 'null'],
    [
      'own properties with odd names',
      { type: JSON_TYPE, body: '{"__proto__":1}' },
      JSON.parse('{"__proto__":1}'),
      '{"__proto__":1}',
    ],
    [
      'the largest integers',
      { type: JSON_TYPE, body: '[1]' },
      [2 ** 53 - 1, 1 - 2 ** 53, 0.5],
      '[9007199254740991,-9007199254740991,0.5]',
    ],
    [
      'JSON without a field that was taken away',
      { type: JSON_TYPE, body: '{"a":1,"b":2}' },
      { a: 1, b: undefined },
      '{"a":1}',
    ],
    ['ASCII JSON of another charset', { type: `${JSON_TYPE}; charset=latin1`, body: '{"a":1}' }, { a: 1 }, '{"a":1}'],
    ['JSON in chunks', { type: JSON_TYPE, body: '{ "a": 1 }', chunked: true }, { a: 1 }, '{"a":1}'],
    ['text', { type: TEXT, body: 'hello' }, 'hello', 'hello'],
    ['text in UTF-8', { type: TEXT, body: 'é' }, 'é', 'Ã©'],
    ['text in chunks', { type: `${TEXT}; charset="UTF-8"`, body: 'é', chunked: true }, 'é', 'Ã©'],
    ['ASCII text of another charset', { type: `${TEXT}; charset=shift_jis`, body: 'x' }, 'x', 'x'],
    ['text of a form', { type: FORM, body: 'a=1&a[]=2' }, 'a=1&a[]=2', 'a=1&a[]=2'],
    ['bytes', { type: 'application/octet-stream', body: 'abc' }, Buffer.from('abc'), 'abc'],
    ['bytes of multipart', { type: 'multipart/form-data; boundary=x', body: '--x--' }, Buffer.from('--x--'), '--x--'],
    ['an empty body in chunks', { type: TEXT, body: '', chunked: true }, '', ''],
  ])('%s', async (_name, sent, body, text) => {
    expect(await sentAgain(sent, { body })).toEqual({ length: String(text.length), text })
  })

  test.each<[string, unknown]>([
    ['a=1&b=x+y', { a: '1', b: 'x y' }],
    ['a=1&b=x%20y', { a: '1', b: 'x y' }],
    ['a=1&a=2', { a: ['1', '2'] }],
    ['a[]=1&a[]=2', { a: ['1', '2'] }],
    ['a%5B%5D=1&a%5B%5D=2', { a: ['1', '2'] }],
    ['a[0]=1&a[1]=2&b=', { a: ['1', '2'], b: '' }],
    ['a%5B0%5D=1', { a: ['1'] }],
    ['a[]=1', { a: ['1'] }],
    ['a[b]=1', { 'a[b]': '1' }],
    ['a%5Bb%5D=%C3%BC', { 'a[b]': 'ü' }],
    ["mail=me@x.org&say=it's (so)", { mail: 'me@x.org', say: "it's (so)" }],
    ['a=%27%28%29*%7E-._', { a: "'()*~-._" }],
    ['a=%27%28%29%2A~-._+', { a: "'()*~-._ " }],
    ['a=100%25&b=%2525', { a: '100%', b: '%25' }],
    ['a=%2B%26%3D&%3D=1', { a: '+&=', '=': '1' }],
    ['', {}],
  ])('a form: %s', async (body, parsed) => {
    const answer = await sentAgain({ type: FORM, body }, { body: parsed })
    expect(answer.length ?? '0').toBe(String(body.length))
    expect([...new URLSearchParams(latin1(answer.text).toString())]).toEqual([...new URLSearchParams(body)])
  })

  test('without the encoding that the parser took off', async () => {
    const headers = { 'content-encoding': 'gzip' }
    const length = { length: '5', text: 'plain' }
    expect(await sentAgain({ type: TEXT, body: 'zipped', headers }, { body: 'plain' })).toEqual(length)
    expect(await sentAgain({ type: TEXT, body: 'zipped', headers }, { rawBody: Buffer.from('plain') })).toEqual(length)
    expect(
      await sentAgain({ type: TEXT, body: 'zip', headers, chunked: true }, { body: Buffer.from('plain') }),
    ).toEqual(length)
  })

  test('although a middleware took its encoding out of the headers', async () => {
    const headers = { 'content-encoding': 'gzip' }
    const left = { headers: { 'content-type': TEXT, 'transfer-encoding': 'chunked' }, rawBody: Buffer.from('plain') }
    expect(await sentAgain({ type: TEXT, body: 'zip', headers, chunked: true }, left)).toEqual({
      length: '5',
      text: 'plain',
    })
  })
})

describe('from rawBody, where there is one, byte for byte:', () => {
  const SENT = { type: JSON_TYPE, body: '{ "id": 12345678901234567890 }' }
  const EXACT = { text: SENT.body, length: '30' }
  const parsed = JSON.parse(SENT.body) as unknown

  test.each<[string, Sent, Left, object]>([
    ['bytes', SENT, { rawBody: Buffer.from(SENT.body), body: parsed }, EXACT],
    ['text', SENT, { rawBody: SENT.body, body: parsed }, EXACT],
    ['bytes that came in chunks', { ...SENT, chunked: true }, { rawBody: Buffer.from(SENT.body) }, EXACT],
    ['text that came in chunks', { ...SENT, chunked: true }, { rawBody: SENT.body }, EXACT],
    [
      'nothing, in chunks',
      { type: JSON_TYPE, body: '', chunked: true },
      { rawBody: '', body: {} },
      { length: '0', text: '' },
    ],
    [
      'bytes of latin-1',
      { type: `${TEXT}; charset=latin1`, body: latin1('é') },
      { rawBody: latin1('é'), body: 'é' },
      { text: 'é' },
    ],
    ['a view of bytes', { type: TEXT, body: 'bc' }, { rawBody: Buffer.from('abcd').subarray(1, 3) }, { text: 'bc' }],
    [
      'what is compressed still, with its encoding',
      { type: JSON_TYPE, body: gzipSync('{"a":1}'), headers: { 'content-encoding': 'gzip' } },
      { rawBody: gzipSync('{"a":1}'), body: { a: 1 } },
      { encoding: 'gzip', length: String(gzipSync('{"a":1}').length), text: gzipSync('{"a":1}').toString('latin1') },
    ],
  ])('%s', async (_name, sent, left, seen) => {
    expect(await sentAgain(sent, left)).toMatchObject(seen)
  })

  test.each<[string, Sent, Left, string]>([
    [
      'is not all of it',
      { type: JSON_TYPE, body: '{"a":1}' },
      { rawBody: Buffer.from('{"a"'), body: { a: 1 } },
      '{"a":1}',
    ],
    ['has lost bytes', { type: JSON_TYPE, body: '{"a":1}' }, { rawBody: '{"a":\uFFFD', body: { a: 1 } }, '{"a":1}'],
    ['is no text', { type: JSON_TYPE, body: '{"a":1}' }, { rawBody: true, body: { a: 1 } }, '{"a":1}'],
  ])('not where it %s', async (_name, sent, left, text) => {
    expect(await sentAgain(sent, left)).toMatchObject({ text })
  })
})

describe('a body that was read is refused:', () => {
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  let deep: unknown = []
  for (let i = 0; i < 100_000; i += 1) deep = [deep]
  test.each<[string, Sent, unknown]>([
    ['multipart', { type: 'multipart/form-data; boundary=x', body: '--x--' }, { field: '1' }],
    ['something nobody kept', { type: JSON_TYPE, body: '{}' }, undefined],
    ['a stream that was only handed on', { type: JSON_TYPE, body: '{}' }, Readable.from([])],
    ['an unknown type', { type: 'application/x-odd', body: 'x' }, { x: 1 }],
    ['an unknown charset', { type: `${TEXT}; charset=x-own`, body: 'x' }, 'x'],
    ['a charset that is not over ASCII', { type: `${JSON_TYPE}; charset=utf-16`, body: '{"a":1}' }, { a: 1 }],
    ['two charsets', { type: `${TEXT}; charset=utf-8; charset=latin1`, body: 'x' }, 'x'],
    ['text in latin-1', { type: `${TEXT}; charset=ISO-8859-1`, body: latin1('é') }, 'é'],
    ['text in latin-1, read as UTF-8', { type: TEXT, body: latin1('é') }, '\uFFFD'],
    ['text without the mark of its byte order', { type: TEXT, body: '\uFEFFa' }, 'a'],
    ['bytes that are not all', { type: 'application/octet-stream', body: 'abc' }, Buffer.from('ab')],
    ['JSON in latin-1', { type: `${JSON_TYPE}; charset=latin1`, body: latin1('"é"') }, ['é']],
    ['JSON in latin-1, read as UTF-8', { type: JSON_TYPE, body: latin1('["é"]') }, ['\uFFFD']],
    ['a cycle', { type: JSON_TYPE, body: '{}' }, cycle],
    ['a body without an end', { type: JSON_TYPE, body: '[]' }, deep],
    ['a bigint', { type: JSON_TYPE, body: '1' }, 1n],
    ['an infinite number', { type: JSON_TYPE, body: '[1e400]' }, [Infinity]],
    ['what is no number', { type: JSON_TYPE, body: '[0]' }, { a: [NaN] }],
    ['an integer that is too large', { type: JSON_TYPE, body: '[9007199254740993]' }, [9007199254740992]],
    ['an integer that is too small', { type: JSON_TYPE, body: '[-9007199254740993]' }, { a: { b: -9007199254740992 } }],
    ['a large integer in another form', { type: JSON_TYPE, body: '1e20' }, 1e20],
    ['a date that a reviver made', { type: JSON_TYPE, body: '["2026-01-01"]' }, [new Date(0)]],
    ['a number of a library', { type: JSON_TYPE, body: '[1]' }, [{ toJSON: () => '1' }]],
    ['a hole', { type: JSON_TYPE, body: '[1]' }, [undefined]],
    ['a function', { type: JSON_TYPE, body: '{"a":1}' }, { a: () => 1 }],
    ['a JSON string or its text', { type: JSON_TYPE, body: '"1"', chunked: true }, '1'],
    ['JSON text without the mark of its byte order', { type: JSON_TYPE, body: '\uFEFF{"a":1}' }, '{"a":1}'],
    ['an object that may be nothing', { type: JSON_TYPE, body: '', chunked: true }, {}],
    [
      'an object that may be a compressed nothing',
      { type: JSON_TYPE, body: 'zip', headers: { 'content-encoding': 'gzip' } },
      {},
    ],
    ['an object that lost its fields', { type: JSON_TYPE, body: '{"__proto__":1}' }, {}],
    ['a form with a cycle', { type: FORM, body: 'a=1' }, cycle],
    ['a nested form', { type: FORM, body: 'a[b]=1' }, { a: { b: '1' } }],
    ['a form with dots', { type: FORM, body: 'user.name=x' }, { user: { name: 'x' } }],
    ['a form with a list of lists', { type: FORM, body: 'a[0][0]=1' }, { a: [['1']] }],
    ['a form with a number', { type: FORM, body: 'a=1' }, { a: 1 }],
    ['a form with an empty list', { type: FORM, body: 'b=1' }, { a: [], b: '1' }],
    ['a form of another length', { type: FORM, body: 'a=1&a' }, { a: '1' }],
    ['a form that may be two', { type: FORM, body: 'a[]=1&b=x+y' }, { a: ['1'], b: 'x y' }],
    ['a form with escapes of latin-1', { type: FORM, body: 'a=%E9&b=%20' }, { a: '%E9', b: ' ' }],
    ['a form with escapes of latin-1, read as UTF-8', { type: FORM, body: 'a=%E9' }, { a: '\uFFFD' }],
    ['a form in latin-1', { type: `${FORM}; charset=iso-8859-1`, body: 'a=%E9%E9' }, { a: 'é' }],
    ['a form in chunks', { type: FORM, body: 'a=1', chunked: true }, { a: '1' }],
    ['a form with nothing in it', { type: FORM, body: '', chunked: true }, {}],
    ['a compressed form', { type: FORM, body: 'zip', headers: { 'content-encoding': 'gzip' } }, { a: '1' }],
    [
      'bytes that may be compressed or not',
      { type: TEXT, body: 'zip', headers: { 'content-encoding': 'br' } },
      Buffer.from('zip'),
    ],
  ])('%s', async (_name, sent, body) => {
    expect(await sentAgain(sent, { body })).toEqual(refusal(sent.type.split(';')[0]?.replaceAll(/[+.]/g, '\\$&') ?? ''))
  })

  test('no type', async () => {
    expect(await sentAgain({ type: '', body: 'x' }, { body: { x: 1 } })).toBe(
      `500 ERR_CANARY_BODY: a body was read and cannot be sent again (its bytes were not kept): ${REMEDY}`,
    )
  })
})

describe.each(['content-md5', 'content-digest', 'repr-digest', 'digest', 'signature-input'])(
  'with %s, a body',
  (name) => {
    const headers = { [name]: 'of the bytes' }
    const sent = { type: JSON_TYPE, body: '{"a":1}', headers }

    test('is sent byte for byte', async () => {
      const exact = { text: sent.body, length: '7' }
      expect(await sentAgain(sent, { rawBody: Buffer.from(sent.body), body: { a: 1 } })).toEqual(exact)
      expect(await sentAgain(sent, { rawBody: sent.body, body: { a: 1 } })).toEqual(exact)
      expect(await sentAgain({ ...sent, chunked: true }, { rawBody: Buffer.from(sent.body) })).toEqual(exact)
      expect(await sentAgain(sent, { body: sent.body })).toEqual(exact)
      expect(await sentAgain({ ...sent, type: TEXT }, { body: sent.body })).toEqual(exact)
    })

    test('is refused where its bytes are not known', async () => {
      const refused = refusal(JSON_TYPE)
      expect(await sentAgain(sent, { body: { a: 1 } })).toEqual(refused)
      // A mark of the byte order would be lost.
      expect(await sentAgain({ ...sent, chunked: true }, { rawBody: sent.body })).toEqual(refused)
      const zipped = { ...sent, headers: { ...headers, 'content-encoding': 'gzip' } }
      expect(await sentAgain(zipped, { rawBody: Buffer.from('{"a": 1}') })).toEqual(refused)
      expect(await sentAgain({ type: FORM, body: 'a=1', headers }, { body: { a: '1' } })).toEqual(refusal(FORM))
    })
  },
)

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
