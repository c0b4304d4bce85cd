import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'

/** A request as Node, Express and Koa's and Fastify's raw ones have it; a body parser may have left its body on it. */
export type NodeRequest = (IncomingMessage | Http2ServerRequest) & {
  readonly body?: unknown
  readonly rawBody?: unknown
  /** The URL before Express took the mount's path off it. */
  readonly originalUrl?: unknown
}

export type NodeResponse = ServerResponse | Http2ServerResponse
