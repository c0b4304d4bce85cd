const HOST = 'Host: gateway\r\n'
const ASKS = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
const upgrade = (lines: string, target = '/a', method = 'GET', version = '1.1'): string =>
  `${method} ${target} HTTP/${version}\r\n${HOST}${lines}\r\n`
const BODY = 'GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n'
const CHUNKS = '5\r\nhello\r\n0\r\n\r\n'

/** Upgrades that no gateway should forward. */
export const REFUSED: readonly (readonly [name: string, bytes: string])[] = [
  ['with a body of known length', upgrade(`${ASKS}Content-Length: ${BODY.length}\r\n`) + BODY],
  ['with a body in chunks', upgrade(`${ASKS}Transfer-Encoding: chunked\r\n`) + CHUNKS],
  ['with a body and two framings', upgrade(`${ASKS}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n`) + CHUNKS],
  ['with two lengths', upgrade(`${ASKS}Content-Length: 0\r\nContent-Length: 5\r\n`) + BODY],
  ['with a coding that is none', upgrade(`${ASKS}Transfer-Encoding: xchunked\r\n`) + BODY],
  [
    'with a body that Connection names',
    upgrade(`Connection: content-length, upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n`) + BODY,
  ],
  ['of a POST with a body', upgrade(`${ASKS}Content-Length: 5\r\n`, '/a', 'POST') + BODY],
  ['without a host', `GET /a HTTP/1.1\r\n${ASKS}\r\n`],
  ['with two hosts', upgrade(`${ASKS}Host: evil.example\r\n`)],
  ['with the same host twice', upgrade(`${ASKS}${HOST}`)],
  ['to a path that climbs', upgrade(ASKS, '/../a')],
  ['to a path that climbs in disguise', upgrade(ASKS, '/x/%2e%2E/..%5ca')],
  ['to a path with a control character', upgrade(ASKS, '/a\u0001b')],
  ['to a path with a tab', upgrade(ASKS, '/a\tb')],
  ['to a path with a fragment', upgrade(ASKS, '/a#b')],
  ['to a path that climbs behind another host', upgrade(ASKS, 'http://evil.example/../a')],
  ['to *', upgrade(ASKS, '*')],
  ['of HTTP/2.0', upgrade(ASKS, '/a', 'GET', '2.0')],
  ['of HTTP/1.2', upgrade(ASKS, '/a', 'GET', '1.2')],
  ['with a folded header', upgrade(`${ASKS}X-A: a\r\n b\r\n`)],
  ['with a bare LF', upgrade(`${ASKS}X-A: a\nX-B: b\r\n`)],
  ['with a NUL', upgrade(`${ASKS}X-A: a\0b\r\n`)],
  ['with a folded protocol', upgrade('Connection: Upgrade\r\nUpgrade:\r\n websocket\r\n')],
]

export interface Forwarded {
  readonly name: string
  readonly bytes: string
  /** What reaches the upstream beside what the gateway says of itself. */
  readonly line?: string | undefined
  readonly lines?: readonly string[] | undefined
  readonly protocol?: string | undefined
}

/** Upgrades that are forwarded, and as what. */
export const FORWARDED: readonly Forwarded[] = [
  { name: 'as a browser asks', bytes: upgrade(`${ASKS}Cookie: a=b\r\n`), lines: ['cookie: a=b'] },
  {
    name: 'with headers that Connection names',
    bytes: upgrade(
      'Connection: upgrade, x-forwarded-for, host, cookie, x-side\r\nConnection: connection, x-forwarded-proto\r\n' +
        'Upgrade: websocket\r\nCookie: a=b\r\nX-Kept: 1\r\n',
    ),
    lines: ['x-kept: 1'],
  },
  {
    name: 'with forged words of the client and of the decision',
    bytes: upgrade(
      `${ASKS}X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\nX-Forwarded-Host: evil\r\nX_Forwarded_For: 192.0.2.1\r\n` +
        'X-Real-IP: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\nX-Side: B\r\nX_Side: B\r\nX-Canary-Upstream: B\r\n',
    ),
  },
  {
    name: 'with what is of one connection',
    bytes: upgrade(
      `${ASKS}Keep-Alive: timeout=9\r\nProxy-Connection: Upgrade\r\nProxy-Authorization: Basic eDp5\r\nTE: trailers\r\n` +
        'HTTP2-Settings: AAMAAABkAAQAAP__\r\nExpect: 100-continue\r\nTrailer: x\r\n',
    ),
  },
  {
    name: 'with several protocols',
    bytes: upgrade('Connection: Upgrade\r\nUpgrade: foo/2\r\nUpgrade: websocket\r\n'),
    protocol: 'foo/2, websocket',
  },
  { name: 'in absolute form', bytes: upgrade(ASKS, 'http://evil.example/a?b'), line: 'GET /a?b' },
  { name: 'to two slashes', bytes: upgrade(ASKS, '//evil.example/a'), line: 'GET //evil.example/a' },
  { name: 'with a length of 0', bytes: upgrade(`${ASKS}Content-Length: 0\r\n`) },
  { name: 'by POST', bytes: upgrade(ASKS, '/a', 'POST'), line: 'POST /a', lines: ['content-length: 0'] },
  {
    name: 'with header names of JavaScript',
    bytes: upgrade(`${ASKS}__proto__: a\r\nconstructor: b\r\n`),
    lines: ['__proto__: a', 'constructor: b'],
  },
]

