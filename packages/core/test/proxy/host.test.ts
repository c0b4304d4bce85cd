import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CanaryError } from '../../src/errors.js'
import { readHost } from '../../src/proxy/request/headers.js'

/** What `Host` is read as; `null` where it is refused. */
function read(text: string): ReturnType<typeof readHost> | null {
  try {
    return readHost(text)
  } catch (error) {
    if (error instanceof CanaryError && error.code === 'ERR_CANARY_REQUEST') return null
    throw error
  }
}

/** Texts near enough to hosts that many are accepted and many are not. */
const PIECES = ['a', 'Z', '0', '9', '.', '-', '_', '~', ':', '[', ']', '::', '%', '%41', '%2f', '%C3%BC', '@', '/', '?']
const MORE = [
  '#',
  '\\',
  ' ',
  '\t',
  '\r\n',
  '"',
  '<',
  '>',
  '|',
  '^',
  '`',
  '{',
  ',',
  ';',
  '=',
  '&',
  '\u00fc',
  '\0',
  ':80',
]
const nearHosts = fc
  .array(fc.constantFrom(...PIECES, ...MORE), { minLength: 1, maxLength: 8 })
  .map((all) => all.join(''))
const hosts = fc.oneof(
  nearHosts,
  fc.string({ minLength: 1 }),
  fc.webAuthority({ withPort: true }),
  fc.ipV6().map((ip) => `[${ip}]`),
)

describe('a host', () => {
  test('that is accepted is all of what it names in a URL', () => {
    let accepted = 0
    fc.assert(
      fc.property(hosts, (host) => {
        const found = read(host)
        if (found === null) return
        accepted += 1
        const url = new URL(`http://${host}/p?q#f`)
        expect([url.username, url.password, url.pathname, url.search, url.hash]).toEqual(['', '', '/p', '?q', '#f'])
        expect(url.port).toBe(found.port === null || found.port === '80' ? '' : found.port)
        expect(found.text).toBe(host)
      }),
      { seed: 11, numRuns: 20_000 },
    )
    expect(accepted).toBeGreaterThan(1000)
  })

  test('with a port is accepted exactly where it is one from 0 to 65535', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 200_000 }), (port) => {
        expect(read(`shop.example:${port}`)?.port).toBe(port <= 65_535 ? String(port) : undefined)
      }),
      { seed: 11, numRuns: 2000 },
    )
  })

  test('is judged for itself, whatever was accepted before it', () => {
    for (const text of ['a', 'a', 'a b', 'a', 'a:1', 'a:99999', 'a:1']) {
      expect([text, read(text)?.text]).toEqual([text, /[ 9]/.test(text) ? undefined : text])
    }
  })
})
