/** A request target below a mount, and what may be appended to the upstream's base for it; `null`: nothing is sent. */
export interface Target {
  readonly path: string
  readonly reaches: string | null
  /** Scheme and authority before it, or anything that stands in their place. */
  readonly before?: string | undefined
  /** Routers that decode parameters refuse it: both are right. */
  readonly mayBeRefused?: boolean | undefined
}

const kept = (path: string): Target => ({ path, reaches: path })
const refused = (path: string): Target => ({ path, reaches: null })

const KEPT = [
  '/',
  '/x',
  '/x?y=1',
  '/x//y',
  '//evil.example/x',
  '///x',
  '/x\\y',
  '/...',
  '/..x',
  '/x..',
  '/%252e%252e/x',
  '/%00',
  '/%0d%0aX-Injected:%20yes',
  '/%2F%5c/x',
  '/?next=../../x',
  '/?/../..',
  '/?http://evil.example/#'.slice(0, -1),
  '/http://evil.example/x',
  '/@evil.example',
  '/<a>"b`{|}^',
].map(kept)

const REFUSED = [
  '/a/../b',
  '/a/b/%2e%2E/..',
  '/./x',
  '/x/.',
  '/x/%2E;y',
  '/x;a=/../b',
  '/x%2f%2e%2e%2fy',
  '/..',
  '/../',
  '/../x',
  '/..?x',
  '/a/../../x',
  '/a/b/../../../x',
  '/./../x',
  '//../..',
  '/%2e%2e/x',
  '/%2E./x',
  '/.%2e',
  '/%2e%2E%2fx',
  '/..%2fx',
  '/..%2Fx',
  '/..%5cx',
  '/..\\x',
  '/\\..\\x',
  '/a\\..\\..\\x',
  '/a%2f..%2f..%2fx',
  '/..;/x',
  '/..;v=1/x',
  '/%2e%2e;/x',
  '/a/..;/..;/x',
  '/#/../x',
  '/x#y',
  '/x y',
  '/x\ty',
  '/x\u0001y',
  '/x\u007fy',
  '/x\u0000y',
  '/x\u000by',
  '/\u00a0',
  '/\u00e9',
  '/\u00c0\u00ae\u00c0\u00ae/x',
].map(refused)

/** Rows for every mount, at the root and under a prefix. */
export const TARGETS: readonly Target[] = [
  ...KEPT,
  ...REFUSED,
  { path: '/%', reaches: '/%', mayBeRefused: true },
  { path: '/%zz', reaches: '/%zz', mayBeRefused: true },
  { path: '/%c0%ae%c0%ae/x', reaches: '/%c0%ae%c0%ae/x', mayBeRefused: true },
  { before: 'http://evil.example', path: '/x', reaches: '/x' },
  { before: 'https://evil.example:81', path: '/x?y', reaches: '/x?y' },
  { before: 'http://user:secret@evil.example', path: '/x', reaches: '/x', mayBeRefused: true },
  { before: 'HTTP://EVIL.EXAMPLE', path: '/x', reaches: '/x' },
  { before: 'http://evil.example', path: '/../x', reaches: null },
  { before: 'http://evil.example', path: '/%2e%2e%2fx', reaches: null },
  { before: 'http://evil.example', path: '//../../x', reaches: null },
  { before: 'http://evil.example\\', path: '/x', reaches: null },
  { before: 'http://evil.example#', path: '/x', reaches: null },
  { before: 'http://evil.example\u0000', path: '/x', reaches: null },
  { before: 'ftp://evil.example', path: '/x', reaches: null },
  { before: 'file://', path: '/x', reaches: null },
  { before: 'http:', path: '/x', reaches: null },
  { before: 'evil.example:443', path: '', reaches: null },
  { before: '@evil.example', path: '/x', reaches: null },
  { before: '?', path: '/x', reaches: null },
  { before: '*', path: '', reaches: null },
]

/** Whether a server that decodes, joins and trims all it can would read a path as one below `base`. */
export function staysBelow(base: string, target: string): boolean {
  const path = target
    .replace(/[?#].*/s, '')
    .replace(/%2e/gi, '.')
    .replace(/%2f|%5c|\\/gi, '/')
    .replace(/;[^/]*/g, '')
    .replace(/\/{2,}/g, '/')
  const { pathname } = new URL(path, 'http://upstream.example')
  return pathname === base || pathname.startsWith(`${base}/`)
}
