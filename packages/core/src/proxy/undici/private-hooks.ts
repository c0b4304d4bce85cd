import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { Client, Dispatcher } from 'undici'
import type { RawHeaders } from '../response/headers.js'

// What the pool relies on of undici that undici does not promise: each with what it is, why it is needed, and what breaks
// without it. It holds for undici 7 and 8; `npm run test:undici` runs the tests of forwarding on 8.

/**
 * What: a connection speaks HTTP/1.1 whatever the upstream offers (a documented option, whose default changed in 8).
 * Why: one socket for each client, raw heads and `Expect` are HTTP/1.1's.
 * Breaks: with HTTP/2 no head is raw, and the sockets' own hooks below see frames.
 */
export const HTTP_1_ONLY = { allowH2: false }

/** What is used of undici's controller of a request. */
export type Controller = Pick<Dispatcher.DispatchController, 'rawHeaders' | 'rawTrailers' | 'pause' | 'resume'>

/**
 * What: a head's bytes, `[name, value, …]`, on the controller; typed as optional, described nowhere.
 * Why: order, repeated lines and bytes pass unchanged, and a memo of them is faster than strings.
 * Breaks: every response is a `broken-head`; the headers that undici parsed would have to do.
 */
export function rawHeaders({ rawHeaders: raw }: Controller): RawHeaders {
  if (!Array.isArray(raw)) throw new TypeError('undici hands out no raw headers')
  return raw
}

/** The same of trailers. Breaks: they are left out. */
export function rawTrailers({ rawTrailers: raw }: Controller): RawHeaders | null {
  return Array.isArray(raw) ? raw : null
}

/**
 * What: the option `servername` of a request, which the types do not know.
 * Why: undici would take the name out of each request's `Host`, and close a TLS connection whose last request had another.
 * Breaks: connections over TLS are used again only for requests with the same `Host`.
 */
export type DispatchOptions = Dispatcher.DispatchOptions & { readonly servername: string }

/**
 * What: all that undici uses of a body that is a stream. It takes for one what has `pipe` and `on`, and never pipes.
 * Why: a request's own stream must not be destroyed with its exchange, as undici does: the client could not be answered.
 * Breaks: an upload throws or hangs in the exchange, and ends at its deadline.
 */
export interface UploadStream extends EventEmitter {
  /** With it the stream ends by itself; else undici destroys it at its end, with an error that costs 3 % of 1 MB. */
  readonly _readableState: { readonly autoDestroy: boolean }
  readonly destroyed: boolean
  readonly closed: boolean
  readonly errored: Error | null
  readonly readableEnded: boolean
  pipe(): never
  pause(): this
  resume(): this
  destroy(error?: Error): this
}

/**
 * What: a connector returns its socket before that is connected; the types say that it returns nothing.
 * Why: undici's own connect timeout is exact to a second only, and an attempt that nobody waits for must end.
 * Breaks: a connection attempt lasts as long as the system lets it.
 */
export function destroyConnecting(returned: unknown, error: Error): void {
  if (typeof returned !== 'object' || returned === null || !('destroy' in returned)) return
  if (typeof returned.destroy === 'function') returned.destroy(error)
}

/**
 * What: a connector's error whose `code` is not one of undici's fails the requests that wait for the connection.
 * Why: with `UND_ERR_INFO` or `UND_ERR_SOCKET` undici connects again, without end.
 * Breaks: a refused connection is tried until the request's deadline.
 */
export class ConnectError extends Error {
  readonly timedOut: boolean

  constructor(message: string, timedOut: boolean, cause?: unknown) {
    super(message, { cause })
    this.timedOut = timedOut
  }
}

/**
 * What: the code of the error with which undici closes a connection for a reason of its own, such as its idle timeout.
 * Why: only what the upstream closes says whether it keeps connections.
 * Breaks: uploads go on new connections more often than they need.
 */
export const isClosedByUndici = ({ code }: { readonly code: string }): boolean => code === 'UND_ERR_INFO'

/**
 * What: undici emits `error` on a client for what a handler threw.
 * Why: without a listener that ends the process.
 * Breaks: a fault of this room ends the process, not one request.
 */
export function ignoreErrors(client: Client, ignore: () => void): void {
  const events: EventEmitter = client
  events.on('error', ignore)
}

/**
 * What: undici's parser takes an upstream's bytes out of `socket.read()`, called without a size.
 * Why: an unasked `100 Continue` must not reach the parser, which holds it for a bad response.
 * Breaks: such an upstream's answers are `broken-head`.
 */
export function filterReads(socket: Socket, filter: (read: () => unknown) => unknown): void {
  const read = socket.read.bind(socket)
  socket.read = (size?: number): unknown => filter(() => read(size))
}

/** The diagnostics channel on which undici publishes each request as it is made, before it is sent. */
export const CREATED_CHANNEL = 'undici:request:create'

/**
 * What: the headers of a request that is published there, `[name, value, …]`, and that changing them changes what is sent.
 * Why: of `traceparent`, which an instrumentation adds behind the client's own, only the last may be sent.
 * Breaks: a traced request has two, and the next hop takes either.
 */
export function createdHeaders(message: unknown): unknown[] | null {
  if (typeof message !== 'object' || message === null || !('request' in message)) return null
  const { request } = message
  if (typeof request !== 'object' || request === null || !('headers' in request)) return null
  return Array.isArray(request.headers) ? request.headers : null
}
