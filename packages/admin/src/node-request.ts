import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'

/** A request as Node, Express and Koa's and Fastify's raw ones have it; a body parser may have left its body on it. */
export type NodeRequest = (IncomingMessage | Http2ServerRequest) & {
  /** What a body parser left. @default none */
  readonly body?: unknown
  /** The bytes or the text of the body, if a parser kept them. @default none */
  readonly rawBody?: unknown
  /** The URL before Express took the mount's path off it. @default `url` */
  readonly originalUrl?: unknown
}

/** A response of `node:http` or of `node:http2`'s compatibility API. */
export type NodeResponse = ServerResponse | Http2ServerResponse
