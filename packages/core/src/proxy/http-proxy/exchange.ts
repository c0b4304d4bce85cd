import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type ProxyServer from 'http-proxy'
import { hookError } from '../../hook.js'
import { Exchange, type UploadObserver } from '../exchange.js'
import { isRepeatable, mayRepeat } from '../retry.js'
import type { Attempt, AttemptResult } from '../forwarder.js'
import { GatedBody } from './gated-body.js'
import {
  answeredByListener,
  capturing,
  correctHead,
  destroyWaiting,
  isNodeError,
  optionsOf,
  rewrittenHead,
  shadowing,
  webOptions,
} from './adjust.js'
import { headersObject } from '../header-pairs.js'
import type { KeptSockets } from './kept-sockets.js'
import { Line, keptByClient } from './line.js'
import { CHANGING, emitTo, withEmit } from './listeners.js'
import { emitIn } from '../../request-context.js'
import { keepWriteErrors, releaseWriteErrors } from '../kept-write-errors.js'
import { isGone } from '../response/client-connection.js'
import type { Tunnels } from '../upgrade/tunnel.js'
import type { UpstreamFailure } from '../upstream-error.js'
import { EXPIRED, type Waits } from './waits.js'

/** An exchange through an http-proxy server. */
export class HttpProxyExchange extends Exchange implements UploadObserver {
  readonly #proxy: ProxyServer
  /** The same, as it is shown to http-proxy. */
  readonly #server: ProxyServer
  readonly #options: ProxyServer.ServerOptions
  readonly #agent: Agent
  readonly #line: Line
  /** `null` for an agent of the application's. */
  readonly #keptSockets: KeptSockets | null
  readonly #running: Tunnels
  readonly #body: GatedBody | null
  /** What is sent where the request's own stream is not: nothing, or what a parser had read. */
  #kept: Readable | null = null
  #request: ClientRequest | null = null
  #socket: Socket | null = null
  #response: IncomingMessage | null = null
  #retried = false
  /** A listener answers the client. */
  #theirs = false
  #isSpoiled = false
  #waitsFor: Waits = 'queue'
  #timer: NodeJS.Timeout | undefined

  constructor(
    attempt: Attempt,
    proxy: ProxyServer,
    kept: KeptSockets,
    running: Tunnels,
    head: (status: number) => void,
    done: (result: AttemptResult) => void,
  ) {
    super(attempt, head, done)
    this.#proxy = proxy
    this.#options = optionsOf(proxy)
    this.#keptSockets = this.#options.agent === undefined ? kept : null
    this.#agent = this.#options.agent ?? kept.agent
    this.#line = new Line(this.#agent, attempt)
    this.#server = withEmit(proxy, this.#emit)
    this.#running = running
    this.#body = attempt.hasBody && attempt.body === null ? new GatedBody(attempt.stream, this) : null
  }

  start(): void {
    this.#running.add(this.#end)
    if (!this.openResponse()) return this.finish(null, true)
    this.#keptSockets?.limit(this.attempt.settings)
    this.#send()
  }

