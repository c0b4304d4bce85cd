import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Decision, Outcome } from '../decision/decision.js'
import type { CanaryError } from '../errors.js'
import type { UrlUpstream } from '../release/upstream.js'
import type { ResolvedHealthOptions, ResolvedProxyOptions } from './options.js'

export type RawRequest = IncomingMessage | Http2ServerRequest
export type RawResponse = ServerResponse | Http2ServerResponse

/** What forwarding needs of a release, and tells it. */
export interface ForwardedRelease {
  readonly name: string
  /** A new object after each change of the release's options: comparing identities is enough to see one. */
  readonly options: {
    readonly upstreams: { readonly A: UrlUpstream | { kind: 'handler' }; readonly B: UrlUpstream | { kind: 'handler' } }
    readonly upstreamFallback: boolean
    readonly health: ResolvedHealthOptions
    readonly proxy: ResolvedProxyOptions
    /** In lower case: passed on from a trusted peer only. */
    readonly realIpHeader?: string | undefined
  }
  /** What the health of its B is remembered by, where this object is made anew with each change. @default itself */
  readonly identity?: object | undefined
  /** Counts how an attempt ended. A failed attempt at B that A then serves is recorded as B's, before A's. */
  record(outcome: Outcome): void
  /** The decision that replaces one for B which A must serve (reason `fallback`), counted as such. */
  fallback(decision: Decision): Decision
}

/** One decided request, on its way to an upstream. */
export interface ForwardCall {
  readonly request: RawRequest
  readonly response: RawResponse
  /** Path and query as text, below the mount's prefix, as the client sent them: not yet checked. */
  readonly path: string
  /** What a body parser left on the framework's request. Looked at only where the stream was read already. */
  readonly parsedBody: () => unknown
  /** Whether the socket's peer is a trusted proxy: its x-forwarded-* are appended to, anyone else's replaced. */
  readonly peerTrusted: boolean
  /** The socket of an upgrade; `null` for an ordinary request. */
  readonly upgrade: { readonly socket: Duplex; readonly head: Buffer } | null
  readonly release: ForwardedRelease
  readonly decision: Decision
  /** `Date.now()`-like milliseconds of the decision are not enough for a latency: `performance.now()` then. */
  readonly startedAt: number
  /** Called where the decision changes under way (fallback), before anything is sent. */
  readonly redecided: (decision: Decision) => void
  /** Called once the upstream's headers are set on the response, just before its head goes out; may set more. */
  readonly beforeHead: ((response: RawResponse) => void) | null
  /**
   * Called instead of `done` where the fallback goes to an upstream that is a handler of the framework. Without it, such
   * a request fails as if there were no fallback.
   */
  readonly toHandler?: ((decision: Decision) => void) | undefined
  /**
   * Called exactly once. An error: nothing was sent to the client, the framework's error handling must answer.
   * `null`: the response was sent or its connection destroyed; nothing is left to do.
   */
  readonly done: (error: CanaryError | null) => void
}

/** The parts of {@link ForwardCall} that one attempt at one upstream needs, checked and compiled. */
export interface Attempt {
  readonly request: RawRequest
  readonly response: RawResponse
  readonly upstream: UrlUpstream
  /** The path and query to send, already joined with the upstream's base and checked. */
  readonly path: string
  /** Clean request headers in the order received: `[name, value, name, value …]`, no hop-by-hop ones. */
  readonly headers: string[]
  /** A body that was read already and is sent again; `null`: the request's own stream, or none. */
  readonly body: Buffer | null
  readonly hasBody: boolean
  readonly upgrade: { readonly socket: Duplex; readonly head: Buffer } | null
  readonly settings: ResolvedProxyOptions
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
