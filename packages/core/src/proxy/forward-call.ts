import type { Duplex } from 'node:stream'
import type { Decision } from '../decision/decision.js'
import type { CanaryError } from '../errors.js'
import type { RawRequest, RawResponse } from '../node-http.js'
import type { Place } from '../place.js'
import type { UrlUpstream } from '../upstream.js'
import type { ResponseSink } from './response/sink.js'
import type { TakenBody } from './body/taken.js'
import type { ResolvedProxyOptions } from './options.js'

/** How a mount sends its requests on: of its options, what forwarding reads. */
export interface Transport {
  readonly proxy: ResolvedProxyOptions
  /** In lower case: passed on from a trusted peer only. */
  readonly realIpHeader: string
  /** Bits of an IPv6 address that make one network, for `perNetwork`. */
  readonly ipv6Prefix: number
}

/** What forwarding asks about a client. */
export interface ClientFacts {
  /** Whether the socket's peer is a trusted proxy: its x-forwarded-* are appended to, anyone else's replaced. */
  peerTrusted(): boolean
  /** Whether it was said which peers are trusted: from others, headers that say who calls are then not passed on. */
  trustConfigured(): boolean
  /** The client's address; `''` where it has none, on a Unix socket. */
  ip(): string
}

/** One decided request, on its way to an upstream. */
export interface ForwardCall {
  readonly request: RawRequest
  readonly response: RawResponse
  readonly place: Place
  readonly transport: Transport
  /** What is in force now: {@link fallBack} replaces it, and nobody keeps another. */
  readonly decision: Decision
  /** Where the decision sends it. */
  readonly upstream: UrlUpstream
  /** Milliseconds of `performance.now()` at the decision. */
  readonly startedAt: number
  /** Path and query as text, below the mount's prefix, as the client sent them: not yet checked. */
  readonly path: string
  /** What was kept of the body's bytes on the framework's request, looked at where the stream was read already. */
  rawBody(): unknown
  /** What a body parser left on the framework's request. Looked at only where the stream was read already. */
  parsedBody(): unknown
  /** The body, where others read it too or a hook has put it in place of the request's own; `null`: it is read here. */
  readonly taken: TakenBody | null
  readonly client: ClientFacts
  /** The socket of an upgrade; `null` for an ordinary request. */
  readonly upgrade: { readonly socket: Duplex; readonly head: Buffer } | null
  /** Called once the upstream's headers are set on the response, just before its head goes out; may set more. */
  readonly beforeHead: ((response: RawResponse) => void) | null
  /** Sends the response in place of whoever forwards; `null`: nobody else. */
  readonly sink: ResponseSink | null
  /** Where a failure is told that no request can answer for. */
  readonly reports: { reportOnce(kind: string, error: unknown): void }
  /** Makes the decision one for A, where B could not serve. Called before anything is sent. */
  fallBack(): void
  /** Called instead of `done` where the fallback goes to an upstream that is a handler of the framework. */
  toHandler(): void
  /**
   * Called exactly once. An error: nothing was sent to the client, the framework's error handling must answer.
   * `null`: the response was sent or its connection destroyed; nothing is left to do.
   */
  done(error: CanaryError | null): void
}