  #send(): void {
    const { request, response, path, headers, body, settings } = this.attempt
    const stream = this.#body ?? new Readable({ read() {} })
    this.#kept = this.#body === null ? stream : null
    let full = false
    const agent = capturing(this.#agent, {
      queue: settings.queue,
      fresh: this.#retried,
      kept: this.#keptSockets,
      careful: !isRepeatable(this.attempt),
      own: this.#own,
      full: () => (full = true),
    })
    const options = webOptions(this.attempt, this.#options, agent, stream)
    const shown = headersObject(headers)
    if (body !== null) shown['content-length'] = String(body.length)
    this.#wait('queue')
    try {
      shadowing(request, path, shown, () => {
        // Either kind of request and response has what http-proxy uses.
        Reflect.apply(this.#proxy.web, this.#server, [request, response, options, ignore])
      })
    } catch (error) {
      // What Node says of the request; all else was thrown by a pass that the application added.
      if (isNodeError(error)) return this.refuse(error)
      return this.finish(hookError('a pass of the http-proxy server threw', error), false)
    }
    if (this.finished) return
    // Not before: the framework would see the path and headers that were for http-proxy.
    if (full) this.fail(this.#line.failure)
  }

  /** What http-proxy emits, so that a listener that fails ends its own request at most. */
  readonly #emit = (name: string, args: readonly unknown[]): boolean =>
    emitTo(this.#proxy, name, args, (error) => this.#listenerFailed(name, error))

  #listenerFailed(name: string, cause: unknown): void {
    const error = hookError(`a listener of http-proxy's ${name} failed`, cause)
    const { response, reports } = this.attempt
    const before = this.phase === 'connect' || this.phase === 'head'
    // Nobody else would end what a listener began to answer.
    const answers = this.#theirs && !response.writableEnded
    if (this.finished || !CHANGING.has(name) || !(before || answers)) {
      return reports.reportOnce(`http-proxy ${name}`, error)
    }
    if (response.headersSent) this.cutOff()
    this.phase = response.headersSent ? 'body' : 'head'
    this.finish(error, false)
  }

  readonly #own = (request: ClientRequest, upstream: string): void => {
    this.#request = request
    this.#line.entered(upstream)
    // A listener of `start` has failed: nothing is sent.
    if (this.finished) return void request.on('error', ignore).destroy()
    const { context } = this.attempt
    emitIn(context, request)
    // No number of them, only their size is limited: Node would leave out the rest without a word.
    request.maxHeadersCount = 0
    correctHead(request, this.attempt)
    request.on('socket', (socket) => this.#onSocket(request, socket))
    request.on('information', (info) => {
      if (info.statusCode === 103) this.sendEarlyHints(info.rawHeaders)
    })
    request.on('response', (response) => {
      this.#response = response.on('error', ignore)
      this.#keptSockets?.answered(this.#socket, response.rawHeaders)
      emitIn(context, response)
      // After the listeners of the server's proxyRes.
      process.nextTick(() => this.#onResponse(response))
    })
    request.on('error', (error) => this.#onError(request, error))
    request.on('upgrade', (_response, socket) => {
      socket.on('error', ignore).destroy()
      this.#onError(request, new Error('it switched protocols'))
    })
  }

  /**
   * The head goes out with the first of the body, or its end. That is held back until the listeners of `proxyReq` have
   * run, which would come too late for a request that waited in the agent's queue.
   */
  readonly #letGoOut = (request: ClientRequest): void => {
    // Trailers are not sent, and Node would throw at whoever ends the body.
    if (!request.headersSent) request.removeHeader('trailer')
    const kept = this.#kept
    if (kept === null || this.finished) return
    if (this.attempt.body !== null) kept.push(this.attempt.body)
    kept.push(null)
  }

  #onSocket(request: ClientRequest, socket: Socket): void {
    process.nextTick(this.#letGoOut, request)
    this.#socket = socket
    this.#line.left()
    this.#keptSockets?.used(socket, this.#line.upstream)
    if (this.attempt.hasBody) keepWriteErrors(socket, this)
    if (!socket.connecting) return this.#onConnect()
    this.#wait('connection')
    socket.once(this.attempt.upstream.scheme === 'https' ? 'secureConnect' : 'connect', () => this.#onConnect())
  }

  #onConnect(): void {
    if (this.finished || this.phase !== 'connect') return
    this.phase = 'head'
    this.#wait('upstream')
    this.#body?.open()
  }

  uploading(waitsFor: 'client' | 'upstream' | null): void {
    if (this.finished || this.phase === 'done' || this.uploadError !== null) return
    this.#wait(waitsFor === 'client' ? 'client' : waitsFor === 'upstream' ? 'upload' : 'upstream')
  }

  #onResponse(response: IncomingMessage): void {
    if (this.finished) return void response.destroy()
    const { request, upstream, response: own } = this.attempt
    if (this.phase !== 'head') return
    const status = response.statusCode ?? 502
    // With selfHandleResponse, or where a listener has answered, the response is theirs.
    const theirs = own.headersSent || this.#options.selfHandleResponse === true
    this.#theirs = theirs
    if (theirs) this.headTaken(status)
    else {
      const head = rewrittenHead(request, response, this.#options, upstream.origin)
      if (head instanceof Error) return this.fail('broken-head', head)
      if (!this.takeHead(status, response.statusMessage ?? '', head, this.isUploading() || this.uploadError !== null))
        return
    }
    this.#wait('upstream')
    response.on('close', () => {
      if (response.complete) return
      // The connection was lost: all else that can be wrong with a body is an error of the request.
      this.fail(this.isUploadCut(this.#socket) ? 'broken-upload' : 'broken-body')
    })
    response.on('end', () => this.#onEnd(response, theirs))
    if (theirs) return
    response.on('data', (chunk: Buffer) => {
      const more = this.sendBody(chunk)
      this.#wait(more ? 'upstream' : 'client')
      if (!more) response.pause()
    })
  }

  #onEnd(response: IncomingMessage, theirs: boolean): void {
    if (this.finished || !response.complete) return
    this.phase = 'done'
    if (this.isUploadCut(this.#socket)) this.#spoil()
    this.#leaveBody()
    this.#wait('client')
    if (!theirs) this.endResponse(response.rawTrailers)
  }

  #onError(request: ClientRequest, error: Error): void {
    if (this.finished || request !== this.#request || this.phase === 'done') return
    // http-proxy ends it when the client leaves, and the response is told of that later.
    if (isGone(this.attempt.response)) return this.finish(null, true)
    // It failed in the very packet that brought its head.
    if (this.phase === 'head' && this.#response !== null) this.#onResponse(this.#response)
    // What follows a whole response is no part of it.
    if (this.finished || this.#response?.complete === true) return
    if (this.phase === 'body') return this.fail(this.lost(this.#socket, error, 'broken-body'), error)
    if (this.phase === 'connect') return this.fail('refused', error)
    if (request.reusedSocket) this.#keptSockets?.lost(this.#socket, this.#line.upstream)
    if (this.#retried || !request.reusedSocket || !mayRepeat(this.attempt, error))
      return this.fail(this.lost(this.#socket, error, 'broken-head'), this.uploadError ?? error)
    this.#retried = true
    this.phase = 'connect'
    this.#send()
  }

  protected override fail(failure: UpstreamFailure, cause?: unknown): void {
    if (this.finished) return
    const before = this.phase === 'connect' || this.phase === 'head'
    const { context } = this.attempt
    const error = cause ?? new Error(failure)
    if (before && context.runInAsyncScope(this.#isAnswered, this, error)) this.phase = 'done'
    super.fail(failure, cause)
  }

  #isAnswered(error: unknown): boolean {
    const failed = (thrown: unknown): void => this.#listenerFailed('error', thrown)
    return answeredByListener(this.#proxy, this.attempt, error, failed, () => this.cutOff())
  }

  protected override onDrain(): void {
    if (this.finished || this.phase !== 'body') return
    this.#wait('upstream')
    this.#response?.resume()
  }

  readonly #end = (): void => this.giveUp()

  #wait(waitsFor: Waits): void {
    const { connectTimeoutMs, headersTimeoutMs, bodyTimeoutMs } = this.attempt.settings
    this.#waitsFor = waitsFor
    keptByClient(this.#socket, waitsFor === 'client')
    clearTimeout(this.#timer)
    const head = waitsFor === 'upstream' && this.phase === 'head'
    const limit = this.phase === 'connect' ? connectTimeoutMs : head ? headersTimeoutMs : bodyTimeoutMs
    this.#timer = setTimeout(this.#expired, waitsFor === 'upstream' ? this.patience(limit) : limit)
  }

  readonly #expired = (): void => {
    if (this.#waitsFor === 'client') this.leaveClient(this.#body?.wantsMore === true)
    else if (this.#waitsFor === 'queue') this.fail(this.#line.failure)
    else if (this.#waitsFor === 'upstream' && this.uploadError !== null) this.fail('broken-upload', this.uploadError)
    else this.fail(EXPIRED[this.#waitsFor] ?? (this.phase === 'head' ? 'head-timeout' : 'body-timeout'))
  }

  protected override stopUpload(): void {
    this.#spoil()
    this.#leaveBody()
    if (this.#response?.isPaused() !== true) this.#wait('upstream')
  }

  /** Keeps the connection from being used again: Node would do so, once the rest of the request is written. */
  #spoil(): void {
    this.#isSpoiled = true
    if (this.#request !== null) this.#request.shouldKeepAlive = false
  }

  /** Takes no more of a body that was not whole before its answer. */
  #leaveBody(): void {
    if (this.#body === null || !this.isUploading()) return
    this.#body.destroy()
    if (this.#body.started) this.dropRequest()
  }

  protected override letGo(): void {
    clearTimeout(this.#timer)
    this.#running.delete(this.#end)
    releaseWriteErrors(this.#socket, this)
    this.#leaveBody()
    if (this.#isSpoiled || this.isUploading() || this.#response?.complete !== true)
      destroyWaiting(this.#agent, this.#request)
  }

  protected override waitsOn(): 'queue' | 'upstream' | 'client' {
    return this.#waitsFor === 'queue' || this.#waitsFor === 'client' ? this.#waitsFor : 'upstream'
  }

  protected override isUploading(): boolean {
    return this.#body !== null && !this.#body.readableEnded
  }
}

function ignore(): void {}
