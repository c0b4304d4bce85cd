import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type ProxyServer from 'http-proxy'
import { CanaryError } from '../errors.js'
import type { UploadObserver } from './body-relay.js'
import type { Attempt, AttemptResult } from './forwarder.js'
import { GatedBody } from './gated-body.js'
import {
  answeredByListener,
  capturing,
  correctHead,
  headersObject,
  rewrittenHead,
  shadowing,
  webOptions,
} from './http-proxy-adjust.js'
import { writeEarlyHints } from './response-headers.js'
import { ResponseWriter } from './response-writer.js'
import { mayRepeat } from './retry.js'
import type { Tunnels } from './tunnel.js'
import { closedError, upstreamError, type UpstreamFailure } from './upstream-error.js'

type Waits = 'queue' | 'connection' | 'upload' | 'upstream' | 'client'

const EXPIRED: Partial<Record<Waits, UpstreamFailure>> = {
  queue: 'busy',
  connection: 'connect-timeout',
  upload: 'upload-timeout',
}

/** One attempt at one upstream through an http-proxy server. */
export class HttpProxyExchange extends ResponseWriter implements UploadObserver {
  readonly #proxy: ProxyServer
  readonly #options: ProxyServer.ServerOptions
  readonly #agent: Agent
  readonly #running: Tunnels
  readonly #head: (status: number) => void
  readonly #done: (result: AttemptResult) => void
  readonly #body: GatedBody | null
  #request: ClientRequest | null = null
  #response: IncomingMessage | null = null
  #phase: AttemptResult['phase'] = 'connect'
  #status: number | null = null
  #finished = false
  #retried = false
  #waitsFor: Waits = 'queue'
  #timer: NodeJS.Timeout | undefined

  constructor(
    attempt: Attempt,
    proxy: ProxyServer,
    agent: Agent,
    running: Tunnels,
    head: (status: number) => void,
    done: (result: AttemptResult) => void,
  ) {
    super(attempt)
    this.#proxy = proxy
    // http-proxy keeps them there, but its types do not say so.
    this.#options =
      'options' in proxy && typeof proxy.options === 'object' && proxy.options !== null ? proxy.options : {}
    this.#agent = this.#options.agent ?? agent
    this.#running = running
    this.#head = head
    this.#done = done
    this.#body = attempt.hasBody && attempt.body === null ? new GatedBody(attempt.request, this) : null
  }

