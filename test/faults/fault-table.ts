import { type Behaviour, answer, resetAfter } from './fault-upstream.js'

/** What a client must see. `cut`: the connection ends before the response is whole, whatever came before. */
export type Expected =
  | { readonly status: number; readonly body?: string | undefined }
  | { readonly cut: true; readonly status?: number | undefined }

export interface Fault {
  readonly name: string
  readonly upstream: Behaviour
  /** @default a GET */
  readonly method?: string | undefined
  readonly body?: string | undefined
  readonly headers?: string | undefined
  readonly expected: Expected
}

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n'
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
const reset =
  (text: string): Behaviour =>
  (socket) =>
    resetAfter(socket, text)
const finish =
  (text: string): Behaviour =>
  (socket) =>
    void socket.end(text)
const stall =
  (text: string): Behaviour =>
  (socket) =>
    void (text === '' || socket.write(text))
const say =
  (text: string): Behaviour =>
  (socket) =>
    void socket.write(text, 'latin1')

const BROKE = { status: 502 } as const
const SILENT = { status: 504 } as const
const CUT = { cut: true } as const

/** Each row is one fault of an upstream, and what the client must see of it, on every adapter and both upstreams. */
export const FAULTS: readonly Fault[] = [
  { name: 'reset-before-head', upstream: reset(''), expected: BROKE },
  { name: 'fin-before-head', upstream: finish(''), expected: BROKE },
  { name: 'reset-in-status-line', upstream: reset('HTTP/1.1 2'), expected: BROKE },
  { name: 'fin-in-status-line', upstream: finish('HTTP/1.1 2'), expected: BROKE },
  { name: 'reset-in-headers', upstream: reset('HTTP/1.1 200 OK\r\nContent-Le'), expected: BROKE },
  { name: 'fin-in-headers', upstream: finish('HTTP/1.1 200 OK\r\nContent-Le'), expected: BROKE },
  { name: 'reset-after-head', upstream: reset(HEAD), expected: CUT },
  { name: 'fin-after-head', upstream: finish(HEAD), expected: CUT },
  { name: 'reset-in-body', upstream: reset(`${HEAD}hello`), expected: CUT },
  { name: 'fin-in-body', upstream: finish(`${HEAD}hello`), expected: CUT },
  { name: 'reset-in-chunk', upstream: reset(`${CHUNKED}a\r\nhello`), expected: CUT },
  { name: 'fin-in-chunk', upstream: finish(`${CHUNKED}a\r\nhello`), expected: CUT },
  { name: 'fin-between-chunks', upstream: finish(`${CHUNKED}5\r\nhello\r\n`), expected: CUT },
  { name: 'fin-in-last-chunk', upstream: finish(`${CHUNKED}5\r\nhello\r\n0\r\n`), expected: CUT },
  { name: 'stall-before-head', upstream: stall(''), expected: SILENT },
  { name: 'stall-in-status-line', upstream: stall('HTTP/1.1 2'), expected: SILENT },
  { name: 'stall-in-headers', upstream: stall('HTTP/1.1 200 OK\r\nContent-Le'), expected: SILENT },
  { name: 'stall-after-head', upstream: stall(HEAD), expected: { cut: true, status: 200 } },
  { name: 'stall-in-body', upstream: stall(`${HEAD}hello`), expected: { cut: true, status: 200 } },
  { name: 'stall-in-chunk', upstream: stall(`${CHUNKED}a\r\nhello`), expected: { cut: true, status: 200 } },
  { name: 'stall-between-chunks', upstream: stall(`${CHUNKED}5\r\nhello\r\n`), expected: { cut: true, status: 200 } },
  { name: 'continue-then-silence', upstream: stall('HTTP/1.1 100 Continue\r\n\r\n'), expected: SILENT },
  {
    name: 'processing-then-answer',
    upstream: say('HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood'),
    expected: { status: 200, body: 'good' },
  },
  {
    name: 'unasked-upgrade',
    upstream: say('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
    expected: BROKE,
  },
  { name: 'bad-chunk-size', upstream: say(`${CHUNKED}zz\r\nhello\r\n0\r\n\r\n`), expected: CUT },
  { name: 'huge-chunk-size', upstream: say(`${CHUNKED}FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n`), expected: CUT },
  { name: 'chunk-longer-than-said', upstream: say(`${CHUNKED}3\r\nhello\r\n0\r\n\r\n`), expected: CUT },
  { name: 'bad-protocol', upstream: say('HTTX/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), expected: BROKE },
  { name: 'no-status-line', upstream: say('hello, world\r\n\r\n'), expected: BROKE },
  { name: 'status-of-two-digits', upstream: say('HTTP/1.1 99 No\r\nContent-Length: 0\r\n\r\n'), expected: BROKE },
  { name: 'status-of-four-digits', upstream: say('HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'), expected: BROKE },
  { name: 'tls-alert', upstream: say('\u0015\u0003\u0001\u0000\u0002\u0002\u0046'), expected: BROKE },
  {
    name: 'head-of-a-megabyte',
    upstream: say(`HTTP/1.1 200 OK\r\nX-Big: ${'x'.repeat(1_048_576)}\r\n\r\n`),
    expected: BROKE,
  },
  {
    name: 'headers-of-a-megabyte',
    upstream: say(`HTTP/1.1 200 OK\r\n${`X-Many: ${'x'.repeat(1000)}\r\n`.repeat(1048)}\r\n`),
    expected: BROKE,
  },
  {
    name: 'header-without-colon',
    upstream: say('HTTP/1.1 200 OK\r\nBad header\r\nContent-Length: 0\r\n\r\n'),
    expected: BROKE,
  },
  {
    name: 'header-with-nul',
    upstream: say('HTTP/1.1 200 OK\r\nX-Bad: a\u0000b\r\nContent-Length: 0\r\n\r\n'),
    expected: BROKE,
  },
  {
    name: 'header-name-with-blank',
    upstream: say('HTTP/1.1 200 OK\r\nX Bad: a\r\nContent-Length: 0\r\n\r\n'),
    expected: BROKE,
  },
  { name: 'length-too-long', upstream: finish('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhello'), expected: CUT },
  {
    name: 'length-too-short',
    upstream: say('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more'),
    expected: { status: 200, body: 'hello' },
  },
  { name: 'length-of-words', upstream: say('HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello'), expected: BROKE },
  { name: 'length-negative', upstream: say('HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello'), expected: BROKE },
  {
    name: 'length-twice',
    upstream: say('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\nhello'),
    expected: BROKE,
  },
  {
    name: 'length-and-chunked',
    upstream: say('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'),
    expected: BROKE,
  },
  {
    name: 'trailer-promised-beside-length',
    upstream: say('HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTrailer: x-sum\r\n\r\ngood'),
    expected: { status: 200, body: 'good' },
  },
  {
    name: 'two-answers-to-one-request',
    upstream: say('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'),
    expected: { status: 200, body: 'good' },
  },
  {
    name: 'answer-before-the-body-is-read',
    method: 'POST',
    body: 'x'.repeat(2_000_000),
    upstream: (socket) =>
      void socket.end('HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig'),
    expected: { status: 413, body: 'big' },
  },
  {
    name: 'reset-while-the-body-is-sent',
    method: 'POST',
    body: 'x'.repeat(2_000_000),
    upstream: reset(''),
    expected: BROKE,
  },
  {
    name: 'never-reads-the-body',
    method: 'POST',
    body: 'x'.repeat(8_000_000),
    upstream: (socket) => void socket.pause(),
    expected: SILENT,
  },
  {
    name: 'closed-while-idle-then-get',
    upstream: (socket, { count }) => (count === 1 ? answer(socket) : socket.destroy()),
    expected: { status: 200, body: 'good' },
  },
  {
    name: 'half-closed-after-answer',
    upstream: (socket) => (answer(socket), void socket.end()),
    expected: { status: 200, body: 'good' },
  },
  {
    name: 'answer-for-nobody',
    upstream: (socket) => (
      answer(socket),
      void setImmediate(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'))
    ),
    expected: { status: 200, body: 'good' },
  },
]
