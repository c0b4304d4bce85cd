import { createRelease } from '@canary-release/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GATEWAYS, type Gateway, optionsFor, sendRaw } from './gateways.js'
import { type RecordingUpstream, startRecordingUpstream } from './recording-upstream.js'

const upstreams = { A: 'http://127.0.0.1:9', B: 'http://127.0.0.1:9' }

const RESERVED = `Host Content-Length Connection Transfer-Encoding Cookie Authorization Set-Cookie Forwarded Te Trailer
Upgrade Keep-Alive Expect Vary Location Content-Type Content-Encoding Cache-Control Date ETag WWW-Authenticate
X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Proto X-Forwarded-Prefix X-Real-IP Proxy-Connection
Proxy-Authorization content_length x_forwarded_for CONTENT_TYPE`.split(/\s+/)

const FREE = ['x-side', 'X-Canary-Upstream', 'Canary', 'x_side', 'x-forwarded-release']

const EXPECTED = 'must be a header that has no other meaning, such as x-canary-upstream'

describe('the names that a decision is told by', () => {
  test.each(RESERVED)('%s is refused', (name) => {
    const expected = expect.objectContaining({ code: 'ERR_CANARY_OPTION' })
    const asked = () => createRelease({ name: 'n', upstreams, percentage: 1, proxy: { decisionHeader: name } })
    const exposed = () => createRelease({ name: 'n', upstreams, percentage: 1, exposeHeader: name })
    expect(asked).toThrow(expected)
    expect(asked).toThrow(`proxy.decisionHeader ${EXPECTED}, got ${JSON.stringify(name)}`)
    expect(exposed).toThrow(expected)
    expect(exposed).toThrow(`exposeHeader ${EXPECTED}, got ${JSON.stringify(name)}`)
  })

  test.each(FREE)('%s is taken', (name) => {
    createRelease({
      name: 'n',
      upstreams,
      percentage: 1,
      exposeHeader: name,
      proxy: { decisionHeader: name },
    }).close()
  })
})

const TRAILERS = [
  'X-Side: A',
  'Set-Cookie: evil=1',
  'Content-Type: text/evil',
  'Cache-Control: public',
  'Location: http://evil.example/',
  'Authorization: evil',
  'Vary: evil',
  'X-Seen: evil',
  'Keep-Alive: timeout=9999',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip',
  'Connection: close, x-checksum',
  'Upgrade: websocket',
  'Host: evil.example',
  'TE: trailers',
  'Trailer: x-evil',
  'Content-Encoding: gzip',
  'Content-Range: bytes 0-1/2',
  'X-Forwarded-For: 192.0.2.1',
  'X-Canary-Upstream: A',
  'X-Checksum: 1',
]

const HEAD = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n'
const GET = 'GET / HTTP/1.1\r\nHost: gateway\r\n\r\n'
const LAST = GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')

for (const [framework, start] of Object.entries(GATEWAYS)) {
  describe(`what an upstream behind ${framework} says in the gateway’s stead`, () => {
    let upstream: RecordingUpstream
    let gateway: Gateway
    let answer = ''

    beforeAll(async () => {
      upstream = await startRecordingUpstream(() => answer)
      const url = `http://127.0.0.1:${upstream.port}`
      gateway = await start(optionsFor({ A: url, B: url }, { percentage: 100, exposeHeader: 'X-Side' }))
    })

    afterAll(async () => {
      await gateway.close()
      await upstream[Symbol.asyncDispose]()
    })

    test('in trailers: only those are passed on that gainsay nothing, and the connection goes on', async () => {
      const trailers = TRAILERS.join('\r\n')
      answer = `${HEAD}Trailer: x-checksum\r\nX-Seen: 1\r\n\r\n4\r\ngood\r\n0\r\n${trailers}\r\n\r\n`
      const text = (await sendRaw(gateway.port, GET + LAST)).toLowerCase()
      expect(text.match(/^x-side: .*$/gm)).toEqual(['x-side: b', 'x-side: b'])
      const end = '4\r\ngood\r\n0\r\nx-checksum: 1\r\n\r\n'
      expect(text.split('\r\n\r\n4')).toHaveLength(3)
      expect(text.split(end)).toHaveLength(3)
      expect(text.endsWith(end)).toBe(true)
    })

    // To Node's parser and undici's the whole message is wrong then: what was sent of it must not look whole.
    test.each(['Content-Length: 50', 'content-length: 4', 'Content-Length: 0'])(
      'a trailer that is %s cuts the client off, and nothing on that connection is believed',
      async (trailer) => {
        answer = `${HEAD}\r\n4\r\ngood\r\n0\r\n${trailer}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`
        const text = await sendRaw(gateway.port, GET + LAST)
        expect(text).not.toMatch(/evil|\r\n0\r\n/)
        upstream.take()
        answer = `${HEAD}\r\n4\r\ngood\r\n0\r\n\r\n`
        expect(await sendRaw(gateway.port, LAST)).toMatch(/\r\n\r\n4\r\ngood\r\n0\r\n\r\n$/)
      },
    )

    test.each([200, 204, 302, 304, 401, 404, 500, 599])(
      'of the decision, with %s: only the gateway tells it',
      async (status) => {
        const forged = 'X-Side: A\r\nx-side: A, B\r\nX-SIDE: A\r\nX-Canary-Upstream: A\r\nX_Canary_Upstream: A\r\n'
        answer = `HTTP/1.1 ${status} Said\r\n${forged}Content-Length: 0\r\n\r\n`
        const text = (await sendRaw(gateway.port, LAST)).toLowerCase()
        expect(text).toMatch(new RegExp(`^http/1.1 ${status} `))
        expect(text.match(/^x[-_](?:side|canary.upstream):.*$/gm)).toEqual(['x-side: b'])
        const upgrade = 'GET / HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
        const refused = (await sendRaw(gateway.port, upgrade)).toLowerCase()
        expect(refused.match(/^x[-_](?:side|canary.upstream):.*$/gm)).toEqual(['x-side: b'])
      },
    )
  })
}
