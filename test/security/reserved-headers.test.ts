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
  'X-Checksum: 1',
]

for (const [framework, start] of Object.entries(GATEWAYS)) {
  describe(`trailers through ${framework}`, () => {
    let upstream: RecordingUpstream
    let gateway: Gateway

    beforeAll(async () => {
      const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-checksum\r\nX-Seen: 1\r\n\r\n'
      upstream = await startRecordingUpstream(() => `${head}4\r\ngood\r\n0\r\n${TRAILERS.join('\r\n')}\r\n\r\n`)
      const url = `http://127.0.0.1:${upstream.port}`
      gateway = await start(optionsFor({ A: url, B: url }, { percentage: 100, exposeHeader: 'X-Side' }))
    })

    afterAll(async () => {
      await gateway.close()
      await upstream[Symbol.asyncDispose]()
    })

    test('only those are passed on that gainsay nothing', async () => {
      const text = await sendRaw(gateway.port, 'GET / HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n')
      expect(text.toLowerCase().match(/^x-side: .*$/gm)).toEqual(['x-side: b'])
      expect(text.slice(text.indexOf('\r\n0\r\n')).toLowerCase()).toBe('\r\n0\r\nx-checksum: 1\r\n\r\n')
    })
  })
}
