import { Readable } from 'node:stream'
import type { UploadObserver } from '../exchange.js'
import type { CanaryError } from '../../errors.js'
import { bodyFault, leaveBody, onBodyError } from '../body/stream.js'

/**
 * A request's body that does not begin before there is a connection, so that until then the request can still go to
 * another upstream. Destroying it leaves the request alone.
 */
export class GatedBody extends Readable {
  readonly #source: Readable
  readonly #observer: UploadObserver
  #open = false
  #wanted = false
  /** Whether it has begun. */
  started = false
  /** Whether it waits for more of the body, and not for the upstream. */
  wantsMore = false

  constructor(source: Readable, observer: UploadObserver) {
    super()
    this.#source = source
    this.#observer = observer
  }

  open(): void {
    this.#open = true
    if (this.#wanted) this.#flow()
  }

  override _read(): void {
    this.#wanted = true
    if (this.#open) this.#flow()
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#source.off('data', this.#onData).off('end', this.#onEnd)
    this.wantsMore = false
    if (this.started) leaveBody(this.#source)
    callback(error)
  }

  #flow(): void {
    if (!this.started) {
      this.started = true
      const fault = bodyFault(this.#source)
      if (fault !== null) return void process.nextTick(this.#onError, fault)
      this.#source.on('data', this.#onData).on('end', this.#onEnd)
      onBodyError(this.#source, this.#onError)
    }
    this.wantsMore = true
    this.#source.resume()
    this.#observer.uploading('client')
  }

  readonly #onError = (error: CanaryError): void => this.#observer.uploadFailed(error)

  readonly #onData = (chunk: Buffer): void => {
    if (this.push(chunk)) return this.#observer.uploading('client')
    this.wantsMore = false
    this.#source.pause()
    this.#observer.uploading('upstream')
  }

  readonly #onEnd = (): void => {
    this.wantsMore = false
    this.#observer.uploading(null)
    this.push(null)
  }
}
