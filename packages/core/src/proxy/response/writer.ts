import { IncomingMessage } from 'node:http'
import {
  closeAfter,
  cutOff,
  endWith,
  endsElsewhere,
  flushHead,
  hasLeft,
  isGone,
  wasCutShort,
  writeBody,
} from './client-connection.js'
import type { Attempt } from '../forwarder.js'
import { hookError } from '../../hook.js'
import { emitIn } from '../../request-context.js'
import { type BodyTaker, HandedBody } from './handed-body.js'
import type { ResponseSink } from './sink.js'
import { closeLingering } from './lingering-close.js'
import {
  type RawHeaders,
  addTrailers,
  reasonFor,
  setResponseHeaders,
  writeEarlyHints,
  writeResponseHead,
} from './headers.js'
import { type WrapperFlush, wrapperFlush } from './wrapper-flush.js'

// A body of this size or less leaves in one write with its head, where it comes in one piece.
const SMALL = 4096
// Hints are written whether the client reads or not: an upstream that never stops would fill the memory.
const MOST_HINTS = 16

/**
 * The client's side of an exchange: writes the response, and says when the client takes more or has gone. A base class
 * and not an object of its own, because there is one for every request.
 *
 * Whoever calls it, it touches the response in the request's own context: that is where hooks, what middlewares put in
 * place of `writeHead`, `write` and `end`, and listeners of the response then run.
 */
export abstract class ResponseWriter {
  protected readonly attempt: Attempt
  /** The head has left, together with the body's first piece or alone. */
  #headSent = false
  /** The body's first piece, while it may still become the whole of it. */
  #held: Buffer | null = null
  /** The body, where the framework sends the response. */
  #handed: HandedBody | null = null
  #drains = false
  /** Looked for when a body is written in pieces. */
  #wrapper: WrapperFlush | null | undefined
  #hints = 0

  constructor(attempt: Attempt) {
    this.attempt = attempt
  }

  /** The client takes more of the body. */
  protected abstract onDrain(): void
  /** The response is over, or the client left before it was. */
  protected abstract onClientClose(aborted: boolean): void
  /** Whether everything was handed to {@link endResponse}. */
  protected abstract isComplete(): boolean

  /** False where the client has gone already. */
  protected openResponse(): boolean {
    const { response, context } = this.attempt
    if (hasLeft(response)) return false
    if (endsElsewhere(response)) emitIn(context, response)
    response.on('close', this.#onClose)
    return true
  }

  protected sendEarlyHints(raw: RawHeaders): void {
    const { request, response } = this.attempt
    // RFC 9110 15.2: a client of HTTP/1.0 would take it for the answer.
    if (request.httpVersionMajor === 1 && request.httpVersionMinor === 0) return
    this.#hints += 1
    if (this.#hints <= MOST_HINTS) writeEarlyHints(response, raw)
  }

  protected sendHead(status: number, reason: string, raw: RawHeaders, last: boolean): void {
    this.attempt.context.runInAsyncScope(this.#sendHead, this, status, reason, raw, last)
  }

  #sendHead(status: number, reason: string, raw: RawHeaders, last: boolean): void {
    if (last) closeAfter(this.attempt.response)
    const { sink } = this.attempt
    if (sink !== null) return this.#handOver(sink, status, reason, raw)
    writeResponseHead(this.attempt, status, reason, raw)
    // A head whose body is not in the same packet goes out alone; else both are one write.
    process.nextTick(flushLater, this)
  }

  #handOver(sink: ResponseSink, status: number, reason: string, raw: RawHeaders): void {
    const { attempt } = this
    setResponseHeaders(attempt, status, raw)
    const taker: BodyTaker = {
      wanted: () => this.onDrain(),
      dropped: (aborted) => this.onClientClose(aborted),
    }
    this.#handed = new HandedBody(attempt, sink, taker)
    try {
      sink.send(status, reasonFor(attempt.response, reason), this.#handed)
    } catch (error) {
      throw hookError('the response could not be handed to the framework', error)
    }
  }

  /** False where the client takes no more for now: {@link onDrain} follows. */
  protected sendBody(chunk: Buffer): boolean {
    if (this.#handed !== null) return this.#handed.add(chunk)
    const { response } = this.attempt
    if (!this.#headSent && this.#held === null && chunk.length <= SMALL) {
      this.#held = chunk
      return true
    }
    this.#release()
    if (isGone(response)) return false
    return this.#write(chunk)
  }

  #write(chunk: Buffer): boolean {
    const { response, context } = this.attempt
    const more = context.runInAsyncScope(writeBody, null, response, chunk)
    if (this.#wrapper === undefined) this.#wrapper = wrapperFlush(this.attempt)
    this.#wrapper?.wrote()
    if (!more && !this.#drains) {
      this.#drains = true
      response.on('drain', this.#onDrain)
    }
    return more
  }

  /** {@link onClientClose} follows when the client has it all. */
  protected endResponse(trailers: RawHeaders | null): void {
    this.attempt.context.runInAsyncScope(this.#end, this, trailers)
  }

  #end(trailers: RawHeaders | null): void {
    const { response } = this.attempt
    if (this.#handed !== null) return this.#handed.finish(trailers)
    if (isGone(response)) return
    this.#headSent = true
    this.#wrapper?.stop()
    if (trailers !== null && trailers.length > 0) addTrailers(response, trailers)
    if (this.#held === null) response.end()
    else endWith(response, this.#held)
    this.#held = null
  }

  protected releaseResponse(): void {
    const { response } = this.attempt
    response.off('close', this.#onClose)
    if (this.#drains) response.off('drain', this.#onDrain)
    this.#handed?.release()
  }

  protected cutOff(): void {
    const { response, context } = this.attempt
    context.runInAsyncScope(cutOff, null, response)
  }

  /** Reads what is left of a request whose answer does not wait for it, and closes the connection after that. */
  protected dropRequest(): void {
    const { request, response } = this.attempt
    closeAfter(response)
    // Unread, it would make the system reset the connection, and the client lose the answer.
    request.resume()
    if (request instanceof IncomingMessage) closeLingering(request)
  }

  /** Sends what waited for more to come in the same packet. */
  flush(): void {
    const { response } = this.attempt
    if (this.#headSent || isGone(response) || response.writableEnded) return
    if (this.#held === null) flushHead(response)
    this.#release()
  }

  #release(): void {
    this.#headSent = true
    const held = this.#held
    this.#held = null
    if (held !== null && !isGone(this.attempt.response)) this.#write(held)
  }

  readonly #onDrain = (): void => this.onDrain()

  readonly #onClose = (): void => {
    // What a framework sends in place of the body that it was given is whole as well.
    const isWhole = this.#handed !== null || this.isComplete()
    this.onClientClose(!isWhole || wasCutShort(this.attempt.response))
  }
}

function flushLater(writer: ResponseWriter): void {
  writer.flush()
}
