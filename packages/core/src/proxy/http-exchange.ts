import { Http2ServerResponse } from 'node:http2'
import type { Dispatcher } from 'undici'
import { CanaryError } from '../errors.js'
import { BodyRelay, type UploadObserver } from './body-relay.js'
import { endClientResponse, isGone, wasCutShort } from './client-connection.js'
import type { Connection, ConnectionPool, Waiter } from './connection-pool.js'
import { ConnectError } from './connector.js'
import type { Deadlines, Timed } from './deadlines.js'
import type { Attempt, AttemptResult } from './forwarder.js'
import { addTrailers, writeEarlyHints, writeResponseHead } from './response-headers.js'
import { upstreamError, type UpstreamFailure } from './upstream-error.js'

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])

/**
 * One attempt at one upstream over HTTP. It is undici's handler itself, and reads and writes raw bytes: one object and
 * no promise for each request, for this is the path that all of them take.
 */
export class HttpExchange implements Dispatcher.DispatchHandler, Timed, Waiter, UploadObserver {
  readonly #attempt: Attempt
  readonly #pool: ConnectionPool
  readonly #deadlines: Deadlines
  readonly #head: (status: number) => void
  readonly #done: (result: AttemptResult) => void
  #connection: Connection | null = null
  #relay: BodyRelay | null = null
  #resume: (() => void) | null = null
  #phase: AttemptResult['phase'] = 'connect'
  /** Who must act before the deadline. */
  #waitsFor: 'queue' | 'upload' | 'upstream' | 'client' = 'queue'
  #status: number | null = null
  #finished = false
  /** A byte of the answer has come. */
  #answered = false
  /** The socket had carried another request before. */
  #reused = false
  #retried = false
  #drains = false
  #sent = false
  deadline = 0
  place = -1

  constructor(
    attempt: Attempt,
    pool: ConnectionPool,
    deadlines: Deadlines,
    head: (status: number) => void,
    done: (result: AttemptResult) => void,
  ) {
    this.#attempt = attempt
    this.#pool = pool
    this.#deadlines = deadlines
    this.#head = head
    this.#done = done
  }

