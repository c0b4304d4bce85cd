import { EventEmitter } from 'node:events'
import type { Readable } from 'node:stream'
import { bodyFault, leaveBody, onBodyError } from '../body/stream.js'
import type { CanaryError } from '../../errors.js'
import type { UploadObserver } from '../exchange.js'
import type { UploadStream } from './private-hooks.js'

/**
 * A request's body as a stream for undici, which destroys the stream it was given when something fails. Destroying the
 * request itself would take the client's socket with it before an error could be answered.
 *
 * It buffers nothing: chunks are passed on as they arrive, and the request is paused while the upstream takes no more.
 */
export class BodyRelay extends EventEmitter implements UploadStream {
  readonly #source: Readable
  readonly #observer: UploadObserver
  #attached = false
  #stopped = false
  readonly _readableState = { autoDestroy: true }
  destroyed = false
  closed = false
  errored: Error | null = null
  readableEnded = false
  /** Whether it waits for more of the body, and not for the upstream. */
  wantsMore = false

  /** Whether it has begun: before that, the request can still be sent to another upstream. */
  get started(): boolean {
    return this.#attached
  }

  constructor(source: Readable, observer: UploadObserver) {
    super()
    this.#source = source
    this.#observer = observer
  }

  pipe(): never {
    throw new Error('a body relay cannot be piped')
  }

  pause(): this {
    if (this.destroyed || this.#stopped) return this
    this.wantsMore = false
    this.#source.pause()
    this.#observer.uploading('upstream')
    return this
  }

  resume(): this {
    if (this.destroyed || this.#stopped || this.readableEnded) return this
    if (!this.#attached && !this.#attach()) return this
    this.wantsMore = true
    this.#source.resume()
    this.#observer.uploading('client')
    return this
  }

  /** Takes no more of the request, and does not end: undici goes on waiting for the answer. */
  stop(): void {
    this.#stopped = true
    this.#detach()
  }

  destroy(error?: Error): this {
    if (this.destroyed) return this
    this.destroyed = true
    this.wantsMore = false
    this.closed = true
    this.errored = error ?? null
    this.#detach()
    if (this.#attached) leaveBody(this.#source)
    if (error !== undefined && this.listenerCount('error') > 0) this.emit('error', error)
    this.emit('close')
    return this
  }

  #detach(): void {
    if (this.#attached) this.#source.off('data', this.#onData).off('end', this.#onEnd)
  }

  /** False where somebody else has read the body since. */
  #attach(): boolean {
    this.#attached = true
    const fault = bodyFault(this.#source)
    if (fault === null) {
      this.#source.on('data', this.#onData).on('end', this.#onEnd)
      onBodyError(this.#source, this.#onError)
    } else process.nextTick(this.#onError, fault) // Undici is still at the head.
    return fault === null
  }

  readonly #onError = (error: CanaryError): void => this.#observer.uploadFailed(error)

  readonly #onData = (chunk: Buffer): void => {
    this.#observer.uploading('client')
    this.emit('data', chunk)
  }

  readonly #onEnd = (): void => {
    this.readableEnded = true
    this.wantsMore = false
    this.#observer.uploading(null)
    this.emit('end')
  }
}
