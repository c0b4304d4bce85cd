import type { IncomingHttpHeaders } from 'node:http'
import { Http2ServerResponse } from 'node:http2'
import { asyncHookError, disown, hookError, isPromise } from '../../hook.js'
import type { Attempt } from '../forwarder.js'
import type { RawResponse } from '../../node-http.js'
import { readName, readValue } from './header-memo.js'
import { headerName, mayTrail } from '../header-names.js'
import { hookedHeader } from '../hooked-headers.js'
import { joinVary, listOf } from './vary.js'

/** Raw header lines as parsers hand them out: `[name, value, name, value …]`. */
export type RawHeaders = readonly (Buffer | string)[]

const NOT_IN_REASON = /[^\t\u0020-\u007e\u0080-\u00ff]/

/**
 * Writes the head of the upstream's response to the client's. Node holds it back until the body's first byte.
 *
 * @throws what Node says of a value that may not stand in a header; nothing was sent then.
 */
export function writeResponseHead(attempt: Attempt, status: number, reason: string, raw: RawHeaders): void {
  const { response } = attempt
  setResponseHeaders(attempt, status, raw)
  try {
    const said = reasonFor(response, reason)
    if (said === '' || response instanceof Http2ServerResponse) response.writeHead(status)
    else response.writeHead(status, said)
  } catch (error) {
    withdrawHead(response, raw)
    throw error
  }
}

/** The upstream's reason where the response can have it, else nothing. */
export function reasonFor(response: RawResponse, reason: string): string {
  // Node would keep a reason that it refuses, and refuse it again with the error page.
  return response instanceof Http2ServerResponse || NOT_IN_REASON.test(reason) ? '' : reason
}

/**
 * Sets the upstream's headers on the client's response.
 *
 * The upstream's headers win over those that middlewares set, except Set-Cookie and Vary, which are joined. Names are
 * set one by one: a raw array given to `writeHead` loses what was set before it.
 *
 * @throws what Node says of a value that may not stand in a header.
 */
export function setResponseHeaders(attempt: Attempt, status: number, raw: RawHeaders): void {
  const { response } = attempt
  const names: string[] = []
  const values: (string | string[])[] = []
  let named: string | null = null
  let coded = false
  let length = -1
  let trailer = -1
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const sentName = raw[i]
    const sentValue = raw[i + 1]
    const seen = typeof sentName === 'object' ? readName(sentName) : null
    const { name, role } = seen === null ? headerName(latin1(sentName)) : seen.known
    if (role === 'drop') continue
    const value = seen === null || typeof sentValue !== 'object' ? latin1(sentValue) : readValue(sentValue, seen)
    if (role === 'transfer-encoding') {
      checkCoding(value, coded)
      coded = true
      continue
    }
    if (role === 'connection') {
      named = named === null ? value : `${named},${value}`
      continue
    }
    const at = names.indexOf(name)
    if (at === -1) {
      if (role === 'content-length') length = names.length
      else if (role === 'trailer') trailer = names.length
      names.push(name)
      values.push(value)
    } else {
      const before = values[at]
      if (Array.isArray(before)) before.push(value)
      else if (before !== undefined) values[at] = [before, value]
    }
  }
  if (length !== -1 && status === 204) names[length] = ''
  if (trailer !== -1 && !mayHaveTrailers(attempt, status, length !== -1)) names[trailer] = ''
  if (named !== null) dropNamed(names, named)
  try {
    if (attempt.settings.onResponseHeaders === null) {
      for (let i = 0; i < names.length; i += 1) setOne(response, names[i] ?? '', values[i] ?? '')
    } else {
      setHooked(attempt, names, values)
    }
    attempt.beforeHead?.(response)
  } catch (error) {
    withdrawHead(response, raw)
    throw error
  }
}

/** Chunks are taken off and put on again; of any other coding the client would not be told. */
function checkCoding(value: string, coded: boolean): void {
  if (coded || !/^chunked$/i.test(value))
    throw new TypeError('the response has a transfer-encoding that is not forwarded')
}

/** Takes back what was set: the framework's error page must not get a length or an encoding that were the upstream's. */
function withdrawHead(response: RawResponse, raw: RawHeaders): void {
  if (response.headersSent) return
  const cookies = listOf(response.getHeader('set-cookie'))
  const theirs = new Set<string>()
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const { name } = headerName(latin1(raw[i]))
    response.removeHeader(name)
    if (name === 'set-cookie') theirs.add(latin1(raw[i + 1]))
  }
  const own = cookies.filter((cookie) => !theirs.has(cookie))
  if (own.length > 0) setHeader(response, 'set-cookie', own)
}

