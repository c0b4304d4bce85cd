import { Http2ServerRequest } from 'node:http2'
import { CanaryError } from '../../errors.js'
import type { RawRequest } from '../../node-http.js'
import { Inexact } from './inexact.js'
import { readBody } from './read-body.js'
import { wireBody } from './wire-body.js'

/** What is sent as a request's body: nothing, its own stream (`again: null`), or what its reader left. */
export interface RequestBody {
  readonly present: boolean
  readonly again: Buffer | null
  /** It is what came: the request's content-length and content-encoding still hold. */
  readonly untouched: boolean
}

const NONE: RequestBody = { present: false, again: null, untouched: false }
const STREAM: RequestBody = { present: true, again: null, untouched: true }
const CHUNKED = /^chunked$/i

/**
 * How a request's body can be sent. A stream that someone has read is sent again from what they left, unless it was
 * `taken` before: `rawBody` has its bytes or its text, where somebody kept them, and `parsedBody` what a parser made of it.
 *
 * @throws {CanaryError} ERR_CANARY_BODY where that is not what came, ERR_CANARY_REQUEST for a doubtful framing.
 */
export function requestBody(
  request: RawRequest,
  taken: boolean,
  kept: { parsedBody(): unknown; rawBody(): unknown },
): RequestBody {
  checkFraming(request)
  // Who changed the body may have deleted what its head announced.
  if (taken) return STREAM
  if (!carriesBody(request)) return NONE
  if (!request.readableDidRead && !request.readableEnded) return STREAM
  if (!request.readableEnded) throw unsendable(request, 'it is not read to its end')
  const own = 'rawBody' in request ? request.rawBody : undefined
  try {
    const { bytes, exact } = readBody(request, [kept.rawBody(), own], kept.parsedBody())
    return { present: true, again: bytes, untouched: exact }
  } catch (error) {
    // Too deep, a cycle, a bigint: what a middleware put there is no longer what came.
    throw unsendable(request, error instanceof Inexact ? error.message : 'it is not what came any more', error)
  }
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

function refused(message: string): CanaryError {
  return new CanaryError('ERR_CANARY_REQUEST', message)
}

/** A reason is fixed text: clients may be shown it. */
function unsendable(request: RawRequest, reason: string, cause?: unknown): CanaryError {
  const { type } = wireBody(request)
  const what = /^[\w.+/-]{1,80}$/.test(type) ? `a body of type ${type}` : 'a body'
  const remedy = 'mount canary before the parser, or keep the bytes in rawBody'
  const message = `${what} was read and cannot be sent again (${reason}): ${remedy}`
  return new CanaryError('ERR_CANARY_BODY', message, cause === undefined ? {} : { cause })
}
