import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import type { Decision } from '../decision/decision.js'
import type { CanaryError } from '../errors.js'
import type { RawRequest, RawResponse } from '../node-http.js'
import type { UrlUpstream } from '../upstream.js'

/** Limits and hooks of one attempt: those of `proxy` that concern whoever carries it. */
export interface TransportSettings {
  /** Milliseconds to establish a connection, or to wait in the queue for a free one. */
  readonly connectTimeoutMs: number
  /** Milliseconds from the request sent to the head of the response. */
  readonly headersTimeoutMs: number
  /** Milliseconds without a byte of a body, either way. */
  readonly bodyTimeoutMs: number
  /** Connections per upstream. */
  readonly connections: number
  /** Requests that may wait for a connection. */
  readonly queue: number
  readonly onResponseHeaders: ResponseHeadersHook | null
}

/** What one attempt at one upstream needs, checked and compiled. */
export interface Attempt {
  readonly request: RawRequest
  readonly response: RawResponse
  readonly upstream: UrlUpstream
  /** The path and query to send, already joined with the upstream's base and checked. */
  readonly path: string
  /** Clean request headers in the order received: `[name, value, name, value …]`, no hop-by-hop ones. */
  readonly headers: string[]
  /** A body that was read already and is sent again; `null`: the stream, or none. */
  readonly body: Buffer | null
  /** What the body is read from where `body` is `null`: the request itself, or what was taken from it. */
  readonly stream: Readable
  readonly hasBody: boolean
  readonly upgrade: { readonly socket: Duplex; readonly head: Buffer } | null
  readonly settings: TransportSettings
  /** The decision in force for this attempt. */
  readonly decision: Decision
  readonly beforeHead: ((response: RawResponse) => void) | null
  /** Whose request it is, as {@link Forwarder.close} is told. */
  readonly mount: object
}

/** How an attempt ended. `phase` says how far it came: only before `head` may another upstream be asked. */
export interface AttemptResult {
  readonly phase: 'connect' | 'head' | 'body' | 'done'
  readonly status: number | null
  readonly error: CanaryError | null
  /** The client left. */
  readonly aborted: boolean
}

/** Carries attempts to upstreams. The default one is built on undici; `@canary-release/core/http-proxy` has another. */
export interface Forwarder {
  /** Sends one attempt. `head` is called when the response's head has arrived, `done` exactly once at the end. */
  forward(attempt: Attempt, head: (status: number) => void, done: (result: AttemptResult) => void): void
  /**
   * Lets running attempts end within `graceMs`, then destroys what is left: of `mount` alone where it is given, for
   * others may have the same forwarder.
   */
  close(graceMs?: number, mount?: object): Promise<void>
}

/** Hooks that may change headers; each gets the object that will be sent and changes it in place. */
export type RequestHeadersHook = (headers: OutgoingHttpHeaders, request: RawRequest, decision: Decision) => void
export type ResponseHeadersHook = (headers: IncomingHttpHeaders, request: RawRequest, decision: Decision) => void
