import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, type Server, createServer, request } from 'node:http'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Writable } from 'node:stream'

/** What an upstream says of a body that came whole. */
export interface Received {
  readonly length: number
  readonly sha1: string
  readonly headers: IncomingHttpHeaders
}

export interface HashingUpstream {
  readonly url: string
  readonly server: Server
  /** Digests of the bodies that came whole. */
  readonly whole: string[]
  close(): Promise<void>
}

/** An upstream that answers with the digest of what came. */
export async function hashingUpstream(): Promise<HashingUpstream> {
  const whole: string[] = []
  const server = createServer((incoming, response) => {
    const hash = createHash('sha1')
    let length = 0
    incoming.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      length += chunk.length
    })
    incoming.on('error', () => {})
    incoming.on('end', () => {
      const sha1 = hash.digest('hex')
      whole.push(sha1)
      response.end(JSON.stringify({ length, sha1, headers: incoming.headers } satisfies Received))
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    whole,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** How a body is sent: its length said before, or in chunks. */
export type Framing = 'with its length' | 'in chunks'

export interface Answer {
  readonly status: number
  readonly text: string
}

const PIECE = 65_536

/** Writes piece by piece, as the other side takes them. */
function write(to: Writable, body: Buffer): void {
  let at = 0
  const more = () => {
    while (at < body.length) {
      const piece = body.subarray(at, at + PIECE)
      at += PIECE
      if (!to.write(piece)) return
    }
    to.off('drain', more).end()
  }
  to.on('drain', more)
  more()
}

/** One upload on a connection of its own. Rejects where the connection is cut before an answer. */
export function upload(
  port: number,
  body: Buffer,
  framing: Framing,
  headers: OutgoingHttpHeaders = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = framing === 'in chunks' ? {} : { 'content-length': body.length }
    const type = { 'content-type': 'application/octet-stream' }
    const all = { ...type, ...length, ...headers }
    const sent = request({ port, host: '127.0.0.1', method: 'POST', path: '/', headers: all, agent: false })
    let answered = false
    sent.on('response', (response) => {
      answered = true
      let text = ''
      response.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    sent.on('error', (error) => {
      // The answer may close the connection while more is written.
      if (!answered) reject(error)
    })
    write(sent, body)
  })
}

/** The same over HTTP/2. */
export async function uploadHttp2(
  port: number,
  body: Buffer,
  framing: Framing,
  headers: OutgoingHttpHeaders = {},
): Promise<Answer> {
  const session = connect(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  const length = framing === 'in chunks' ? {} : { 'content-length': body.length }
  const stream = session.request({
    ':method': 'POST',
    ':path': '/',
    'content-type': 'application/octet-stream',
    ...length,
    ...headers,
  })
  stream.on('error', () => {})
  try {
    const head = once(stream, 'response')
    write(stream, body)
    const [{ ':status': status }] = await head
    return { status, text: (await stream.setEncoding('latin1').toArray()).join('') }
  } finally {
    session.destroy()
  }
}

export function sha1(body: Buffer): string {
  return createHash('sha1').update(body).digest('hex')
}

/** Bytes of every value, of which most are no UTF-8; the same for the same length. */
export function binary(length: number): Buffer {
  const body = Buffer.allocUnsafe(length)
  for (let i = 0, x = 1; i < length; i += 1) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) | 0
    body[i] = x >>> 16
  }
  return body
}

/** Text of characters of one to four bytes. */
export function text(length: number): Buffer {
  const line = Buffer.from('a line of täxt, 10 € and a 🐤\n')
  return Buffer.alloc(length - (length % line.length), line)
}

/** A form with one file, whose boundary is `xx`. */
export function multipart(file: Buffer): Buffer {
  const head = 'content-disposition: form-data; name="file"; filename="a.bin"\r\ncontent-type: application/octet-stream'
  return Buffer.concat([Buffer.from(`--xx\r\n${head}\r\n\r\n`), file, Buffer.from('\r\n--xx--\r\n')])
}
