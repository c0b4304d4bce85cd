import { CanaryError } from '../errors.js'
import { bodyError } from './body-error.js'
import { isBodyHeld } from './body-stream.js'
import type { Attempt, AttemptResult } from './forwarder.js'
import type { RawHeaders } from './response/headers.js'
import { ResponseWriter } from './response/writer.js'
import { closedError, upstreamError, type UpstreamFailure } from './upstream-error.js'

/** Told by a relay who must act next; `null` once the body is whole. */
export interface UploadObserver {
  uploading(waitsFor: 'client' | 'upstream' | null): void
  /** The body cannot be sent to its end: nobody's failure but the application's or the client's. */
  uploadFailed(error: CanaryError): void
}

/** One attempt at one upstream: how far it came, and its one end. How the upstream is spoken with is for subclasses. */
export abstract class Exchange extends ResponseWriter {
  protected phase: AttemptResult['phase'] = 'connect'
  protected finished = false
  #status: number | null = null
  readonly #head: (status: number) => void
  readonly #done: (result: AttemptResult) => void

  constructor(attempt: Attempt, head: (status: number) => void, done: (result: AttemptResult) => void) {
    super(attempt)
    this.#head = head
    this.#done = done
  }

  /** Lets go of the upstream and of all timers; called once, at the end. */
  protected abstract letGo(): void

  /** Passes the upstream's head on. False where that is not possible: the exchange has failed then. */
  protected takeHead(status: number, reason: string, raw: RawHeaders, last: boolean): boolean {
    try {
      this.sendHead(status, reason, raw, last)
    } catch (error) {
      if (error instanceof CanaryError) this.finish(error, false)
      else this.fail('broken-head', error)
      return false
    }
    this.headTaken(status)
    return true
  }

  protected headTaken(status: number): void {
    this.phase = 'body'
    this.#status = status
    this.#head(status)
  }

  /** The upstream failed: before its head somebody else may answer, after it the client is cut off. */
  protected fail(failure: UpstreamFailure, cause?: unknown): void {
    if (this.phase === 'body') this.cutOff()
    this.finish(upstreamError(failure, this.attempt, cause), false)
  }

  protected refuse(cause: unknown): void {
    this.finish(new CanaryError('ERR_CANARY_REQUEST', 'the request cannot be forwarded', { cause }), false)
  }

  uploadFailed(error: CanaryError): void {
    if (this.phase === 'done') return
    if (this.phase === 'body') this.cutOff()
    this.finish(error, false)
  }

  /** The client stalled, in its upload or in reading: that is no failure of the upstream. */
  protected leaveClient(wantsUpload: boolean): void {
    // It is not the client who stalled where its bytes are here, and somebody keeps them back.
    if (wantsUpload && isBodyHeld(this.attempt)) return this.uploadFailed(bodyError('held'))
    this.cutOff()
    this.finish(null, true)
  }

  protected finish(error: CanaryError | null, aborted: boolean): void {
    if (this.finished) return
    this.finished = true
    this.releaseResponse()
    this.letGo()
    this.#done({ phase: this.phase, status: this.#status, error, aborted })
  }

  /** Ends it at once, because the forwarder is being closed. */
  giveUp(): void {
    if (this.phase === 'body' || this.phase === 'done') this.cutOff()
    this.finish(closedError(), false)
  }

  protected override onClientClose(aborted: boolean): void {
    this.finish(null, aborted)
  }

  protected override isComplete(): boolean {
    return this.phase === 'done'
  }
}
