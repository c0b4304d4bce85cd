import { isUtf8 } from 'node:buffer'
import type { RawRequest } from '../../node-http.js'
import { formText } from './form-text.js'
import { Inexact } from './inexact.js'
import { jsonText, mayBeNothing } from './json-text.js'
import { type WireBody, isWrittenAlike, wireBody } from './wire-body.js'

/** A body that somebody has read, to be sent once more. */
export interface ReadBody {
  readonly bytes: Buffer
  /** They are those of the wire: what the head says of them holds. Otherwise they only mean the same. */
  readonly exact: boolean
}

const JSON_TYPE = /^application\/(?:[\w.!#$&^-]+\+)?json$/
const FORM_TYPE = 'application/x-www-form-urlencoded'

/**
 * The body of a request, from the bytes that were `kept` of it or else from what a parser made of them.
 *
 * @throws {Inexact} where that is not what came
 */
export function readBody(request: RawRequest, kept: readonly unknown[], parsed: unknown): ReadBody {
  const wire = wireBody(request)
  for (const raw of kept) {
    const body = keptBody(raw, wire)
    if (body !== null && mayBeSent(body, wire)) return body
  }
  // Text that a parser left of JSON may be the JSON, or a string in it.
  const left = keptBody(parsed, wire)
  const isSure = left?.exact === true || !(typeof parsed === 'string' && JSON_TYPE.test(wire.type))
  if (left !== null && isSure && mayBeSent(left, wire)) return left
  if (wire.digested) return refuse('its head has a digest or a signature')
  return { bytes: Buffer.from(parsedText(parsed, wire)), exact: false }
}

function mayBeSent({ exact }: ReadBody, { digested }: WireBody): boolean {
  return exact || !digested
}

/** `null` where these are not the bytes or the text that came. */
function keptBody(raw: unknown, wire: WireBody): ReadBody | null {
  if (raw instanceof Uint8Array) return keptBytes(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength), wire)
  return typeof raw === 'string' ? keptText(raw, wire) : null
}

function keptBytes(bytes: Buffer, { coded, length }: WireBody): ReadBody | null {
  if (!coded) return length === null || length === bytes.length ? { bytes, exact: true } : null
  // Parsers keep what they have decoded, others what came. What is compressed is never text.
  const isText = isUtf8(bytes)
  if (length !== null && length !== bytes.length) return { bytes, exact: false }
  if (length === null) return isText ? { bytes, exact: false } : null
  return isText ? null : { bytes, exact: true }
}

/** A decoder loses what it does not know, and a mark of the byte order: where there is a length, it tells. */
function keptText(text: string, { coded, length, charset }: WireBody): ReadBody | null {
  const bytes = Buffer.from(text)
  if (hasLost(bytes) || !isWrittenAlike(text, charset)) return null
  if (coded || length === null) return { bytes, exact: false }
  return length === bytes.length ? { bytes, exact: true } : null
}

/** What is no text was replaced by this character. */
function hasLost(bytes: Buffer): boolean {
  return bytes.includes('\uFFFD')
}

function parsedText(parsed: unknown, wire: WireBody): string {
  if (parsed === undefined || isStream(parsed)) return refuse('nothing was kept of it')
  if (JSON_TYPE.test(wire.type)) return parsedJson(parsed, wire)
  if (wire.type === FORM_TYPE && typeof parsed !== 'string') return parsedForm(parsed, wire)
  return refuse('its bytes were not kept')
}

function parsedJson(parsed: unknown, wire: WireBody): string {
  const length = wire.coded ? null : wire.length
  if (mayBeNothing(parsed, length)) return refuse('it may have been empty')
  const text = jsonText(parsed)
  if (hasLost(Buffer.from(text)) || !isWrittenAlike(text, wire.charset)) return refuse('it is not in UTF-8')
  if (typeof parsed === 'string' && Buffer.byteLength(text) !== length) return refuse('its bytes were not kept')
  return text
}

function parsedForm(parsed: unknown, wire: WireBody): string {
  const text = formText(parsed, wire.coded ? null : wire.length)
  const isLost = /%EF%BF%BD|\uFFFD/.test(text)
  // Escapes are of the form's charset too.
  const decoded = text.replaceAll(/%[89A-F][\dA-F]/g, '\u0080')
  return isLost || !isWrittenAlike(decoded, wire.charset) ? refuse('it is not in UTF-8') : text
}

/** A parser that only hands the stream on has parsed nothing. */
function isStream(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'pipe' in value && typeof value.pipe === 'function'
}

function refuse(reason: string): never {
  throw new Inexact(reason)
}
