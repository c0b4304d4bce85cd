import type { Socket } from 'node:net'
import { CanaryError } from '../errors.js'
import { bodyError } from './body/error.js'
import { isBodyHeld } from './body/stream.js'
import type { Attempt, AttemptResult } from './forwarder.js'
import type { RawHeaders } from './response/headers.js'
import { ResponseWriter } from './response/writer.js'
import { type Upload, isWriting } from './kept-write-errors.js'
import { closedError, requestTimeoutError, upstreamError, type UpstreamFailure } from './upstream-error.js'

/** Milliseconds that an upstream gets for the rest of its answer, once it takes no more of the request. */
const ANSWER_MS = 1000

/** Told by a relay who must act next; `null` once the body is whole. */
export interface UploadObserver {
  uploading(waitsFor: 'client' | 'upstream' | null): void
  /** The body cannot be sent to its end: nobody's failure but the application's or the client's. */
  uploadFailed(error: CanaryError): void
}

/** One attempt at one upstream: how far it came, and its one end. How the upstream is spoken with is for subclasses. */
export abstract class Exchange extends ResponseWriter implements Upload {
  protected phase: AttemptResult['phase'] = 'connect'
  protected finished = false
  /** Why the upstream takes no more of the body; `null` as long as it does. */
  protected uploadError: Error | null = null
  #status: number | null = null
  #timer: NodeJS.Timeout | null = null
  readonly #head: (status: number) => void
  readonly #done: (result: AttemptResult) => void

  constructor(attempt: Attempt, head: (status: number) => void, done: (result: AttemptResult) => void) {
    super(attempt)
    this.#head = head
    this.#done = done
    if (attempt.endsAt !== null) this.#timer = setTimeout(this.#timeUp, attempt.endsAt - performance.now())
  }

  /** Lets go of the upstream and of all timers; called once, at the end. */
  protected abstract letGo(): void

  /** Whether the client has not sent all of the body. */
  protected abstract isUploading(): boolean

  /** Sends no more of the body, which a write error broke off: only the answer is waited for. */
  protected abstract stopUpload(): void

  /** Who or what is waited for now. */
  protected abstract waitsOn(): 'queue' | 'upstream' | 'client'

  writeFailed(error: Error): boolean {
    // Before there is a connection, and behind the answer, there is nothing to be read.
    if (this.finished || (this.phase !== 'head' && this.phase !== 'body')) return false
    if (this.uploadError === null) {
      this.uploadError = error
      this.stopUpload()
    }
    return true
  }

  /** Milliseconds to wait for the upstream, where `limit` holds for one that still takes the request. */
  protected patience(limit: number): number {
    return this.uploadError === null ? limit : Math.min(limit, ANSWER_MS)
  }

  /** How an upstream failed whose connection was lost: under an upload, that says nothing certain about it. */
  protected lost(socket: Socket | null, error: Error, otherwise: UpstreamFailure): UpstreamFailure {
    // An error of any other kind is one of its answer.
    const isLost = socket !== null && (socket.readableEnded || 'syscall' in error)
    return isLost && this.isUploadCut(socket) ? 'broken-upload' : otherwise
  }

  /** Whether the upstream has not taken all of the body. */
  protected isUploadCut(socket: Socket | null): boolean {
    return this.attempt.hasBody && (this.isUploading() || this.uploadError !== null || isWriting(socket))
  }

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

  readonly #timeUp = (): void => {
    const waitsOn = this.waitsOn()
    if (waitsOn === 'queue') return this.fail('busy')
    if (waitsOn === 'upstream') return this.fail('request-timeout')
    if (this.phase === 'connect' || this.phase === 'head')
      return this.finish(requestTimeoutError(this.attempt.settings), false)
    this.cutOff()
    this.finish(null, true)
  }

  protected finish(error: CanaryError | null, aborted: boolean): void {
    if (this.finished) return
    this.finished = true
    if (this.#timer !== null) clearTimeout(this.#timer)
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
