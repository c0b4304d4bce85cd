import { BodyRelay } from './body-relay.js'
import { type Connection, type ConnectionPool, type Waiter, letReadAhead } from './connection-pool.js'
import type { Deadlines, Timed } from './deadlines.js'
import { Exchange, type UploadObserver } from '../exchange.js'
import { isRepeatable, mayRepeat } from '../retry.js'
import type { Attempt, AttemptResult } from '../forwarder.js'
import { inRoot } from '../../request-context.js'
import { saidKeepAliveMs } from '../connections/reuse.js'
import { keepWriteErrors, releaseWriteErrors } from '../kept-write-errors.js'
import { type Handler, toUndiciHandler } from './older-handler.js'
import { ConnectError, type Controller, type DispatchOptions, rawHeaders, rawTrailers } from './private-hooks.js'
import { dispatchTraced } from './traced-dispatch.js'

/** Who must act before the deadline. `upload`: the upstream must take more of the request. */
type Waits = 'queue' | 'upload' | 'upstream' | 'client'

/**
 * An exchange over undici. It is undici's handler itself and moves raw bytes: one object and no promise for each
 * request, for this is the path that all of them take.
 */
export class HttpExchange extends Exchange implements Handler, Timed, Waiter, UploadObserver {
  readonly #pool: ConnectionPool
  readonly #deadlines: Deadlines
  readonly #relay: BodyRelay | null
  readonly careful: boolean
  #connection: Connection | null = null
  #controller: Controller | null = null
  #waitsFor: Waits = 'queue'
  /** The socket had carried another request before, and no byte of an answer has come. */
  #mayBeStale = false
  #retried = false
  /** When it began to wait for a connection that clients kept; −1 where it did not. */
  #keptSince = -1
  /** The client takes no more of the response for now. */
  #paused = false
  deadline = 0
  place = -1

  constructor(
    attempt: Attempt,
    pool: ConnectionPool,
    deadlines: Deadlines,
    head: (status: number) => void,
    done: (result: AttemptResult) => void,
  ) {
    super(attempt, head, done)
    this.#pool = pool
    this.#deadlines = deadlines
    this.careful = !isRepeatable(attempt)
    this.#relay = attempt.hasBody && attempt.body === null ? new BodyRelay(attempt.stream, this) : null
  }

