import { performance } from 'node:perf_hooks'
import type { Decision } from '../decision/decision.js'
import { hasLeft, onQueueClose } from '../proxy/response/client-close.js'
import type { RawResponse } from '../node-http.js'
import type { Release } from '../release/release.js'

/** Records how a request ended that the application itself answers: by the response's status, when it is over. */
export function observeResponse(release: Release, decision: Decision, response: RawResponse, startedAt: number): void {
  let leaveQueue: (() => void) | null = null
  const over = () => {
    response.off('close', over)
    leaveQueue?.()
    release.record({
      decision,
      status: response.headersSent ? response.statusCode : null,
      durationMs: performance.now() - startedAt,
      error: null,
      aborted: !response.writableFinished,
    })
  }
  // The client may have left while the application was still asking who it is.
  if (hasLeft(response)) return over()
  response.on('close', over)
  leaveQueue = onQueueClose(response, over)
}
