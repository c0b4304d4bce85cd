import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Decision } from '../decision/decision.js'
import type { Framework } from './framework.js'

/** A request of `node:http` or of `node:http2`'s compatibility API, with what middlewares put on it. */
export type NodeRequest = (IncomingMessage | Http2ServerRequest) & {
  /** What was decided for it. */
  canary?: Decision
  user?: unknown
  auth?: unknown
  rawBody?: unknown
  body?: unknown
}
export type NodeResponse = ServerResponse | Http2ServerResponse

interface NodeExchange {
  readonly request: NodeRequest
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