  start(): void {
    const { settings } = this.attempt
    this.#deadlines.add(this)
    if (!this.openResponse()) return this.finish(null, true)
    const connection = this.#pool.take(this.careful)
    if (connection !== null) this.#dispatch(connection)
    else if (this.#pool.wait(this, settings.queue)) {
      if (this.#pool.isKeptByClients) this.#keptSince = performance.now()
      this.#wait('queue', settings.connectTimeoutMs)
    } else this.#failBusy()
  }

  #failBusy(): void {
    this.fail(this.#pool.isKeptByClients ? 'busy-with-clients' : 'busy')
  }

  connected(connection: Connection): void {
    if (this.#keptSince !== -1) this.attempt.waitedMs += performance.now() - this.#keptSince
    this.#keptSince = -1
    this.attempt.context.runInAsyncScope(this.#dispatch, this, connection)
  }

  #dispatch(connection: Connection): void {
    this.#connection = connection
    connection.waitsForClient = false
    // The connector has a timer of its own.
    this.deadline = 0
    const { request, path, headers, body } = this.attempt
    const options = {
      path,
      method: request.method ?? 'GET',
      headers,
      body: body ?? this.#relay,
      servername: this.#pool.servername,
    }
    dispatchTraced(connection.client, options as DispatchOptions, toUndiciHandler(this))
  }

  onRequestStart(): void {
    const connection = this.#connection
    if (connection === null) return
    this.phase = 'head'
    this.#mayBeStale = connection.uses > 0
    connection.uses += 1
    connection.filter?.expectAnswer()
    if (this.attempt.hasBody && connection.socket !== null) keepWriteErrors(connection.socket, this)
    if (this.#relay === null) this.#wait('upstream', this.attempt.settings.headersTimeoutMs)
  }

  uploading(waitsFor: 'client' | 'upstream' | null): void {
    if (this.finished || this.phase === 'done' || this.uploadError !== null) return
    const { bodyTimeoutMs, headersTimeoutMs } = this.attempt.settings
    if (waitsFor !== null) this.#wait(waitsFor === 'client' ? 'client' : 'upload', bodyTimeoutMs)
    else this.#wait('upstream', this.phase === 'head' ? headersTimeoutMs : bodyTimeoutMs)
  }

  onResponseStarted(): void {
    this.#mayBeStale = false
  }

  onResponseStart(controller: Controller, status: number, _headers: unknown, reason = ''): void {
    if (this.finished) return controller.pause()
    const raw = rawHeaders(controller)
    if (status < 200) {
      if (status === 103) this.sendEarlyHints(raw)
      return
    }
    this.#controller = controller
    // An upstream says the same of a connection each time.
    if (this.#connection?.uses === 1) this.#connection.keepAliveMs = saidKeepAliveMs(raw)
    if (!this.takeHead(status, reason, raw, this.isUploading() || this.uploadError !== null)) {
      return controller.pause()
    }
    this.#wait('upstream', this.attempt.settings.bodyTimeoutMs)
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.finished) return controller.pause()
    const more = this.sendBody(chunk)
    this.#paused = !more
    const connection = this.#connection
    if (!more && connection?.readsAhead === true) letReadAhead(connection, false)
    this.#wait(more ? 'upstream' : 'client', this.attempt.settings.bodyTimeoutMs)
    if (!more) controller.pause()
  }

  onResponseEnd(controller: Controller): void {
    if (this.finished) return
    this.phase = 'done'
    this.#leaveUpstream()
    this.#wait('client', this.attempt.settings.bodyTimeoutMs)
    this.endResponse(rawTrailers(controller))
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (this.finished || this.phase === 'done') return
    const socket = this.#connection?.socket ?? null
    if (this.#pool.closed) this.giveUp()
    else if (this.phase === 'body') this.fail(this.lost(socket, error, 'broken-body'), error)
    else if (this.phase === 'head') {
      if (!this.#retry(error)) this.fail(this.lost(socket, error, 'broken-head'), this.uploadError ?? error)
    } else if (error instanceof ConnectError) this.fail(error.timedOut ? 'connect-timeout' : 'refused', error)
    // Before a connection there is only undici's own check of what it shall send.
    else this.refuse(error)
  }

  /** The upstream may have closed an idle connection just as it was used: that says nothing about the request. */
  #retry(error: Error): boolean {
    const connection = this.#connection
    if (this.#retried || !this.#mayBeStale || connection === null || !mayRepeat(this.attempt, error)) return false
    this.#retried = true
    this.phase = 'connect'
    this.connected(this.#pool.renew(connection))
    return true
  }

  expired(): void {
    if (this.#waitsFor === 'client') this.leaveClient(this.#relay?.wantsMore === true)
    else if (this.#waitsFor === 'queue') this.#failBusy()
    else if (this.#waitsFor === 'upload') this.fail('upload-timeout')
    else if (this.uploadError !== null) this.fail('broken-upload', this.uploadError)
    else this.fail(this.phase === 'head' ? 'head-timeout' : 'body-timeout')
  }

  protected override onDrain(): void {
    if (this.phase !== 'body' || this.finished) return
    this.#paused = false
    this.#wait('upstream', this.attempt.settings.bodyTimeoutMs)
    // What the parser does next concerns the connection as well.
    const controller = this.#controller
    if (controller !== null) inRoot(() => controller.resume())
  }

  protected override letGo(): void {
    this.#deadlines.delete(this)
    if (this.#connection === null) this.#pool.leave(this)
    this.#leaveUpstream()
  }

  protected override stopUpload(): void {
    if (this.isUploading()) {
      this.#relay?.stop()
      this.dropRequest()
    }
    if (!this.#paused) this.#wait('upstream', this.attempt.settings.bodyTimeoutMs)
  }

  /** Gives the connection back, or closes it where the exchange on it is not whole. */
  #leaveUpstream(): void {
    if (this.isUploading()) {
      this.#relay?.destroy()
      if (this.#relay?.started === true) this.dropRequest()
    }
    const connection = this.#connection
    this.#connection = null
    if (connection === null) return
    if (this.phase === 'done' && !this.isUploadCut(connection.socket)) this.#pool.release(connection)
    else this.#pool.discard(connection)
    if (this.attempt.hasBody) releaseWriteErrors(connection.socket, this)
  }

  protected override isUploading(): boolean {
    return this.#relay !== null && !this.#relay.readableEnded
  }

  protected override waitsOn(): 'queue' | 'upstream' | 'client' {
    if (this.phase === 'connect') return this.#connection === null ? 'queue' : 'upstream'
    return this.#waitsFor === 'client' ? 'client' : 'upstream'
  }

  #wait(waitsFor: Waits, milliseconds: number): void {
    this.#waitsFor = waitsFor
    if (this.#connection !== null) this.#connection.waitsForClient = waitsFor === 'client'
    this.deadline = this.#deadlines.after(waitsFor === 'upstream' ? this.patience(milliseconds) : milliseconds)
  }
}
