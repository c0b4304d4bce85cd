import { performance } from 'node:perf_hooks'
import type { Decision } from '../decision/decision.js'
import { hasLeft } from '../proxy/response/client-connection.js'
import type { RawRequest, RawResponse } from '../node-http.js'
import { carriesBody } from '../proxy/body/body.js'
import type { PlacedRelease } from '../place.js'
import { captureContext } from '../request-context.js'

/** Records how a request ended that the application itself answers: by the response's status, when it is over. */
export function observeResponse(
  release: PlacedRelease,
  decision: Decision,
  { request, response, startedAt }: { request: RawRequest; response: RawResponse; startedAt: number },
): void {
  // What the upload takes says nothing of the application.
  let turnAt: number | null = startedAt
  if (carriesBody(request) && !request.readableEnded) {
    turnAt = null
    request.once('end', () => {
      if (!response.headersSent) turnAt = performance.now()
    })
  }
  const over = () => {
    const now = performance.now()
    release.record({
      decision,
      status: response.headersSent ? response.statusCode : null,
      durationMs: now - startedAt,
      latencyMs: turnAt === null ? null : now - turnAt,
      error: null,
      aborted: !response.writableFinished,
    })
  }
  // The client may have left while the application was still asking who it is.
  if (hasLeft(response)) return over()
  // Where the client leaves, its connection tells of that, in no request's context.
  const context = captureContext()
  response.once('close', () => {
    context.runInAsyncScope(over)
    context.emitDestroy()
  })
}
