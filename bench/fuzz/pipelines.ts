import type { Draws } from '../draws.js'

/** What a client writes on one connection, in latin-1, in the pieces that it is cut into. */
export interface Pipeline {
  readonly pieces: readonly string[]
}

const METHODS = [
  'GET',
  'GET',
  'GET',
  'HEAD',
  'POST',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'QUERY',
  'CONNECT',
  'get',
  'G(T',
]
const VERSIONS = [
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/0.9',
  'HTTP/2.0',
  'HTTP/1.2',
  'http/1.1',
  '',
]
const HOSTS = [
  'gateway',
  'gateway',
  'gateway',
  'gateway:80',
  '[::1]:8080',
  '',
  'a b',
  '"><script>',
  'a, b',
  'gateway:99999',
  '[::1',
]
const TAILS = [
  '',
  '',
  '',
  '?q=1',
  '/../x',
  '/%2e%2e/x',
  '//x',
  '\\x',
  '/%00',
  '/\u00e9',
  '/a b',
  '#f',
  '/%zz',
  ';v=1/..',
  '/\x7f',
]

const HEADERS = [
  'Accept: */*',
  'Accept-Encoding: gzip, br',
  'Connection: keep-alive',
  'Connection: close',
  'Connection: x-secret, keep-alive',
  'Connection: host, content-length',
  'Content-Encoding: gzip',
  'Content-Length: 5',
  'Content-Length: 0',
  'Content-Length: +5',
  'Content-Length: 5, 5',
  'Content-Length: 18446744073709551621',
  'Content-Type: application/json',
  'Cookie: a=b; c="d"',
  'Cookie: \u00e9=\u00ff',
  'Expect: 100-continue',
  'Expect: nonsense',
  'Forwarded: for=1.2.3.4;host="a,b"',
  'Host: second',
  'HTTP2-Settings: AAMAAABk',
  'Keep-Alive: timeout=5',
  'Max-Forwards: 0',
  'Proxy: http://evil',
  'Proxy-Connection: keep-alive',
  'TE: trailers',
  'Trailer: x-checksum',
  'Trailer: content-length',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding : chunked',
  'Transfer_Encoding: chunked',
  'Upgrade: websocket',
  'Upgrade: h2c',
  'Upgrade: nonsense/1',
  'X-Canary: always',
  'X-Canary: never',
  'X-Canary-Upstream: B',
  'X-Forwarded-For: 1.2.3.4, garbage',
  'X-Forwarded-Host: evil',
  'X-Long: ' + 'a'.repeat(300),
  'X-Fold: a\r\n b',
  'X-Null: a\0b',
  'X-Tab:\ta\t',
  'X-Empty:',
  ': no name',
  'X Space: a',
  '__proto__: a',
  'X-High: \u0080\u00ff',
]

const CHUNKED_BODIES = [
  '5\r\nhello\r\n0\r\n\r\n',
  '5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n',
  '5;ext="a"\r\nhello\r\n0\r\n\r\n',
  '5\r\nhello\r\n0\r\nx-checksum: 1\r\ncontent-length: 9\r\n\r\n',
  '5\r\nhelloX\r\n0\r\n\r\n',
  'fffffffffffffffff\r\nhello\r\n0\r\n\r\n',
  '-1\r\n\r\n',
  '5\nhello\n0\n\n',
  '0\r\n\r\n',
  '5\r\nhel',
]
const UPGRADES = ['websocket', 'websocket', 'websocket', 'h2c', 'nonsense/1', 'websocket, h2c']

/** One to four requests, cut and damaged at random: the same for the same draws. */
export function drawPipeline(draws: Draws): Pipeline {
  const count = 1 + draws.below(4)
  let text = ''
  for (let i = 0; i < count; i += 1) text += request(draws, i)
  if (draws.below(3) === 0) text = damaged(draws, text)
  return { pieces: cut(draws, text) }
}

