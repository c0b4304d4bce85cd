import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Decision } from '../decision/decision.js'
import type { Framework } from './framework.js'

/** A request of `node:http` or of `node:http2`'s compatibility API, with what middlewares put on it. */
export type NodeRequest = (IncomingMessage | Http2ServerRequest) & {
  /** What was decided for it. @default absent until a canary has decided */
  canary?: Decision
  /** Whom an authentication found. @default nobody */
  user?: unknown
  /** The same, of other authentications. @default nobody */
  auth?: unknown
  /** The bytes or the text of the body, if a parser kept them. @default none */
  rawBody?: unknown
  /** What a body parser left. @default none */
  body?: unknown
}
/** A response of `node:http` or of `node:http2`'s compatibility API. */
export type NodeResponse = ServerResponse | Http2ServerResponse

/** One request of Node's and its response. */
export interface NodeExchange {
  /** The request, with what middlewares put on it. */
  readonly request: NodeRequest
  /** Its response. */
  readonly response: NodeResponse
}

/** Node's own requests, and those of a framework that works on them as they are. It trusts nobody. */
export const nodeFramework: Framework<NodeExchange, NodeRequest> = {
  raw: ({ request }) => request,
  response: ({ response }) => response,
  request: ({ request }) => request,
  user: ({ request }) => request.user ?? request.auth,
  path: ({ request }) => request.url ?? '/',
  rawBody: ({ request }) => request.rawBody,
  body: ({ request }) => request.body,
  giveBody: null,
  decided: ({ request }, decision) => {
    request.canary = decision
  },
  rewrite: ({ request }, path) => {
    request.url = path
  },
  trustConfigured: () => false,
  trust: null,
  address: null,
}