  start(): void {
    const { settings } = this.attempt
    this.#running.add(this.#giveUp)
    if (!this.openResponse()) return this.#finish(null, true)
    if (this.#options.agent === undefined) this.#agent.maxSockets = settings.connections
    const waiting = Object.values(this.#agent.requests).reduce((sum, requests) => sum + (requests?.length ?? 0), 0)
    if (waiting > settings.queue) return this.#fail('busy')
    this.#send()
  }

  #send(): void {
    const { request, response, path, headers, body } = this.attempt
    const stream = this.#body ?? Readable.from(body === null ? [] : [body])
    const options = webOptions(this.attempt, this.#options, capturing(this.#agent, this.#own), stream)
    const shown = headersObject(headers)
    if (body !== null) shown['content-length'] = String(body.length)
    this.#wait('queue')
    try {
      // Either kind of request and response has what http-proxy uses.
      shadowing(request, path, shown, () =>
        this.#proxy.web(request as IncomingMessage, response as never, options, ignore),
      )
    } catch (error) {
      this.#finish(new CanaryError('ERR_CANARY_REQUEST', 'the request cannot be forwarded', { cause: error }), false)
    }
  }

  readonly #own = (request: ClientRequest): void => {
    this.#request = request
    correctHead(request, this.attempt)
    request.on('socket', (socket) => this.#onSocket(socket))
    request.on('information', (info) => {
      if (info.statusCode === 103) writeEarlyHints(this.attempt.response, info.rawHeaders)
    })
    request.on('response', (response) => {
      response.on('error', ignore)
      // After the listeners of the server's proxyRes.
      process.nextTick(() => this.#onResponse(response))
    })
    request.on('error', (error) => this.#onError(request, error))
    request.on('upgrade', (_response, socket) => {
      socket.on('error', ignore).destroy()
      this.#onError(request, new Error('it switched protocols'))
    })
  }

  #onSocket(socket: Socket): void {
    if (!socket.connecting) return this.#onConnect()
    this.#wait('connection')
    socket.once(this.attempt.upstream.scheme === 'https' ? 'secureConnect' : 'connect', () => this.#onConnect())
  }

  #onConnect(): void {
    if (this.#finished || this.#phase !== 'connect') return
    this.#phase = 'head'
    this.#wait('upstream')
    this.#body?.open()
  }

  uploading(waitsFor: 'client' | 'upstream' | null): void {
    if (this.#finished || this.#phase === 'done') return
    this.#wait(waitsFor === 'client' ? 'client' : waitsFor === 'upstream' ? 'upload' : 'upstream')
  }

  #onResponse(response: IncomingMessage): void {
    if (this.#finished) return void response.destroy()
    this.#response = response
    const status = response.statusCode ?? 502
    this.#status = status
    // With selfHandleResponse, or by a listener that answered, the response is theirs.
    const theirs = this.attempt.response.headersSent || this.#options.selfHandleResponse === true
    try {
      const { request, upstream } = this.attempt
      const head = theirs ? [] : rewrittenHead(request, response, this.#options, upstream.origin)
      if (!theirs) this.sendHead(status, response.statusMessage ?? '', head, this.#isUploading())
    } catch (error) {
      if (error instanceof CanaryError) this.#finish(error, false)
      else this.#fail('broken-head', error)
      return
    }
    this.#phase = 'body'
    this.#head(status)
    this.#wait('upstream')
    response.on('close', () => {
      if (!response.complete) this.#fail('broken-body')
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
    if (this.#finished || !response.complete) return
    this.#phase = 'done'
    this.#wait('client')
    if (!theirs) this.endResponse(response.rawTrailers)
  }

  #onError(request: ClientRequest, error: Error): void {
    if (this.#finished || request !== this.#request || this.#phase === 'done') return
    if (this.#phase === 'body') return this.#fail('broken-body', error)
    if (this.#phase === 'connect') return this.#fail('refused', error)
    if (this.#retried || !request.reusedSocket || !mayRepeat(this.attempt, error))
      return this.#fail('broken-head', error)
    this.#retried = true
    this.#phase = 'connect'
    this.#send()
  }

  protected override onDrain(): void {
    if (this.#finished || this.#phase !== 'body') return
    this.#wait('upstream')
    this.#response?.resume()
  }

  protected override onClientClose(aborted: boolean): void {
    this.#finish(null, aborted)
  }

  protected override isComplete(): boolean {
    return this.#phase === 'done'
  }

  readonly #giveUp = (): void => {
    if (this.#phase === 'body' || this.#phase === 'done') this.cutOff()
    this.#finish(closedError(), false)
  }

  #wait(waitsFor: Waits): void {
    const { connectTimeoutMs, headersTimeoutMs, bodyTimeoutMs } = this.attempt.settings
    this.#waitsFor = waitsFor
    clearTimeout(this.#timer)
    const head = waitsFor === 'upstream' && this.#phase === 'head'
    const limit = this.#phase === 'connect' ? connectTimeoutMs : head ? headersTimeoutMs : bodyTimeoutMs
    this.#timer = setTimeout(this.#expired, limit)
  }

  readonly #expired = (): void => {
    if (this.#waitsFor === 'client') {
      this.cutOff()
      this.#finish(null, true)
    } else this.#fail(EXPIRED[this.#waitsFor] ?? (this.#phase === 'head' ? 'head-timeout' : 'body-timeout'))
  }

  #fail(failure: UpstreamFailure, cause?: unknown): void {
    if (this.#finished) return
    if (this.#phase === 'body') this.cutOff()
    else if (answeredByListener(this.#proxy, this.attempt, cause ?? new Error(failure))) this.#phase = 'done'
    this.#finish(upstreamError(failure, this.attempt, cause), false)
  }

  #finish(error: CanaryError | null, aborted: boolean): void {
    if (this.#finished) return
    this.#finished = true
    clearTimeout(this.#timer)
    this.releaseResponse()
    this.#running.delete(this.#giveUp)
    if (this.#isUploading()) {
      this.#body?.destroy()
      if (this.#body?.started === true) this.dropRequest()
    }
    if (this.#response?.complete !== true || this.#isUploading()) this.#request?.destroy()
    this.#done({ phase: this.#phase, status: this.#status, error, aborted })
  }

  #isUploading(): boolean {
    return this.#body !== null && !this.#body.readableEnded
  }
}

function ignore(): void {}