/** Requests that ask for what is ignored. */
export const IGNORED: readonly {
  readonly name: string
  readonly bytes: string
  /** What is sent upstream of them: the line, how the body is framed, and the body, where it may be cut in several ways. */
  readonly sent?: readonly [line: string, framing: readonly string[], body: string | readonly string[]] | undefined
}[] = [
  ...['h2c', 'H2C', 'h2', 'websocket, h2c', 'HTTP/2.0', 'TLS/1.0', 'TLS/1.0, HTTP/1.1'].map((protocol) => ({
    name: `Upgrade: ${protocol}`,
    bytes: upgrade(
      `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`,
    ),
  })),
  {
    name: 'h2c with a body of known length',
    bytes: `${upgrade('Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n', '/a', 'POST')}hello`,
    sent: ['POST /a', ['content-length: 5'], 'hello'],
  },
  {
    name: 'h2c with a body in chunks',
    bytes: upgrade('Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n', '/a', 'POST') + CHUNKS,
    sent: ['POST /a', ['transfer-encoding: chunked'], CHUNKS],
  },
  {
    name: 'h2c with a body of no chunks',
    bytes: `${upgrade('Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n', '/a', 'POST')}0\r\n\r\n`,
    sent: ['POST /a', ['content-length: 0'], ''],
  },
  {
    name: 'h2c with several chunks and a trailer',
    bytes: `${upgrade('Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n', '/a', 'POST')}5\r\nhello\r\n5\r\nworld\r\n0\r\nX-Sum: 1\r\n\r\n`,
    sent: [
      'POST /a',
      ['transfer-encoding: chunked'],
      ['5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n', 'a\r\nhelloworld\r\n0\r\n\r\n'],
    ],
  },
  {
    name: 'an upgrade of HTTP/1.0',
    bytes: upgrade('Connection: Upgrade, keep-alive\r\nUpgrade: websocket\r\n', '/a', 'GET', '1.0'),
  },
  { name: 'Upgrade without Connection', bytes: upgrade('Upgrade: websocket\r\n') },
  { name: 'Connection without Upgrade', bytes: upgrade('Connection: Upgrade\r\n') },
]

const HEAD = 'HTTP/1.1 101 Switching Protocols\r\n'
const SAYS = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'

/** What an upstream may answer to an upgrade and no client must see; 502 instead. */
export const BAD_ANSWERS: readonly (readonly [name: string, bytes: string])[] = [
  ['another protocol', `${HEAD}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\nevil`],
  ['one protocol more', `${HEAD}Connection: Upgrade\r\nUpgrade: websocket, evil\r\n\r\nevil`],
  ['no protocol', `${HEAD}Connection: Upgrade\r\nUpgrade: \r\n\r\nevil`],
  ['no Upgrade', `${HEAD}Connection: Upgrade\r\n\r\nevil`],
  ['no Connection', `${HEAD}Upgrade: websocket\r\n\r\nevil`],
  ['neither', `${HEAD}\r\nevil`],
  ['a folded header', `${HEAD}${SAYS}X-A: a\r\n X-Evil: evil\r\n\r\n`],
  ['a bare LF', `${HEAD}${SAYS}X-A: a\nX-Evil: evil\r\n\r\n`],
  ['a bare CR', `${HEAD}${SAYS}X-A: a\rX-Evil: evil\r\n\r\n`],
  ...[0, 1, 8, 11, 27, 127].map(
    (code) => [`the character ${code}`, `${HEAD}${SAYS}X-Evil: a${String.fromCharCode(code)}b\r\n\r\n`] as const,
  ),
  ['a name with a blank', `${HEAD}${SAYS}X-Evil : a\r\n\r\n`],
  ['64 KB of headers', `${HEAD}${SAYS}${`X-Evil: ${'x'.repeat(1000)}\r\n`.repeat(64)}\r\n`],
  [
    'a length and chunks',
    `HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
  ],
  [
    'a coding that is not forwarded',
    `HTTP/1.1 200 OK\r\nX-Evil: 1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n${CHUNKS}`,
  ],
  ['nonsense', 'evil evil\r\n\r\n'],
]
