import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { joinPath } from '../../src/proxy/request/path.js'
import { urlUpstream } from './harness.js'

const plain = urlUpstream('B', 80)
const based = urlUpstream('B', 80, { basePath: '/base' })
const fixed = urlUpstream('B', 80, { fixedPath: '/only' })

/** What is sent to each of them where nothing is changed. */
function joined(path: string): [string, string, string] {
  return [path, `/base${path}`, '/only']
}

describe('the path sent upstream', () => {
  test.each([
    ['/x?y=1', '/x?y=1', '/base/x?y=1', '/only?y=1'],
    ['/', '/', '/base/', '/only'],
    ['', '/', '/base', '/only'],
    ['?q', '/?q', '/base?q', '/only?q'],
    ['//evil.example/x', '//evil.example/x', '/base//evil.example/x', '/only'],
    ['/a\\b', '/a\\b', '/base/a\\b', '/only'],
    ['/%2F%5c/x%00', '/%2F%5c/x%00', '/base/%2F%5c/x%00', '/only'],
    ['/...', '/...', '/base/...', '/only'],
    ['/.a/b./..c/d../%2e%2ee/%2e%2e%2e', ...joined('/.a/b./..c/d../%2e%2ee/%2e%2e%2e')],
    ['/a;b/%61/c%2fd/;..;/%3b..', ...joined('/a;b/%61/c%2fd/;..;/%3b..')],
    ['/?next=../../x', '/?next=../../x', '/base/?next=../../x', '/only?next=../../x'],
    ['http://evil.example:81/x?y', '/x?y', '/base/x?y', '/only?y'],
    ['HTTPS://evil.example', '/', '/base', '/only'],
    ['/\u00e9', '/\u00e9', '/base/\u00e9', '/only'],
  ])('%j is joined as text', (path, toPlain, toBased, toFixed) => {
    expect([plain, based, fixed].map((upstream) => joinPath(path, upstream, 'plain'))).toEqual([
      toPlain,
      toBased,
      toFixed,
    ])
  })

  test.each([
    '/..',
    '/../x',
    '/a/../b',
    '/a/b/%2e%2E/..',
    '/.',
    '/./x',
    '/x/.?y',
    '/x/%2e',
    '/x/%2e;y/z',
    '/x%2f.%5cy',
    '/x\\..',
    '/x;/../y',
    '/x;v=%2f..%2fy',
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
      expect(() => joinPath(path, upstream, 'plain')).toThrow(
        expect.objectContaining({ code: 'ERR_CANARY_REQUEST', status: 400 }),
      )
    }
  })

  test.each([
    '//x',
    '/a//b',
    '/a//',
    '/a\\b',
    '/a%5Cb',
    '/a%2Fb',
    '/a;v=1',
    '/a%3bb',
    '/%61dmin',
    '/%7A',
    '/%41',
    '/%5a',
    '/%30',
    '/%39',
    '/a%2dmin',
    '/a%2Emin',
    '/a%5fb',
    '/%7eroot',
    '/%252e%252e/x',
    '/%2561',
    '/a%00',
    '/a%',
    '/a%zz',
    '/a%4',
    'http://x.example//a',
  ])('%j is refused by strict alone', (path) => {
    expect(() => joinPath(path, plain, 'plain')).not.toThrow()
    expect(() => joinPath(path, plain, 'strict')).toThrow(expect.objectContaining({ code: 'ERR_CANARY_REQUEST' }))
  })

  test.each([
    '/',
    '',
    '/a/b/',
    '/a?next=//b;c%2f%61\\..',
    '/100%25',
    '/100%25%20off',
    '/caf%C3%A9/%E2%82%AC',
    '/a%20b%21%40%5B%5D%60%7B%7D%3A%2B%2A%2C%27',
    '/.well-known/x..y/@scope/a:b,c!$&()*+=~',
    '/\u00e9',
    'http://x.example/a',
  ])('%j is sent with strict', (path) => {
    expect(joinPath(path, plain, 'strict')).toBe(joinPath(path, plain, 'plain'))
  })

  test('never leaves the base, whatever is asked', () => {
    const piece = fc.constantFrom('..', '.', '%2e', '/', '\\', '%2f', '%5c', 'a', ';x', '//', '?')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        let joined: string
        try {
          joined = joinPath(`/${pieces.join('')}`, based, 'plain')
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