function latin1(text: Buffer | string | undefined): string {
  if (text === undefined) return ''
  return typeof text === 'string' ? text : text.toString('latin1')
}

/** Node refuses the header where it would not send the body in chunks. */
function mayHaveTrailers({ request, response }: Attempt, status: number, hasLength: boolean): boolean {
  if (response instanceof Http2ServerResponse) return true
  const chunked = request.httpVersionMajor === 1 && request.httpVersionMinor >= 1 && !hasLength
  return chunked && request.method !== 'HEAD' && status !== 204 && status !== 304
}

const USUAL_CONNECTION = /^(?:close|keep-alive)$/i

function dropNamed(names: string[], named: string): void {
  if (USUAL_CONNECTION.test(named)) return
  for (const token of named.split(',')) {
    const at = names.indexOf(token.trim().toLowerCase())
    if (at !== -1) names[at] = ''
  }
}

function setOne(response: RawResponse, name: string, value: string | string[]): void {
  if (name === 'set-cookie') setHeader(response, name, [...listOf(response.getHeader(name)), ...listOf(value)])
  else if (name === 'vary' && response.hasHeader(name))
    setHeader(response, name, joinVary(response.getHeader(name), value))
  else if (name !== '') setHeader(response, name, value)
}

/** What both kinds of response can do; TypeScript cannot call the method of their union. */
interface HeaderSetter {
  setHeader(name: string, value: string | string[]): unknown
}

function setHeader(response: HeaderSetter, name: string, value: string | string[]): void {
  response.setHeader(name, value)
}

/** The user's hook sees the headers as Node shows those of a response, and may change them. */
function setHooked(attempt: Attempt, names: readonly string[], values: readonly (string | string[])[]): void {
  const headers: IncomingHttpHeaders = Object.create(null)
  const sent = new Map<string, string | string[]>()
  for (const [i, name] of names.entries()) {
    const value = values[i]
    if (name === '' || value === undefined) continue
    headers[name] = name === 'set-cookie' ? listOf(value) : value
    sent.set(name, name === 'set-cookie' ? listOf(value) : value)
  }
  callHook(attempt, headers)
  for (const [spelled, value] of Object.entries(headers)) {
    if (value === undefined) continue
    const name = spelled.toLowerCase()
    // What Node refuses of the upstream's own is the upstream's fault.
    const own = sent.get(name)
    setOne(attempt.response, name, isSame(value, own) ? own : hookedHeader('onResponseHeaders', name, value))
  }
}

function isSame<Own extends string | string[]>(value: unknown, own: Own | undefined): own is Own {
  if (!Array.isArray(own)) return value === own
  return Array.isArray(value) && value.length === own.length && value.every((line, i) => line === own[i])
}

/** @throws {CanaryError} ERR_CANARY_HOOK */
function callHook({ settings, request, decision }: Attempt, headers: IncomingHttpHeaders): void {
  let returned: unknown
  try {
    returned = settings.onResponseHeaders?.(headers, request, decision)
  } catch (error) {
    throw hookError('onResponseHeaders threw', error)
  }
  if (!isPromise(returned)) return
  disown(returned)
  throw asyncHookError('onResponseHeaders')
}

/** Sends an upstream's 103 on, where the link values are such that Node takes them. */
export function writeEarlyHints(response: RawResponse, raw: RawHeaders): void {
  const link: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (headerName(latin1(raw[i])).name === 'link') link.push(latin1(raw[i + 1]))
  }
  if (link.length === 0 || response.headersSent) return
  try {
    response.writeEarlyHints({ link })
  } catch {
    // Node knows fewer forms of Link than the world: the final response carries them anyway.
  }
}

/** Adds trailers, where the response can have them; before its head has left, Node judges that. */
export function addTrailers(
  response: RawResponse,
  raw: RawHeaders,
  hasHeader: (name: string) => boolean = (name) => response.hasHeader(name),
): void {
  const trailers: Record<string, string> = Object.create(null)
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const known = headerName(latin1(raw[i]))
    const { name } = known
    // A trailer must not gainsay the head: the gateway's own word of the decision is there, and what middlewares said.
    if (!mayTrail(known) || hasHeader(name)) continue
    const value = latin1(raw[i + 1])
    const before = trailers[name]
    trailers[name] = before === undefined ? value : `${before}, ${value}`
  }
  if (response instanceof Http2ServerResponse || response.chunkedEncoding || !response.headersSent) {
    response.addTrailers(trailers)
  }
}
