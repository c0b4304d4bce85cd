import type { Readable } from 'node:stream'
import type { RawRequest, RawResponse } from '../../node-http.js'
import { carriesBody } from './body.js'
import { type PayloadHeaders, TakenBody } from './taken.js'

/** Kept on the request itself, as its decisions are. */
const TAKEN = Symbol('canary.body')

interface Taking {
  [TAKEN]?: TakenBody
}

/** The taken body of a request; `null` where its own stream is whole still, or was read by somebody else. */
export function takenBody(request: RawRequest & Taking): TakenBody | null {
  const taken = request[TAKEN]
  return taken === undefined || (taken.destroyed && taken.errored === null) ? null : taken
}

/**
 * Takes the body of a request that will be sent, where somebody reads its stream already, in the tick that decides it:
 * bytes would be lost until it is sent. It is let go when the response is over. A stream that nobody reads is left as
 * it is.
 */
export function takeBody(request: RawRequest & Taking, response: RawResponse): void {
  if (request[TAKEN] === undefined) takeObserved(request, response)?.hold()
  request[TAKEN]?.claim()
}

/**
 * Leaves a request's body to a handler of the application. `null`: its stream is as whole as it was found. Else some of
 * it was taken already, and what is returned is whole.
 */
export function giveBackBody(request: RawRequest): Readable | null {
  const taken = takenBody(request)
  if (taken === null || taken.received > 0) {
    taken?.claim()
    return taken
  }
  taken.giveBack()
  return null
}

/** Takes the stream that a hook put in place of a request's body, with what `headers` now say of it. */
export function takePayload(
  request: RawRequest,
  response: RawResponse,
  payload: Readable,
  headers: PayloadHeaders,
): void {
  const taking: RawRequest & Taking = request
  if (payload === request) takeObserved(taking, response)
  else keep(taking, response, new TakenBody(request, payload, payloadHeaders(payload, headers)))
}

function takeObserved(request: RawRequest & Taking, response: RawResponse): TakenBody | null {
  const observed = request.readableFlowing !== null || request.listenerCount('data') > 0
  if (!observed || request.readableDidRead || request.readableEnded || !carriesBody(request)) return null
  return keep(request, response, new TakenBody(request, request, null))
}

function keep(request: Taking, response: RawResponse, taken: TakenBody): TakenBody {
  request[TAKEN] = taken
  response.once('close', () => taken.destroy())
  return taken
}

/** Fastify's sign that a payload was decoded: the headers then speak of what came, not of what it is now. */
function payloadHeaders(payload: Readable, headers: PayloadHeaders): PayloadHeaders {
  if ('receivedEncodedLength' in payload) return {}
  return { 'content-length': headers['content-length'], 'content-encoding': headers['content-encoding'] }
}
