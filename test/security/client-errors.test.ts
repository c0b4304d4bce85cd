import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { GATEWAYS, type Gateway, optionsFor, sendRaw, statusesOf } from './gateways.js'
import { type RecordingUpstream, startRecordingUpstream } from './recording-upstream.js'

const BIG = 'x'.repeat(20 * 1024)
const HOST = 'Host: gateway\r\n'
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
const SECOND = `GET /second HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`

/** What Node answers before anybody sees a request; `null`: nothing, it only closes the connection. */
const REFUSED: readonly (readonly [name: string, status: number | null, bytes: string])[] = [
  ['a target of 20 KB', 431, `GET /${BIG} HTTP/1.1\r\n${HOST}\r\n`],
  ['a query of 20 KB', 431, `GET /?${BIG} HTTP/1.1\r\n${HOST}\r\n`],
  ['a header of 20 KB', 431, `GET / HTTP/1.1\r\n${HOST}X-Big: ${BIG}\r\n\r\n`],
  ['a header name of 20 KB', 431, `GET / HTTP/1.1\r\n${HOST}${BIG}: x\r\n\r\n`],
  ['20 headers of 1 KB', 431, `GET / HTTP/1.1\r\n${HOST}${`X-Big: ${BIG.slice(0, 1000)}\r\n`.repeat(20)}\r\n`],
  ['an upgrade with a header of 20 KB', 431, `GET / HTTP/1.1\r\n${HOST}${UPGRADE}X-Big: ${BIG}\r\n\r\n`],
  ['an upgrade to a target of 20 KB', 431, `GET /${BIG} HTTP/1.1\r\n${HOST}${UPGRADE}\r\n`],
  ['a method of 20 KB', 400, `${BIG} / HTTP/1.1\r\n${HOST}\r\n`],
  ['a method that nobody knows', 400, `FETCH / HTTP/1.1\r\n${HOST}\r\n`],
  ['no host', 400, 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n'],
  ['the preface of HTTP/2', 400, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['a TLS hello', 400, '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03'],
  [
    'an expectation that nobody knows',
    417,
    `GET / HTTP/1.1\r\n${HOST}Expect: the-unexpected\r\nConnection: close\r\n\r\n`,
  ],
  ['CONNECT', null, `CONNECT evil.example:443 HTTP/1.1\r\n${HOST}\r\n`],
]

const TRAILER = 'POST /late HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'

/** What Node finds while the body is on its way: the request is broken off, for the client and for the upstream. */
const LATE: readonly (readonly [name: string, bytes: string])[] = [
  ['trailers of 20 KB', `${TRAILER}0\r\nX-Big: ${BIG}\r\n\r\n`],
  ['chunk extensions of 20 KB', `${TRAILER}5;${BIG}\r\nhello\r\n0\r\n\r\n`],
  ['a chunk that is none', `${TRAILER}zz\r\n`],
]

const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length

for (const [framework, start] of Object.entries(GATEWAYS)) {
  describe(`what Node itself refuses, before ${framework}`, () => {
    let upstream: RecordingUpstream
    let gateway: Gateway

    beforeAll(async () => {
      upstream = await startRecordingUpstream()
      const url = `http://127.0.0.1:${upstream.port}`
      gateway = await start(optionsFor({ A: url, B: url }))
    })

    afterAll(async () => {
      await gateway.close()
      await upstream[Symbol.asyncDispose]()
    })

    test.for(REFUSED)('%s: %s, nothing is sent on, and nothing left behind', async ([, status, bytes]) => {
      const text = await sendRaw(gateway.port, bytes.includes('Connection: close') ? bytes : bytes + SECOND)
      expect(statusesOf(text), text).toEqual(status === null ? [] : [status])
      expect(text).not.toMatch(/ at |\/packages\/|node:|127\.0\.0\.1/)
      expect(upstream.take()).toBe('')
      await vi.waitFor(() => expect(sockets()).toBe(0))
    })
  })

  describe(`what Node itself finds in a body, before ${framework}`, () => {
    test.for(LATE)('%s: the request is broken off on both sides', async ([, bytes]) => {
      await using upstream = await startRecordingUpstream()
      const url = `http://127.0.0.1:${upstream.port}`
      const gateway = await start(optionsFor({ A: url, B: url }))
      const text = await sendRaw(gateway.port, bytes)
      expect([[], [400], [413], [431]]).toContainEqual(statusesOf(text))
      expect(upstream.take()).not.toMatch(/\r\n0\r\n|xxx/)
      expect(await sendRaw(gateway.port, SECOND)).toMatch(/^HTTP\/1\.1 200 /)
      await gateway.close()
    })
  })
}
