import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { joinPath } from '../../src/proxy/request/path.js'
import { urlUpstream } from './harness.js'

const plain = urlUpstream('B', 80)
const based = urlUpstream('B', 80, { basePath: '/base' })
const fixed = urlUpstream('B', 80, { fixedPath: '/only' })

describe('the path sent upstream', () => {
  test.each([
    ['/x?y=1', '/x?y=1', '/base/x?y=1', '/only?y=1'],
    ['/', '/', '/base/', '/only'],
    ['', '/', '/base', '/only'],
    ['?q', '/?q', '/base?q', '/only?q'],
    ['//evil.example/x', '//evil.example/x', '/base//evil.example/x', '/only'],
    ['/a\\b', '/a\\b', '/base/a\\b', '/only'],
    ['/%2F%5c/x%00', '/%2F%5c/x%00', '/base/%2F%5c/x%00', '/only'],
    ['/a/../b', '/a/../b', '/base/a/../b', '/only'],
    ['/a/b/%2e%2E/..', '/a/b/%2e%2E/..', '/base/a/b/%2e%2E/..', '/only'],
    ['/...', '/...', '/base/...', '/only'],
    ['/?next=../../x', '/?next=../../x', '/base/?next=../../x', '/only?next=../../x'],
    ['http://evil.example:81/x?y', '/x?y', '/base/x?y', '/only?y'],
    ['HTTPS://evil.example', '/', '/base', '/only'],
    ['/\u00e9', '/\u00e9', '/base/\u00e9', '/only'],
  ])('%j is joined as text', (path, toPlain, toBased, toFixed) => {
    expect([plain, based, fixed].map((upstream) => joinPath(path, upstream))).toEqual([toPlain, toBased, toFixed])
  })

  test.each([
    '/..',
    '/../x',
    '/a/../../x',
    '/%2e%2e/x',
    '/%2E./x',
    '/.%2e',
    '/a/..\\..\\x',
    '/a%2f..%2f..%2fx',
    '/a%5C..%5c..',
    '/..;/x',
    '/..;v=1/x',
    '/%2e%2e;/x',
    '/a//../..',
    'http://evil.example/../x',
    '*',
    'host:443',
    'x',
    'ftp://evil.example/',
    '/a b',
    '/a\tb',
    '/a\r\nx: y',
    '/a\u0000',
    '/a\u007f',
    '/\u0100',
    '/a#b',
  ])('%j is refused', (path) => {
    for (const upstream of [plain, based, fixed]) {
      expect(() => joinPath(path, upstream)).toThrow(
        expect.objectContaining({ code: 'ERR_CANARY_REQUEST', status: 400 }),
      )
    }
  })

  test('never leaves the base, whatever is asked', () => {
    const piece = fc.constantFrom('..', '.', '%2e', '/', '\\', '%2f', '%5c', 'a', ';x', '//', '?')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        let joined: string
        try {
          joined = joinPath(`/${pieces.join('')}`, based)
        } catch {
          return
        }
        const seen = joined
          .replace(/\?.*/, '')
          .replace(/%2e/gi, '.')
          .replace(/;[^/\\%]*/g, '')
          .replace(/%2f|%5c|\\/gi, '/')
        expect(new URL(seen.replace(/\/+/g, '/'), 'http://x').pathname).toMatch(/^\/base(\/|$)/)
      }),
      { seed: 20260101, numRuns: 2000 },
    )
  })
})
