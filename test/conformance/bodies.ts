import { expect, test } from 'vitest'
import { ask, echoOf } from './client.js'
import type { Stage } from './stage.js'

/** Bodies that a parser read before the canary are sent again. */
export function bodies({ app }: Stage): void {
  const send = (type: string, body: string | Buffer) =>
    ({ method: 'POST', body, headers: { 'content-type': type, 'content-length': Buffer.byteLength(body) } }) as const

  test.each([
    ['JSON', 'application/json', '{"a":[1,{"b":"ü"}]}'],
    ['a form', 'application/x-www-form-urlencoded', 'a=1&b=two+words&c=%C3%BC'],
    ['text', 'text/plain', 'hello, world'],
    ['bytes', 'application/octet-stream', Buffer.from([0, 1, 2, 255])],
  ])('%s, read by a parser, arrives all the same', async (_name, type, body) => {
    const { url } = await app({ percentage: 100 }, { parse: true })
    const seen = await echoOf(url, send(type, body))
    // The echo speaks of bytes as latin-1, in JSON, which the client reads as latin-1.
    const bytes = Buffer.from(Buffer.from(seen.body, 'latin1').toString(), 'latin1')
    if (type.includes('form')) {
      expect([...new URLSearchParams(bytes.toString())]).toEqual([...new URLSearchParams(String(body))])
    } else expect(bytes).toEqual(Buffer.from(body))
    expect(seen.headers['content-length']).toBe(String(seen.length))
  })

  const INEXACT: readonly (readonly [string, string, string])[] = [
    ['JSON with a large integer', 'application/json', '{ "id": 12345678901234567890 }'],
    ['a form with escapes of latin-1', 'application/x-www-form-urlencoded', 'user.name=x&a[]=%E9&a[]=1'],
  ]

  test.each(INEXACT)('%s arrives as it came where rawBody is kept', async (_name, type, body) => {
    const { url } = await app({ percentage: 100 }, { parse: 'keeping' })
    expect((await echoOf(url, send(type, body))).body).toBe(body)
  })

  test.each(INEXACT)('%s is refused where only a parser read it', async (_name, type, body) => {
    const { url } = await app({ percentage: 100 }, { parse: true })
    const { status, text } = await ask(url, send(type, body))
    expect([status, text]).toEqual([500, expect.stringMatching(/^ERR_CANARY_BODY: .*before the parser, .*rawBody/)])
  })

  test('a digest is refused with a body that was parsed, and sent with its bytes', async () => {
    const sent = send('application/json', '{ "a": 1 }')
    const digested = { ...sent, headers: { ...sent.headers, 'content-digest': 'sha-256=:x:' } }
    const parsing = await app({ percentage: 100 }, { parse: true })
    expect((await ask(parsing.url, digested)).text).toMatch(/^ERR_CANARY_BODY: .*digest/)
    const keeping = await app({ percentage: 100 }, { parse: 'keeping' })
    expect(await echoOf(keeping.url, digested)).toMatchObject({ body: sent.body })
  })

  test('an empty body in chunks does not become an object', async () => {
    const { url } = await app({ percentage: 100 }, { parse: true })
    const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }
    const { status, text } = await ask(url, { method: 'POST', headers })
    expect([status, text]).toEqual([500, expect.stringMatching(/^ERR_CANARY_BODY: .*empty/)])
  })

  test('multipart that was read cannot be sent again: an error that says what to do', async () => {
    const { url } = await app({}, { parse: true })
    const body = '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    const { status, text } = await ask(url, send('multipart/form-data; boundary=x', body))
    expect(status).toBe(500)
    expect(text).toMatch(/^ERR_CANARY_BODY: .*before the parser/)
  })

  test('multipart that was not read goes through as it is', async () => {
    const { url } = await app({ percentage: 100 })
    const body = '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    expect((await echoOf(url, send('multipart/form-data; boundary=x', body))).body).toBe(body)
  })

  test('a chunked upload arrives whole', async () => {
    const { url } = await app({ percentage: 100 })
    const { body } = await echoOf(url, { method: 'POST', body: 'hello', headers: { 'transfer-encoding': 'chunked' } })
    expect(body).toBe('hello')
  })

  test('an empty POST arrives empty', async () => {
    const { url } = await app({ percentage: 100 }, { parse: true })
    expect(await echoOf(url, { method: 'POST' })).toMatchObject({ method: 'POST', length: 0 })
  })
}
