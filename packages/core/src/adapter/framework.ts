import type { Readable } from 'node:stream'
import type { Decision } from '../decision/decision.js'
import type { RawRequest, RawResponse } from '../node-http.js'
import type { Trust } from '../request/trust.js'

/** The socket's peer and the client behind it, as a framework judges them. */
export interface FrameworkAddress {
  /** The client's address. */
  readonly ip: string
  /** Whether the socket's peer is a trusted proxy. */
  readonly peerTrusted: boolean
}

/**
 * What an adapter says of its framework, and all it says. `Context` is whatever one request is known by there:
 * Express's request, Koa's context, Fastify's reply.
 */
export interface Framework<Context, Request> {
  /** Node's request. */
  readonly raw: (context: Context) => RawRequest
  /** Node's response. */
  readonly response: (context: Context) => RawResponse
  /** What `consumer` and `groups` functions are given. */
  readonly request: (context: Context) => Request
  /** What authentication left: the first of `user` and `auth`. */
  readonly user: (context: Context) => unknown
  /** Path and query below the mount's prefix, as text. */
  readonly path: (context: Context) => string
  /** The bytes or the text of the body, where a parser kept them. */
  readonly rawBody: (context: Context) => unknown
  /** What a body parser left. */
  readonly body: (context: Context) => unknown
  /** Gives handlers a body that was taken. `null`: they read the raw request, where it is no longer whole. */
  readonly giveBody: ((context: Context, body: Readable) => void) | null
  /** Shows the decision on the framework's request. */
  readonly decided: (context: Context, decision: Decision) => void
  /** Puts another path and query in the request, for rewrite mode. */
  readonly rewrite: (context: Context, path: string) => void
  /** Whether the application said whom the framework trusts. */
  readonly trustConfigured: (context: Context) => boolean
  /** Which peers the framework trusts, where the mount has no `trustedIps`; `null`: nobody. */
  readonly trust: ((context: Context) => Trust) | null
  /** The framework's own judgement of the address, where it gives no function to ask; goes before `trust`. */
  readonly address: ((context: Context) => FrameworkAddress) | null
}
