import type { AsyncResource } from 'node:async_hooks'
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import type { Decision } from '../decision/decision.js'
import type { CanaryError } from '../errors.js'
import type { RawRequest, RawResponse } from '../node-http.js'
import type { UrlUpstream } from '../upstream.js'
import type { ResponseSink } from './response/sink.js'

/** Limits and hooks of one attempt: those of `proxy` that concern whoever carries it. */
export interface TransportSettings {
  /** Milliseconds to establish a connection, or to wait in the queue for a free one. */
  readonly connectTimeoutMs: number
  /** Milliseconds from the request sent to the head of the response. */
  readonly headersTimeoutMs: number
  /** Milliseconds without a byte of a body, either way. */
  readonly bodyTimeoutMs: number
  /** Milliseconds after which a connection is used for no further request. */
  readonly connectionMaxAgeMs: number
  /** Connections per upstream. */
  readonly connections: number
  /** Requests that may wait for a connection. */
  readonly queue: number
  /** Milliseconds from the decision to the end of the response, if limited: see {@link Attempt.endsAt}. */
  readonly requestTimeoutMs: number | null
  /** Changes the headers of a response just before its head goes out. */
  readonly onResponseHeaders: ResponseHeadersHook | null
}

/** What one attempt at one upstream needs, checked and compiled. */
export interface Attempt {
  /** The client's request. */
  readonly request: RawRequest
  /** What is answered to the client. */
  readonly response: RawResponse
  /** Where the attempt goes. */
  readonly upstream: UrlUpstream
  /** The path and query to send, already joined with the upstream's base and checked. */
  readonly path: string
  /** Clean request headers in the order received: `[name, value, name, value …]`, no hop-by-hop ones. */
  readonly headers: string[]
  /** A body that was read already and is sent again; `null`: the stream, or none. */
  readonly body: Buffer | null
  /** What the body is read from where `body` is `null`: the request itself, or what was taken from it. */
  readonly stream: Readable
  /** Whether the request has a body. */
  readonly hasBody: boolean
  /** The client's socket and what it sent behind the request's head, if the client asks for an upgrade; else `null`. */
  readonly upgrade: { readonly socket: Duplex; readonly head: Buffer } | null
  /** Limits and hooks. */
  readonly settings: TransportSettings
  /** When the response must have ended, in milliseconds of `performance.now()`; `null` where that is not limited. */
  readonly endsAt: number | null
  /** The decision in force for this attempt. */
  readonly decision: Decision
  /** Called when all headers of the response are set, just before its head goes out: it may set more. */
  readonly beforeHead: ((response: RawResponse) => void) | null
  /**
   * Sends the response where it is not `null`, once its headers are set. A forwarder that does not know it writes the
   * response itself.
   */
  readonly sink: ResponseSink | null
  /** Whose request it is, as {@link Forwarder.close} is told. */
  readonly mount: object
  /** Where a failure is told that no request can answer for. */
  readonly reports: {
    /** Reports a problem the first time that a kind of it comes up. */
    reportOnce(kind: string, error: unknown): void
  }
  /**
   * The request's async context. A hook, `beforeHead` and all that writes to the response run in it, from wherever they
   * are called: a forwarder shares connections between requests, and their callbacks see the stores of another.
   */
  readonly context: AsyncResource
  /** Milliseconds that it had to wait because other clients kept the connections busy: a forwarder adds to them. */
  waitedMs: number
}

/** How an attempt ended. `phase` says how far it came: only before `head` may another upstream be asked. */
export interface AttemptResult {
  /** How far the attempt came. */
  readonly phase: 'connect' | 'head' | 'body' | 'done'
  /** The upstream's status; `null` if there was none. */
  readonly status: number | null
  /** What failed; `null` if nothing did. */
  readonly error: CanaryError | null
  /** The client left. */
  readonly aborted: boolean
}

/**
 * Carries attempts to upstreams. The default one is built on undici; `@canary-release/core/http-proxy` has another.
 *
 * One of your own is held to its word: where it throws, rejects, ends a request with nonsense or gives no sign of life,
 * the request ends with ERR_CANARY_HOOK; what it says after the end is not heard.
 */
export interface Forwarder {
  /**
   * Sends one attempt. `head` is called when the response's head has arrived, `done` exactly once at the end. One of
   * them must be called within twice `connectTimeoutMs` plus `headersTimeoutMs` without a byte of the client's.
   */
  forward(attempt: Attempt, head: (status: number) => void, done: (result: AttemptResult) => void): void
  /**
   * Lets running attempts end within `graceMs`, then destroys what is left: of `mount` alone where it is given, for
   * others may have the same forwarder. Nobody waits for it longer than `graceMs` and a second.
   */
  close(graceMs?: number, mount?: object): Promise<void>
}

/**
 * May change the headers of a request, in place, just before it is sent; `host`, hop-by-hop headers and those of the
 * decision are there already. It may be async: the request waits for it, `headersTimeoutMs` at most, and is not sent
 * where the client leaves meanwhile. A throw, a rejection, a late answer or a header that cannot be sent ends the
 * request with ERR_CANARY_HOOK.
 */
export type RequestHeadersHook = (
  headers: OutgoingHttpHeaders,
  request: RawRequest,
  decision: Decision,
) => void | Promise<void>

/**
 * May change the headers of a response, in place, just before its head goes out. It must not be async: a promise, a
 * throw or a header that cannot be sent ends the request with ERR_CANARY_HOOK.
 */
export type ResponseHeadersHook = (headers: IncomingHttpHeaders, request: RawRequest, decision: Decision) => void