/** The target names the place in the pipeline, so that answers can be told apart. */
function request(draws: Draws, index: number): string {
  const kind = draws.below(8)
  if (kind === 0) return upgrade(draws, index)
  if (kind < 5) return plain(draws, index)
  const method = pick(draws, METHODS)
  const target = targetOf(draws, index)
  const lines = [`${method} ${target} ${pick(draws, VERSIONS)}`]
  if (draws.below(12) > 0) lines.push(`Host: ${pick(draws, HOSTS)}`)
  for (let i = draws.below(6); i > 0; i -= 1) lines.push(pick(draws, HEADERS))
  return `${lines.join('\r\n')}\r\n\r\n${body(draws)}`
}

/** Requests that nothing is wrong with: an attack is often only seen in what comes behind it. */
function plain(draws: Draws, index: number): string {
  const head = `/r${index} HTTP/1.1\r\nHost: gateway\r\n`
  const kind = draws.below(4)
  if (kind === 0) return `POST ${head}Content-Length: 5\r\n\r\nhello`
  if (kind === 1) return `POST ${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`
  return `GET ${head}\r\n`
}

function upgrade(draws: Draws, index: number): string {
  const lines = [
    `${draws.below(4) === 0 ? 'POST' : 'GET'} /r${index} HTTP/1.${draws.below(6) === 0 ? 0 : 1}`,
    'Host: gateway',
    `Connection: ${draws.below(4) === 0 ? 'Upgrade, HTTP2-Settings' : 'Upgrade'}`,
    `Upgrade: ${pick(draws, UPGRADES)}`,
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ]
  if (draws.below(3) === 0) lines.push(pick(draws, HEADERS))
  return `${lines.join('\r\n')}\r\n\r\n${draws.below(3) === 0 ? body(draws) : ''}`
}

function targetOf(draws: Draws, index: number): string {
  const target = `/r${index}${pick(draws, TAILS)}`
  const form = draws.below(12)
  if (form === 0) return `http://gateway${target}`
  if (form === 1) return '*'
  return form === 2 ? `gateway${target}` : target
}

function body(draws: Draws): string {
  const kind = draws.below(4)
  if (kind === 0) return ''
  if (kind === 1) return 'hello'
  return pick(draws, CHUNKED_BODIES)
}

const INSERTED = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  ' ',
  ':',
  '\t',
  '\u000b',
  '\u00ff',
  '0',
  'GET / HTTP/1.1\r\n\r\n',
  '\r\n\r\n',
]

function damaged(draws: Draws, text: string): string {
  let result = text
  for (let i = 1 + draws.below(3); i > 0; i -= 1) {
    const at = draws.below(result.length + 1)
    const kind = draws.below(5)
    if (kind === 0) result = result.slice(0, at) + pick(draws, INSERTED) + result.slice(at)
    else if (kind === 1) result = result.slice(0, at) + result.slice(at + 1 + draws.below(4))
    else if (kind === 2) result = result.slice(0, at) + String.fromCharCode(draws.below(256)) + result.slice(at + 1)
    else if (kind === 3)
      result = result.slice(0, at) + result.slice(Math.max(0, at - draws.below(40)), at) + result.slice(at)
    else result = result.slice(0, at)
  }
  return result
}

function cut(draws: Draws, text: string): string[] {
  const pieces: string[] = []
  let from = 0
  for (let cuts = draws.below(3); cuts > 0 && from < text.length; cuts -= 1) {
    const to = from + 1 + draws.below(text.length - from)
    pieces.push(text.slice(from, to))
    from = to
  }
  if (from < text.length) pieces.push(text.slice(from))
  return pieces
}

function pick<Item>(draws: Draws, items: readonly [Item, ...Item[]] | readonly Item[]): Item {
  const item = items[draws.below(items.length)]
  if (item === undefined) throw new RangeError('nothing to pick from')
  return item
}
