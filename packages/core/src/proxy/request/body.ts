import { Http2ServerRequest } from 'node:http2'
import { CanaryError } from '../../errors.js'
import type { RawRequest } from '../../node-http.js'

/** What is sent as a request's body: nothing, its own stream (`again: null`), or what a parser made of it. */
export interface RequestBody {
  readonly present: boolean
  readonly again: Buffer | null
}

const NONE: RequestBody = { present: false, again: null }
const STREAM: RequestBody = { present: true, again: null }
const CHUNKED = /^chunked$/i

/**
 * How a request's body can be sent. A stream that someone has read is encoded again from what they left, unless it was
 * `taken` before.
 *
 * @throws {CanaryError} ERR_CANARY_BODY where that is not possible, ERR_CANARY_REQUEST for a doubtful framing.
 */
export function requestBody(request: RawRequest, taken: boolean, parsedBody: () => unknown): RequestBody {
  checkFraming(request)
  // Who changed the body may have deleted what its head announced.
  if (taken) return STREAM
  if (!carriesBody(request)) return NONE
  if (!request.readableDidRead && !request.readableEnded) return STREAM
  // What was kept so far is not all of it.
  if (!request.readableEnded) throw unsendable(request)
  const raw = 'rawBody' in request ? request.rawBody : undefined
  if (isBytes(raw)) return { present: true, again: asBuffer(raw) }
  return { present: true, again: encodeAgain(request, typeof raw === 'string' ? raw : undefined, parsedBody()) }
}

/** Whether the head of a request announces a body. */
export function carriesBody(request: RawRequest): boolean {
  if (request instanceof Http2ServerRequest) return !request.stream.endAfterHeaders
  const { 'transfer-encoding': coding, 'content-length': length } = request.headers
  return coding !== undefined || (length !== undefined && Number(length) !== 0)
}

function checkFraming(request: RawRequest): void {
  if (request instanceof Http2ServerRequest) return
  // Node's parser takes any version that it has a number for.
  if (request.httpVersionMajor > 1) throw refused('the request line says a version of HTTP that is not spoken here')
  const coding = request.headers['transfer-encoding']
  // Only chunks are taken off: of any other coding the upstream would not be told, nor may HTTP/1.0 have one.
  if (coding !== undefined && (!CHUNKED.test(coding) || request.httpVersion === '1.0'))
    throw refused('the request has a transfer-encoding that is not forwarded')
}

function encodeAgain(request: RawRequest, raw: string | undefined, parsed: unknown): Buffer {
  const type = request.headers['content-type'] ?? ''
  const essence = essenceOf(request)
  const charset = encodingOf(type)
  if (raw !== undefined && charset !== null) return Buffer.from(raw, charset)
  if (isBytes(parsed)) return asBuffer(parsed)
  if (parsed === undefined || charset === null || isStream(parsed)) throw unsendable(request)
  if (/^application\/(?:[\w.!#$&^-]+\+)?json$/.test(essence)) {
    if (typeof parsed === 'string' && isWholeText(request, parsed, charset)) return Buffer.from(parsed, charset)
    return encoded(request, () => JSON.stringify(parsed), charset)
  }
  if (typeof parsed === 'string') return Buffer.from(parsed, charset)
  if (essence === 'application/x-www-form-urlencoded') return encoded(request, () => formText(parsed), charset)
  throw unsendable(request)
}

/** Text that a text parser left of a JSON body has the length that was sent; a JSON string had quotes as well. */
function isWholeText({ headers }: RawRequest, text: string, charset: BufferEncoding): boolean {
  return (
    headers['content-encoding'] === undefined && Number(headers['content-length']) === Buffer.byteLength(text, charset)
  )
}

function encoded(request: RawRequest, encode: () => string | undefined, charset: BufferEncoding): Buffer {
  try {
    return Buffer.from(encode() ?? '', charset)
  } catch (error) {
    // Too deep, a cycle, a bigint: what a middleware put there is no longer what came.
    throw unsendable(request, error)
  }
}

/** Node's encoding for the charset that the content type names; `null` for one it cannot write. */
function encodingOf(type: string): BufferEncoding | null {
  const charset = /;\s*charset\s*=\s*"?([\w.:-]+)"?/i.exec(type)?.[1]?.toLowerCase() ?? 'utf-8'
  if (charset === 'utf-8' || charset === 'utf8') return 'utf8'
  if (charset === 'us-ascii' || charset === 'iso-8859-1' || charset === 'latin1') return 'latin1'
  return charset === 'utf-16le' ? 'utf16le' : null
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array
}

/** A parser that only hands the stream on has parsed nothing. */
function isStream(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'pipe' in value && typeof value.pipe === 'function'
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

const MAX_DEPTH = 64

/** Nested values as qs writes and reads them: `a[b]=1&c[0]=2`. */
function formText(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) throw new TypeError('a form is an object')
  const pairs: string[] = []
  for (const [name, item] of Object.entries(value)) addPairs(pairs, encodeURIComponent(name), item, 0)
  return pairs.join('&')
}

function addPairs(pairs: string[], name: string, value: unknown, depth: number): void {
  if (depth > MAX_DEPTH) throw new RangeError('nested too deeply')
  if (value === undefined) return
  if (isPlainList(value)) {
    // As most forms say it, and read alike with qs and without.
    for (const item of value) addPairs(pairs, name, item, depth + 1)
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      addPairs(pairs, `${name}%5B${encodeURIComponent(key)}%5D`, item, depth + 1)
    }
  } else pairs.push(`${name}=${encodeURIComponent(value === null ? '' : String(value))}`)
}

/** A list of one could be mistaken for its only value, and lists in lists need their indices. */
function isPlainList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.length > 1 && value.every((item) => typeof item !== 'object')
}

function refused(message: string): CanaryError {
  return new CanaryError('ERR_CANARY_REQUEST', message)
}

function essenceOf({ headers }: RawRequest): string {
  return (headers['content-type']?.split(';', 1)[0] ?? '').trim().toLowerCase()
}

function unsendable(request: RawRequest, cause?: unknown): CanaryError {
  const essence = essenceOf(request)
  const what = /^[\w.+/-]{1,80}$/.test(essence) ? `a body of type ${essence}` : 'a body'
  const message = `${what} was read and cannot be sent again: mount canary before the parser`
  return new CanaryError('ERR_CANARY_BODY', message, cause === undefined ? {} : { cause })
}
