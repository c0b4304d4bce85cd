import { Readable } from 'node:stream'
import { Http2ServerResponse } from 'node:http2'
import type { Attempt } from '../forwarder.js'
import type { RawResponse } from '../../node-http.js'
import { isGone, wasCutShort } from './client-connection.js'
import { type RawHeaders, addTrailers } from './headers.js'
import type { ResponseSink } from './sink.js'

/** Told what the framework does with a body. */
export interface BodyTaker {
  /** It takes more again. */
  wanted(): void
  /** It does not want the rest. */
  dropped(aborted: boolean): void
}

/**
 * The body of a response in the hands of a framework. Whatever the framework does about it runs in the request's
 * context.
 */
export class HandedBody extends Readable {
  readonly #attempt: Attempt
  readonly #sink: ResponseSink
  readonly #taker: BodyTaker
  #isFull = false
  #isReleased = false
  #trailers: RawHeaders | null = null

  constructor(attempt: Attempt, sink: ResponseSink, taker: BodyTaker) {
    super()
    this.#attempt = attempt
    this.#sink = sink
    this.#taker = taker
    attempt.response.on('pipe', this.#onPipe)
    // Before whoever pipes it, who then ends the response.
    this.on('end', this.#onEnd)
  }

  /** False where the framework takes no more for now: `wanted` follows. */
  add(chunk: Buffer): boolean {
    if (this.destroyed) return true
    this.#isFull = true
    const more = this.#attempt.context.runInAsyncScope(this.push, this, chunk)
    if (more) this.#isFull = false
    return more
  }

  finish(trailers: RawHeaders | null): void {
    this.#trailers = trailers
    if (!this.destroyed) this.#attempt.context.runInAsyncScope(this.push, this, null)
  }

  /** Nobody is told any more what becomes of it; nothing follows. */
  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#attempt.response.off('pipe', this.#onPipe)
    if (!this.readableEnded) this.#attempt.context.runInAsyncScope(this.destroy, this)
  }

  override _read(): void {
    if (!this.#isFull) return
    this.#isFull = false
    this.#taker.wanted()
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    callback(error)
    if (this.readableEnded) return
    // The framework may be in the middle of taking it.
    process.nextTick(() => {
      const { response } = this.#attempt
      if (!this.#isReleased) this.#taker.dropped(isGone(response) && wasCutShort(response))
    })
  }

  readonly #onEnd = (): void => {
    const trailers = this.#trailers
    if (trailers !== null && trailers.length > 0) addTrailers(this.#attempt.response, trailers, this.#sink.hasHeader)
  }

  /** A head without a body would wait in Node: from now on it is whole. */
  readonly #onPipe = (): void => {
    const { response } = this.#attempt
    setImmediate(() => {
      if (!response.headersSent && !isGone(response) && !response.writableEnded) flushHeaders(response)
    })
  }
}

function flushHeaders(response: RawResponse): void {
  if (response instanceof Http2ServerResponse) response.writeHead(response.statusCode)
  else response.flushHeaders()
}