  start(): void {
    const { response, settings, request, body, hasBody } = this.#attempt
    if (body === null && hasBody) this.#relay = new BodyRelay(request, this)
    response.on('close', this.#onClientClose)
    this.#deadlines.add(this)
    if (isGone(response)) return this.#finish(null, true)
    const connection = this.#pool.take(settings.connections)
    if (connection !== null) this.connected(connection)
    else if (this.#pool.wait(this, settings.queue)) this.#wait('queue', settings.connectTimeoutMs)
    else this.#fail('busy')
  }

  connected(connection: Connection): void {
    this.#connection = connection
    this.deadline = 0
    const { request, path, headers, body } = this.#attempt
    const options = {
      path,
      method: request.method ?? 'GET',
      headers,
      body: body ?? this.#relay,
      servername: this.#pool.servername,
    }
    connection.client.dispatch(options as Dispatcher.DispatchOptions, this)
  }

  onConnect(): void {
    this.#phase = 'head'
    const connection = this.#connection
    if (connection !== null) {
      this.#reused = connection.uses > 0
      connection.uses += 1
    }
    if (this.#relay === null) this.#wait('upstream', this.#attempt.settings.headersTimeoutMs)
  }

  uploading(waitsFor: 'client' | 'upstream' | null): void {
    if (this.#finished) return
    const { bodyTimeoutMs, headersTimeoutMs } = this.#attempt.settings
    if (waitsFor !== null) this.#wait(waitsFor === 'client' ? 'client' : 'upload', bodyTimeoutMs)
    else this.#wait('upstream', this.#phase === 'head' ? headersTimeoutMs : bodyTimeoutMs)
  }

  onResponseStarted(): void {
    this.#answered = true
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void, reason: string): boolean {
    if (this.#finished) return false
    const { response, settings } = this.#attempt
    if (status < 200) {
      if (status === 103) writeEarlyHints(response, raw)
      return true
    }
    this.#resume = resume
    this.#status = status
    this.#closeAfterResponse()
    try {
      writeResponseHead(this.#attempt, status, reason, raw)
    } catch (error) {
      this.#fail('broken-head', error)
      return false
    }
    this.#phase = 'body'
    this.#head(status)
    this.#wait('upstream', settings.bodyTimeoutMs)
    // A head whose body is not in the same packet goes out alone; else both are one write.
    process.nextTick(flushHead, this)
    return true
  }

  onData(chunk: Buffer): boolean {
    const { response, settings } = this.#attempt
    if (this.#finished || isGone(response)) return false
    this.#sent = true
    const more = response instanceof Http2ServerResponse ? response.write(chunk) : response.write(chunk)
    this.#wait(more ? 'upstream' : 'client', settings.bodyTimeoutMs)
    if (more || this.#drains) return more
    this.#drains = true
    response.on('drain', this.#onDrain)
    return false
  }

  onComplete(trailers: readonly (Buffer | string)[] | null): void {
    if (this.#finished) return
    const { response, settings } = this.#attempt
    this.#phase = 'done'
    this.#sent = true
    this.#leaveUpstream()
    if (isGone(response)) return
    if (trailers !== null && trailers.length > 0) addTrailers(response, trailers)
    // Done is what has reached the client: its 'close' comes when all is flushed.
    this.#wait('client', settings.bodyTimeoutMs)
    response.end()
  }

  onError(error: Error): void {
    if (this.#finished || this.#phase === 'done') return
    if (this.#phase === 'body') this.#fail('broken-body', error)
    else if (this.#phase === 'head') {
      if (!this.#retry()) this.#fail('broken-head', error)
    } else if (error instanceof ConnectError) {
      this.#fail(error.timedOut ? 'connect-timeout' : 'refused', error)
    } else if ('code' in error && (error.code === 'UND_ERR_INVALID_ARG' || error.code === 'UND_ERR_NOT_SUPPORTED')) {
      this.#finish(new CanaryError('ERR_CANARY_REQUEST', 'the request cannot be forwarded', { cause: error }), false)
    } else {
      this.#finish(new CanaryError('ERR_CANARY_CLOSED', 'the canary is closed', { cause: error }), false)
    }
  }

  /** The upstream may have closed an idle connection just as it was used: that says nothing about the request. */
  #retry(): boolean {
    const { request, hasBody } = this.#attempt
    const connection = this.#connection
    if (this.#retried || this.#answered || !this.#reused || connection === null) return false
    if (hasBody || !IDEMPOTENT.has(request.method ?? '')) return false
    this.#retried = true
    this.#phase = 'connect'
    this.connected(this.#pool.renew(connection))
    return true
  }

  expired(): void {
    if (this.#waitsFor === 'client') {
      // It stalled, its upload or our response: it is cut off, and that is no failure of the upstream.
      endClientResponse(this.#attempt.response)
      this.#finish(null, true)
    } else if (this.#waitsFor === 'queue') this.#fail('busy')
    else if (this.#waitsFor === 'upload') this.#fail('upload-timeout')
    else this.#fail(this.#phase === 'head' ? 'head-timeout' : 'body-timeout')
  }

  flush(): void {
    const { response } = this.#attempt
    // HTTP/2 has sent its head frame at once.
    if (this.#sent || this.#finished || response instanceof Http2ServerResponse || response.destroyed) return
    response.flushHeaders()
  }

  #wait(waitsFor: 'queue' | 'upload' | 'upstream' | 'client', milliseconds: number): void {
    this.#waitsFor = waitsFor
    this.deadline = this.#deadlines.after(milliseconds)
  }

  readonly #onDrain = (): void => {
    if (this.#phase !== 'body' || this.#finished) return
    this.#wait('upstream', this.#attempt.settings.bodyTimeoutMs)
    this.#resume?.()
  }

  readonly #onClientClose = (): void => {
    this.#finish(null, this.#phase !== 'done' || wasCutShort(this.#attempt.response))
  }

  #fail(failure: UpstreamFailure, cause?: unknown): void {
    const { upstream, response, settings } = this.#attempt
    const limit =
      failure === 'head-timeout'
        ? settings.headersTimeoutMs
        : failure === 'connect-timeout'
          ? settings.connectTimeoutMs
          : settings.bodyTimeoutMs
    // A body cut short must not look whole.
    if (this.#phase === 'body') endClientResponse(response)
    this.#finish(upstreamError(failure, upstream.name, limit, cause), false)
  }

  #finish(error: CanaryError | null, aborted: boolean): void {
    if (this.#finished) return
    this.#finished = true
    const { response } = this.#attempt
    response.off('close', this.#onClientClose)
    if (this.#drains) response.off('drain', this.#onDrain)
    this.#deadlines.delete(this)
    if (this.#connection === null) this.#pool.leave(this)
    this.#leaveUpstream()
    this.#done({ phase: this.#phase, status: this.#status, error, aborted })
  }

  /** Gives the connection back, or closes it where the exchange on it is not whole. */
  #leaveUpstream(): void {
    const connection = this.#connection
    this.#connection = null
    const whole = this.#phase === 'done' && (this.#relay === null || this.#relay.readableEnded)
    if (!whole && this.#relay !== null) {
      this.#relay.destroy()
      this.#closeAfterResponse()
      this.#attempt.request.resume()
    }
    if (connection === null) return
    if (whole) this.#pool.release(connection)
    else this.#pool.discard(connection)
  }

  /** The rest of a request's body would be taken for the next request on its connection. */
  #closeAfterResponse(): void {
    const { response } = this.#attempt
    if (this.#relay === null || this.#relay.readableEnded || response instanceof Http2ServerResponse) return
    response.shouldKeepAlive = false
  }
}

function flushHead(exchange: HttpExchange): void {
  exchange.flush()
}
