import type { Duplex } from 'node:stream'
import type { Decision, Outcome } from '../decision/decision.js'
import type { CanaryError } from '../errors.js'
import type { RawRequest, RawResponse } from '../node-http.js'
import type { UrlUpstream } from '../upstream.js'
import type { ResponseSink } from './response/sink.js'
import type { TakenBody } from './body/taken.js'
import type { ResolvedHealthOptions, ResolvedProxyOptions } from './options.js'

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
    /** Bits of an IPv6 network. @default 64 */
    readonly ipv6Prefix?: number | undefined
  }
  /** What the health of its B is remembered by, where this object is made anew with each change. @default itself */
  readonly identity?: object | undefined
  /** Counts how an attempt ended. A failed attempt at B that A then serves is recorded as B's, before A's. */
  record(outcome: Outcome): void
  /** The decision that replaces one for B which A must serve (reason `fallback`), counted as such. */
  fallback(decision: Decision): Decision
  /** Tells the application of a problem that each request would repeat: once for each kind. */
  reportOnce(kind: string, error: unknown): void
}

/** One decided request, on its way to an upstream. */
export interface ForwardCall {
  readonly request: RawRequest
  readonly response: RawResponse
  /** Path and query as text, below the mount's prefix, as the client sent them: not yet checked. */
  readonly path: string
  /** What was kept of the body's bytes on the framework's request, looked at where the stream was read already. */
  readonly rawBody: () => unknown
  /** What a body parser left on the framework's request. Looked at only where the stream was read already. */
  readonly parsedBody: () => unknown
  /** The body, where others read it too or a hook has put it in place of the request's own. @default none */
  readonly taken?: TakenBody | null | undefined
  /** Whether the socket's peer is a trusted proxy: its x-forwarded-* are appended to, anyone else's replaced. */
  readonly peerTrusted: boolean
  /**
   * Whether it was said which peers are trusted: from others, headers that say who calls are then not passed on.
   *
   * @default false
   */
  readonly trustConfigured?: boolean | undefined
  /** The client's network, for `perNetwork`. @default none: not counted */
  readonly network?: string | undefined
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
  /** Sends the response in place of whoever forwards. @default none */
  readonly sink?: ResponseSink | null | undefined
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
