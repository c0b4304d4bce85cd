import { Readable } from 'node:stream'
import type { UploadObserver } from '../exchange.js'
import type { RawRequest } from '../../node-http.js'

/**
 * A request's body that does not begin before there is a connection, so that until then the request can still go to
 * another upstream. Destroying it leaves the request alone.
 */
export class GatedBody extends Readable {
  readonly #request: RawRequest
  readonly #observer: UploadObserver
  #open = false
  #wanted = false
  /** Whether it has begun. */
  started = false

  constructor(request: RawRequest, observer: UploadObserver) {
    super()
    this.#request = request
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
    this.#request.off('data', this.#onData).off('end', this.#onEnd)
    callback(error)
  }

  #flow(): void {
    if (!this.started) {
      this.started = true
      this.#request.on('data', this.#onData).on('end', this.#onEnd)
    }
    this.#request.resume()
    this.#observer.uploading('client')
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.push(chunk)) return this.#observer.uploading('client')
    this.#request.pause()
    this.#observer.uploading('upstream')
  }

  readonly #onEnd = (): void => {
    this.#observer.uploading(null)
    this.push(null)
  }
}
