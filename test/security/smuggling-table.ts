/** A request that two servers could read differently. */
export interface Smuggling {
  readonly name: string
  /** Written to the gateway byte for byte, in latin-1. */
  readonly bytes: string
  /** What may reach the upstream; without it: nothing. */
  readonly clean?: Clean | undefined
}

/** The one request that is made of what was sent. */
export interface Clean {
  readonly line: string
  readonly framing?: 'chunked' | 'none' | number | undefined
  readonly body?: string | undefined
}

const HOST = 'Host: gateway\r\n'
const post = (headers: string, body = ''): string => `POST /a HTTP/1.1\r\n${HOST}${headers}\r\n\r\n${body}`
const CHUNKS = '5\r\nhello\r\n0\r\n\r\n'
const chunked = (body: string): string => post('Transfer-Encoding: chunked', body)
const CHUNKED: Clean = { line: 'POST /a', framing: 'chunked', body: CHUNKS }
const LENGTH: Clean = { line: 'POST /a', framing: 5, body: 'hello' }
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n'

const LENGTHS: readonly Smuggling[] = [
  {
    name: 'content-length and transfer-encoding',
    bytes: post('Content-Length: 6\r\nTransfer-Encoding: chunked', '0\r\n\r\nG'),
  },
  {
    name: 'transfer-encoding and content-length',
    bytes: post('Transfer-Encoding: chunked\r\nContent-Length: 4', CHUNKS),
  },
  { name: 'content-length twice', bytes: post('Content-Length: 5\r\nContent-Length: 5', 'hello') },
  { name: 'content-length in conflict', bytes: post('Content-Length: 5\r\nContent-Length: 0', 'hello') },
  {
    name: 'content-length in conflict, larger last',
    bytes: post(`Content-Length: 0\r\nContent-Length: ${SMUGGLED.length}`, SMUGGLED),
  },
  ...[
    '5, 5',
    '5,0',
    '+5',
    '-5',
    '0x5',
    '5e0',
    '5.0',
    '5 5',
    '\v5',
    '\f5',
    '5\v',
    '"5"',
    '\u00b2',
    '',
    '18446744073709551621',
    '5;',
  ].map((value) => ({
    name: `content-length ${JSON.stringify(value)}`,
    bytes: post(`Content-Length: ${value}`, 'hello'),
  })),
  { name: 'content-length with blanks before the colon', bytes: post('Content-Length : 5', 'hello') },
  { name: 'content-length with a NUL in its name', bytes: post('Content-\0Length: 5', 'hello') },
  { name: 'content-length with a blank after it', bytes: post('Content-Length: 5 ', 'hello'), clean: LENGTH },
  { name: 'content-length with a tab before it', bytes: post('Content-Length:\t5', 'hello'), clean: LENGTH },
  {
    name: 'content_length beside the real one',
    bytes: post('Content_Length: 0\r\nContent-Length: 5', 'hello'),
    clean: LENGTH,
  },
  {
    name: 'content-length named by Connection',
    bytes: post('Connection: content-length\r\nContent-Length: 5', 'hello'),
    clean: CHUNKED,
  },
  {
    name: 'a request as the body of a GET',
    bytes: `GET /a HTTP/1.1\r\n${HOST}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
    clean: { line: 'GET /a', framing: SMUGGLED.length, body: SMUGGLED },
  },
  {
    name: 'a GET whose content-length is 0',
    bytes: `GET /a HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`,
    clean: { line: 'GET /a' },
  },
]

const CODINGS: readonly Smuggling[] = [
  ...[
    'identity',
    'gzip, chunked',
    'identity, chunked',
    'chunked, identity',
    'chunked, chunked',
    ',chunked',
    'chunked,',
    'xchunked',
    'chunkedx',
    'chunked;q=1',
    '"chunked"',
    '\vchunked',
    'chunked\v',
    'ch\u00fcnked',
    'chun ked',
    '',
  ].map((value) => ({
    name: `transfer-encoding ${JSON.stringify(value)}`,
    bytes: post(`Transfer-Encoding: ${value}`, CHUNKS),
  })),
  { name: 'transfer-encoding twice', bytes: post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', CHUNKS) },
  {
    name: 'transfer-encoding twice, the last identity',
    bytes: post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', CHUNKS),
  },
  { name: 'transfer-encoding with a blank before the colon', bytes: post('Transfer-Encoding : chunked', CHUNKS) },
  {
    name: 'transfer-encoding of HTTP/1.0',
    bytes: `POST /a HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
  },
  { name: 'transfer-encoding in another case', bytes: post('tRANSFER-eNCODING: cHuNkEd', CHUNKS), clean: CHUNKED },
  { name: 'transfer-encoding after a tab', bytes: post('Transfer-Encoding:\tchunked', CHUNKS), clean: CHUNKED },
  { name: 'transfer-encoding before a blank', bytes: post('Transfer-Encoding: chunked ', CHUNKS), clean: CHUNKED },
  {
    name: 'transfer_encoding beside a length',
    bytes: post('Transfer_Encoding: chunked\r\nContent-Length: 5', 'hello'),
    clean: LENGTH,
  },
  {
    name: 'transfer-encoding named by Connection',
    bytes: post('Connection: transfer-encoding\r\nTransfer-Encoding: chunked', CHUNKS),
    clean: CHUNKED,
  },
  {
    name: 'chunks of a DELETE',
    bytes: `DELETE /a HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
    clean: { ...CHUNKED, line: 'DELETE /a' },
  },
]

const LINES: readonly Smuggling[] = [
  { name: 'a folded header', bytes: post('X-A: b\r\n c\r\nContent-Length: 5', 'hello') },
  { name: 'a folded transfer-encoding', bytes: post('Transfer-Encoding:\r\n chunked', CHUNKS) },
  { name: 'a folded content-length', bytes: post('Content-Length:\r\n 5', 'hello') },
  { name: 'a fold before the first header', bytes: `GET /a HTTP/1.1\r\n X: y\r\n${HOST}\r\n` },
  { name: 'a bare LF after a header', bytes: post('X-A: b\nContent-Length: 5', 'hello') },
  { name: 'bare LFs only', bytes: 'GET /a HTTP/1.1\nHost: gateway\n\n' },
  { name: 'a bare LF at the end of the head', bytes: `GET /a HTTP/1.1\r\n${HOST}\n` },
  { name: 'a bare CR in a value', bytes: post('X-A: b\rContent-Length: 5', 'hello') },
  { name: 'a bare CR at the end of the line', bytes: `GET /a HTTP/1.1\r${HOST}\r\n` },
  { name: 'two CRs before LF', bytes: `GET /a HTTP/1.1\r\r\n${HOST}\r\n` },
  { name: 'a NUL in a name', bytes: post('X\0: a') },
  { name: 'a NUL in a value', bytes: post('X: a\0b') },
  { name: 'a header without a name', bytes: post(': a') },
  { name: 'a header without a colon', bytes: post('X-A') },
  { name: 'two hosts', bytes: `GET /a HTTP/1.1\r\n${HOST}Host: evil\r\n\r\n` },
  { name: 'one host twice', bytes: `GET /a HTTP/1.1\r\n${HOST}${HOST}\r\n` },
  { name: 'HTTP/0.9', bytes: 'GET /a\r\n' },
  { name: 'HTTP/1.2', bytes: `GET /a HTTP/1.2\r\n${HOST}\r\n` },
  { name: 'HTTP/2.0 in the words of HTTP/1', bytes: `GET /a HTTP/2.0\r\n${HOST}\r\n` },
  { name: 'HTTP/1.1 in other words', bytes: `GET /a hTTP/1.1\r\n${HOST}\r\n` },
  { name: "HTTP/2's preface", bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' },
  { name: 'a fourth word in the line', bytes: `GET /a HTTP/1.1 x\r\n${HOST}\r\n` },
  { name: 'a method in lower case', bytes: `get /a HTTP/1.1\r\n${HOST}\r\n` },
  { name: 'a method with a NUL', bytes: `GE\0T /a HTTP/1.1\r\n${HOST}\r\n` },
  {
    name: 'empty lines before the request',
    bytes: `\r\n\r\nGET /a HTTP/1.1\r\n${HOST}\r\n`,
    clean: { line: 'GET /a' },
  },
]

const CHUNK_LINES: readonly Smuggling[] = [
  ...[
    ['an extension that opens a quote', '5;a="\r\nhello\r\n0\r\n\r\n'],
    ['an extension that ends in a bare LF', '5;\nhello\r\n0\r\n\r\n'],
    ['an extension with a bare CR', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
    ['an extension with a NUL', '5;a\0b\r\nhello\r\n0\r\n\r\n'],
    ['a size that ends in a bare LF', '5\nhello\r\n0\r\n\r\n'],
    ['data that ends in a bare LF', '5\r\nhello\n0\r\n\r\n'],
    ['data longer than its size', '4\r\nhello\r\n0\r\n\r\n'],
    ['data shorter than its size', '6\r\nhello\r\n0\r\n\r\n'],
    ['0x before a size', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a blank before a size', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['a sign before a size', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a size below 0', '-5\r\nhello\r\n0\r\n\r\n'],
    ['a size of more than 64 bits', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['an empty size', '\r\nhello\r\n0\r\n\r\n'],
  ].map(([name = '', body = '']) => ({ name: `chunks with ${name}`, bytes: chunked(body) })),
  { name: 'chunks with an extension', bytes: chunked('5;a=b\r\nhello\r\n0;c\r\n\r\n'), clean: CHUNKED },
  { name: 'chunks with zeros before a size', bytes: chunked('0005\r\nhello\r\n000\r\n\r\n'), clean: CHUNKED },
  {
    name: 'chunks with trailers that name a client and a side',
    bytes: chunked('5\r\nhello\r\n0\r\nX-Forwarded-For: 192.0.2.1\r\nX-Canary-Upstream: B\r\nHost: evil\r\n\r\n'),
    clean: CHUNKED,
  },
]

/** Each row reaches the upstream as the one clean request it says, or not at all. */
export const SMUGGLING: readonly Smuggling[] = [...LENGTHS, ...CODINGS, ...LINES, ...CHUNK_LINES]

/** Trailers that would frame the body anew: the body may have begun, and is then broken off. */
export const FRAMING_TRAILERS: readonly string[] = ['Content-Length: 50', 'Transfer-Encoding: chunked'].map((trailer) =>
  chunked(`5\r\nhello\r\n0\r\n${trailer}\r\n\r\n`),
)
