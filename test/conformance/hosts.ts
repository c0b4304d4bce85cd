import { expect, test } from 'vitest'
import { sendRaw, statusesOf } from '../security/gateways.js'
import { type Stage, always } from './stage.js'
import type { Echo } from './upstream.js'

/** Hosts that are none. Servers that build links and pages from them would say what a stranger wants. */
const REFUSED = [
  '"><script>alert(1)</script>',
  'a b',
  'a, b',
  'a,\tb',
  'a"b',
  'a<b',
  'a/b',
  'a/../b',
  'a?b',
  'a#b',
  'a\\b',
  'a|b',
  'a^b',
  'a`b',
  'a{b}',
  'user@a',
  'user:password@a',
  '@',
  'a:b',
  'a:80:80',
  'a:-1',
  'a:+80',
  'a:8 0',
  'a:65536',
  'a:99999',
  'a:00000065536',
  ':',
  ':80',
  '[::1',
  '::1',
  '::1]',
  '[]',
  '[::1]a',
  '[::1]:x',
  '[::1]:65536',
  '[::g]',
  '[1:2:3]',
  '[1.2.3.4]',
  '[fe80::1%eth0]',
  '[fe80::1%25eth0]',
  '[v1.a]',
  '[a]',
  '%',
  '%4',
  '%zz',
  'a%2fb',
  'a%40b',
  'a%00',
  'a%20b',
  'a%3a80',
  '1.2.3.999',
  '1.2.3.4.5',
  'b\u00fccher.example',
  'http://a',
]

/** Hosts, and the port that each names. */
const ACCEPTED: readonly (readonly [host: string, port: string])[] = [
  ['a', '80'],
  ['Shop.Example', '80'],
  ['shop.example.', '80'],
  ['shop_1.example', '80'],
  ['_dmarc.example:8080', '8080'],
  ['-a-', '80'],
  ['xn--bcher-kva.example', '80'],
  ['shop.example:', '80'],
  ['shop.example:0', '0'],
  ['shop.example:65535', '65535'],
  ['shop.example:0000443', '443'],
  ['127.0.0.1:3000', '3000'],
  ['[::1]', '80'],
  ['[2001:DB8::1]:8443', '8443'],
  ['[::ffff:192.0.2.1]', '80'],
  ["a!$&'()*+,;=~b", '80'],
  ['b%C3%BCcher.example', '80'],
]

/** Tests of what a client may send as its `Host`. */
export function hosts(stage: Stage): void {
  const { app, upstreams } = stage

  const open = async (proxy: object = {}) => {
    const { url } = await app({ percentage: 100, proxy })
    const port = Number(new URL(url).port)
    const ask = (host: string, lines = '') =>
      sendRaw(port, `GET /x HTTP/1.1\r\nHost: ${host}\r\n${lines || 'Connection: close\r\n'}\r\n`)
    return { port, ask }
  }
  const echoIn = (text: string): Echo => JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)) as Echo

  test.each([{}, { preserveHost: true }])('a host that is none is refused, with %j', async (proxy) => {
    const { ask } = await open(proxy)
    for (const host of REFUSED) {
      const text = await ask(host)
      expect([host, statusesOf(text)]).toEqual([host, [400]])
      expect(text).toContain('ERR_CANARY_REQUEST: the request names a host that is none')
      expect(text.toLowerCase()).not.toContain('<script')
    }
    expect(upstreams().map(({ seen }) => seen)).toEqual([[], []])
  })

  test('a host is sent on as it was written, with its port', async () => {
    const { ask } = await open()
    for (const [host, port] of ACCEPTED) {
      const text = await ask(host)
      expect([host, statusesOf(text)]).toEqual([host, [200]])
      expect(echoIn(text).headers).toMatchObject({
        host: new URL(stage.B()).host,
        'x-forwarded-host': host,
        'x-forwarded-port': port,
      })
    }
  })

  test('a host is kept as it was written with preserveHost', async () => {
    const { ask } = await open({ preserveHost: true })
    for (const [host] of ACCEPTED) expect(echoIn(await ask(host)).headers['host']).toBe(host)
  })

  test.each([{}, { preserveHost: true }])('an empty host is not sent on, with %j', async (proxy) => {
    const { ask } = await open(proxy)
    const { headers } = echoIn(await ask(''))
    expect(headers).toMatchObject({ host: new URL(stage.B()).host, 'x-forwarded-port': '80' })
    expect(headers).not.toHaveProperty('x-forwarded-host')
  })

  test('an upgrade for a host that is none is refused', async () => {
    const { ask } = await open()
    const asks = `Connection: Upgrade\r\nUpgrade: echo\r\nx-canary: ${always['x-canary']}\r\n`
    for (const host of REFUSED) {
      const text = await ask(host, asks)
      expect([host, statusesOf(text)]).toEqual([host, [400]])
      expect(text).toContain('ERR_CANARY_REQUEST')
    }
    expect(upstreams().map(({ seen }) => seen)).toEqual([[], []])
  })
}
