import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GATEWAYS, type Gateway, type GatewayOptions, optionsFor, sendRaw, statusesOf } from './gateways.js'
import { type RecordingUpstream, startRecordingUpstream } from './recording-upstream.js'

const CHUNK = 'x'.repeat(1000)

for (const [framework, start] of Object.entries(GATEWAYS)) {
  describe(`large and many headers through ${framework}`, () => {
    let upstreams: readonly [RecordingUpstream, RecordingUpstream]
    const gateways: Gateway[] = []

    beforeAll(async () => {
      upstreams = [await startRecordingUpstream(), await startRecordingUpstream()]
    })

    afterAll(async () => {
      for (const gateway of gateways) await gateway.close()
      for (const upstream of upstreams) await upstream[Symbol.asyncDispose]()
    })

    async function gatewayWith(more: Partial<GatewayOptions>) {
      const [A, B] = upstreams.map(({ port }) => `http://127.0.0.1:${port}`)
      const gateway = await start(optionsFor({ A: A ?? '', B: B ?? '' }, { percentage: 0, ...more }))
      gateways.push(gateway)
      return gateway
    }

    async function ask({ port }: Gateway, lines: readonly string[]) {
      const text = await sendRaw(
        port,
        ['GET / HTTP/1.1', 'Host: x', 'Connection: close', ...lines, '', ''].join('\r\n'),
      )
      const [toA = '', toB = ''] = upstreams.map((upstream) => upstream.take())
      return { status: statusesOf(text)[0], text, toA, toB, side: toA === '' ? (toB === '' ? null : 'B') : 'A' }
    }

    test('a head of more than Node takes is 431, and nothing of it is sent', async () => {
      const gateway = await gatewayWith({})
      for (const lines of [
        [`X-Big: ${CHUNK.repeat(20)}`],
        [`Cookie: canary_id=${CHUNK.repeat(20)}`],
        Array.from({ length: 20 }, (_, i) => `X-${i}: ${CHUNK}`),
      ]) {
        expect(await ask(gateway, lines)).toMatchObject({ status: 431, side: null })
      }
    })

    test('a value of nearly that much arrives as it is, or is hashed', async () => {
      const big = CHUNK.repeat(14)
      const { status, toA } = await ask(await gatewayWith({}), [`X-Big: ${big}`])
      expect([status, toA.includes(`\r\nx-big: ${big}\r\n`)]).toEqual([200, true])
      const hashing = await gatewayWith({ percentage: 50, hash: { header: 'X-Big' } })
      const first = await ask(hashing, [`X-Big: ${big}`])
      const again = await ask(hashing, [`X-Big: ${big}`])
      expect([first.status, again.side]).toEqual([200, first.side])
    })

    test.each([
      ['its length', 'Content-Length: 5', 'hello'],
      ['its chunks', 'Transfer-Encoding: chunked', '5\r\nhello\r\n0\r\n\r\n'],
      ['an upgrade', 'Connection: Upgrade\r\nUpgrade: websocket', ''],
      ['a second Host', 'Host: y', ''],
      ['nothing', 'X: 1', ''],
    ])('more headers than Node tells of, %s among the last, are refused, and nothing of it is sent', async (...row) => {
      const [, last, body] = row
      const gateway = await gatewayWith({})
      const post = (count: number) =>
        sendRaw(
          gateway.port,
          `POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${'a:\r\n'.repeat(count)}${last}\r\n\r\n${body}`,
        )
      for (const count of [1000, 1010, 1024, 1100, 2000, 3000]) {
        // Later versions of Node refuse them before anybody sees them.
        expect([[400], [431]], String(count)).toContainEqual(statusesOf(await post(count)))
        expect(upstreams.map((upstream) => upstream.take())).toEqual(['', ''])
      }
    })

    test('nearly 1 000 headers arrive, and the body behind them', async () => {
      const gateway = await gatewayWith({})
      const lines = Array.from({ length: 990 }, (_, i) => `a${i}: ${i}`)
      const head = ['POST / HTTP/1.1', 'Host: x', 'Connection: close', ...lines, 'Content-Length: 5', '', 'hello']
      expect(statusesOf(await sendRaw(gateway.port, head.join('\r\n')))).toEqual([200])
      const [sent = ''] = upstreams.map((upstream) => upstream.take())
      expect(sent.split('\r\n')).toEqual(expect.arrayContaining(lines))
      expect(sent).toMatch(/\r\n\r\nhello$/)
    })

    test('of 1 000 cookies the right one decides', async () => {
      const gateway = await gatewayWith({ override: { cookie: 'side' } })
      const cookies = Array.from({ length: 1000 }, (_, i) => `c${i}=${i}`)
      const at = (i: number, cookie: string) => [`Cookie: ${cookies.toSpliced(i, 0, cookie).join('; ')}`]
      for (const i of [0, 500, 1000]) {
        expect(await ask(gateway, at(i, 'side=always'))).toMatchObject({ status: 200, side: 'B' })
        expect(await ask(gateway, at(i, 'side=nothing'))).toMatchObject({ status: 200, side: 'A' })
      }
    })

    test.each([
      'sid=always',
      'sides=always',
      'aside=always',
      'a-side=always',
      'x=side=always',
      'x="side=always"',
      'side-x=always',
      'side.=always',
      'SIDE=always',
      'side',
      'side;=always',
      'side:always',
      'x=1, side=always',
      's\u0069de_=always',
      'side%3Dalways',
      '=side=always',
      'side=alwaysx',
      'side="always',
      'side=never; side=always',
      'x'.repeat(5000),
      'side'.repeat(3000),
      ' '.repeat(5000),
      ';'.repeat(5000),
      'side='.repeat(2500),
    ])('a cookie that is nearly the one decides nothing: %.40s', async (cookie) => {
      const gateway = await gatewayWith({ override: { cookie: 'side' } })
      expect(await ask(gateway, [`Cookie: ${cookie}`])).toMatchObject({ status: 200, side: 'A' })
    })

    test.each([
      'side=always',
      ' side=always',
      'side="always"',
      'x=1;side=always',
      'x=1;\tside=always ; y=2',
      'side=always;',
    ])('a cookie that is the one decides: %j', async (cookie) => {
      const gateway = await gatewayWith({ override: { cookie: 'side' } })
      expect(await ask(gateway, [`Cookie: ${cookie}`])).toMatchObject({ status: 200, side: 'B' })
    })

    test('a visitor’s cookie that is oversize is hashed as it is, and never sent back', async () => {
      const gateway = await gatewayWith({ percentage: 50, hash: { cookie: 'id' } })
      for (const value of [
        CHUNK.repeat(10),
        '%0d%0aSet-Cookie:%20evil=1',
        '"; evil=1',
        '\u00ff\u00fe',
        '../../x',
        '<script>',
      ]) {
        const first = await ask(gateway, [`Cookie: id=${value}`])
        expect(first.status).toBe(200)
        expect(first.text).not.toMatch(/set-cookie/i)
        expect((await ask(gateway, [`Cookie: id=${value}`])).side).toBe(first.side)
      }
    })

    test.each(['id=', 'id=""', 'id', 'other=1', ''])('a visitor without an id gets a fresh one: %j', async (cookie) => {
      const gateway = await gatewayWith({ percentage: 50, hash: { cookie: 'id' } })
      const { text } = await ask(gateway, cookie === '' ? [] : [`Cookie: ${cookie}`])
      expect(text.match(/^set-cookie: id=[\w-]{16,64}; [^\r\n]+$/gim)).toHaveLength(1)
      expect(text).toMatch(/^cache-control: private\r$/im)
    })
  })
}
