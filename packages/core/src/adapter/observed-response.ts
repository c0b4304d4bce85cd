import { performance } from 'node:perf_hooks'
import type { Decision } from '../decision/decision.js'
import { hasLeft } from '../proxy/response/client-connection.js'
import type { RawResponse } from '../node-http.js'
import { captureContext } from '../request-context.js'
import type { Release } from '../release/release.js'

/** Records how a request ended that the application itself answers: by the response's status, when it is over. */
export function observeResponse(release: Release, decision: Decision, response: RawResponse, startedAt: number): void {
  const over = () =>
    release.record({
      decision,
      status: response.headersSent ? response.statusCode : null,
      durationMs: performance.now() - startedAt,
      error: null,
      aborted: !response.writableFinished,
    })
  // The client may have left while the application was still asking who it is.
  if (hasLeft(response)) return over()
  // Where the client leaves, its connection tells of that, in no request's context.
  const context = captureContext()
  response.once('close', () => {
    context.runInAsyncScope(over)
    context.emitDestroy()
  })
}
