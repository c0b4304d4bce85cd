import { type Duplex, Readable } from 'node:stream'
import type { RawRequest } from '../../node-http.js'
import { type BodyFault, bodyError, payloadError } from './error.js'
import { exactBytes } from './exact-bytes.js'
import { connectionOf, isHeldBack } from './upload.js'

/** Bytes that wait for the upstream before the connection is paused. */
const MOST_WAITING = 1_048_576
/** Milliseconds that the connection is paused for a body of which nobody says yet that it is sent. */
const PATIENCE_MS = 10_000

/** What a hook's stream says of itself in place of the request's own headers. */
export interface PayloadHeaders {
  /** Bytes, in decimal. @default not known */
  readonly 'content-length'?: string | undefined
  /** How the body is compressed. @default not at all */
  readonly 'content-encoding'?: string | undefined
}

/**
 * A request's body that others read too, or that a hook put in its place. It collects every byte from the moment it is
 * made, however the others let the stream flow, so that nothing is lost until the upstream takes it.
 *
 * It lets the stream flow once and never pauses it after that, for those who read it as well pause and resume it for
 * reasons of their own. Above 1 MB it pauses the connection instead. Once it is destroyed, the stream flows to its end
 * for them, and for nobody where there are none.
 */
export class TakenBody extends Readable {
  readonly #request: RawRequest
  readonly #source: Readable
  /** What replaces the request's own content-length and content-encoding; `null`: those still hold. */
  readonly headers: PayloadHeaders | null
  readonly #length: number | null
  readonly #flowed: boolean
  #received = 0
  /** Bytes that somebody put back, and that come once more. */
  #again = 0
  #claimed = false
  #patience: NodeJS.Timeout | undefined
  #attached = false
  #asked = false
  #ended = false
  #givenBack = false
  /** As much waits for the upstream as may. */
  #full = false
  /** The connection, while it is paused for that. */
  #paused: Duplex | null = null

  constructor(request: RawRequest, source: Readable, headers: PayloadHeaders | null) {
    super({ highWaterMark: MOST_WAITING })
    this.#request = request
    this.#source = source
    this.headers = headers
    const length = (headers ?? request.headers)['content-length']
    this.#length = length === undefined ? null : Number(length)
    this.#flowed = source.readableFlowing === true
    // An error may come before anybody listens.
    this.on('error', ignore)
    source.on('error', this.#failLater).on('close', this.#failLater)
    // What nobody has touched does not flow before it is asked to.
    if (source.readableFlowing !== null) this.#attach()
  }

  /** Bytes that have come so far. */
  get received(): number {
    return this.#received
  }

  /** Whether bytes that the client has sent are kept from coming here. */
  get heldBack(): boolean {
    return !this.#ended && (this.#source.readableLength > 0 || isHeldBack(this.#request))
  }

  /** Lets nothing flow before it is asked for, so that it can be given back whole. */
  hold(): this {
    this.#source.pause()
    return this
  }

  /** Says that it will be read: from now on that alone ends its waiting. */
  claim(): void {
    this.#claimed = true
    clearTimeout(this.#patience)
  }

  /** Leaves the stream as it was found, for somebody else to read. */
  giveBack(): void {
    this.#givenBack = true
    this.destroy()
  }

  override _read(): void {
    this.#makeRoom()
    if (this.#asked) return
    this.#asked = true
    if (!this.#attached) this.#attach()
    this.#source.resume()
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearTimeout(this.#patience)
    this.#detach()
    this.#makeRoom()
    if (!this.#ended && (this.#flowed || !this.#givenBack)) this.#source.resume()
    callback(error)
  }

  #attach(): void {
    this.#attached = true
    this.#source.on('data', this.#onData).on('end', this.#onEnd).on('removeListener', this.#onLeave)
    this.#source.unshift = this.#onUnshift
  }

  #detach(): void {
    const source = this.#source
    if (this.#givenBack) source.off('removeListener', this.#onLeave)
    // What is dropped must flow to its end: the connection's next request is behind it. Node tells of a listener that
    // leaves only where there is another.
    else source.on('data', ignore)
    source.off('data', this.#onData).off('end', this.#onEnd)
    // It may still fail, and nobody else need be listening.
    Reflect.deleteProperty(source, 'unshift')
    source.off('close', this.#failLater).off('error', this.#failLater).on('error', ignore)
  }

  readonly #onData = (chunk: unknown): void => {
    const come = typeof chunk === 'string' ? exactBytes(chunk, this.#source.readableEncoding) : chunk
    if (!(come instanceof Uint8Array)) return this.#fail(come === null ? 'decoded' : 'objects')
    const bytes = come.subarray(this.#again)
    this.#again = Math.max(0, this.#again - come.length)
    this.#received += bytes.length
    if (this.#length !== null && this.#received > this.#length) this.#fail('length')
    else if (bytes.length > 0 && !this.push(bytes)) this.#fill()
  }

  readonly #onUnshift = (chunk: unknown, encoding?: BufferEncoding): void => {
    if (typeof chunk === 'string')
      this.#again += Buffer.byteLength(chunk, encoding ?? this.#source.readableEncoding ?? 'utf8')
    else if (chunk instanceof Uint8Array) this.#again += chunk.length
    return Readable.prototype.unshift.call(this.#source, chunk, encoding)
  }

  readonly #onEnd = (): void => {
    // Where the client left, HTTP/2 ends a request that is not whole.
    if (this.#request.aborted) return
    this.#ended = true
    if (this.#length !== null && this.#received !== this.#length) this.#fail('length')
    else this.push(null)
  }

  /** Who stops reading may leave the stream paused, as a pipe that breaks does, and nobody would ever resume it. */
  readonly #onLeave = (event: string | symbol): void => {
    if (event !== 'data') return
    process.nextTick(() => {
      // A payload that waits for the upstream is resumed once there is room.
      const waits = !this.#asked || (this.#full && this.#source !== this.#request)
      if (this.destroyed || !waits) this.#source.resume()
    })
  }

  #fail(fault: BodyFault): void {
    this.destroy(bodyError(fault))
  }

  /** It failed, or was closed before its end. Where it was the client who left, the response says so before. */
  readonly #failLater = (cause?: unknown): void => {
    if (this.#ended) return
    const ofHook = this.#source !== this.#request
    setImmediate(() => this.destroy(ofHook ? payloadError(cause) : bodyError('destroyed', cause)))
  }

  /** What comes before the decision may wait for the end of the body itself. It gets it, and the body is lost. */
  readonly #giveUp = (): void => {
    if (this.#source === this.#request) this.destroy()
    else this.#fail('read')
  }

  #fill(): void {
    if (this.#full) return
    this.#full = true
    if (!this.#claimed) this.#patience = setTimeout(this.#giveUp, PATIENCE_MS).unref()
    this.#paused = connectionOf(this.#request)?.on('resume', this.#keepPaused) ?? null
    this.#keepPaused()
    if (this.#source !== this.#request) this.#source.pause()
  }

  /** Others who read the request resume its connection with every chunk. */
  readonly #keepPaused = (): void => void this.#paused?.pause()

  #makeRoom(): void {
    const connection = this.#paused
    this.#paused = null
    connection?.off('resume', this.#keepPaused).resume()
    if (this.#full && this.#source !== this.#request) this.#source.resume()
    this.#full = false
  }
}

function ignore(): void {}
