import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type ProxyServer from 'http-proxy'
import { Exchange, type UploadObserver } from '../exchange.js'
import type { Attempt, AttemptResult } from '../forwarder.js'
import { GatedBody } from './gated-body.js'
import {
  answeredByListener,
  capturing,
  correctHead,
  destroyWaiting,
  headersObject,
  optionsOf,
  rewrittenHead,
  shadowing,
  webOptions,
} from './adjust.js'
import { mayRepeat } from '../retry.js'
import type { Tunnels } from '../upgrade/tunnel.js'
import type { UpstreamFailure } from '../upstream-error.js'

type Waits = 'queue' | 'connection' | 'upload' | 'upstream' | 'client'

const EXPIRED: Partial<Record<Waits, UpstreamFailure>> = {
  queue: 'busy',
  connection: 'connect-timeout',
  upload: 'upload-timeout',
}

/** An exchange through an http-proxy server. */
export class HttpProxyExchange extends Exchange implements UploadObserver {
  readonly #proxy: ProxyServer
  readonly #options: ProxyServer.ServerOptions
  readonly #agent: Agent
  readonly #running: Tunnels
  readonly #body: GatedBody | null
  #request: ClientRequest | null = null
  #response: IncomingMessage | null = null
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
    super(attempt, head, done)
    this.#proxy = proxy
    this.#options = optionsOf(proxy)
    this.#agent = this.#options.agent ?? agent
    this.#running = running
    this.#body = attempt.hasBody && attempt.body === null ? new GatedBody(attempt.stream, this) : null
  }

  start(): void {
    this.#running.add(this.#end)
    if (!this.openResponse()) return this.finish(null, true)
    if (this.#options.agent === undefined) this.#agent.maxSockets = this.attempt.settings.connections
    this.#send()
  }

  #send(): void {
    const { request, response, path, headers, body, settings } = this.attempt
    const stream = this.#body ?? Readable.from(body === null ? [] : [body])
    let full = false
    const agent = capturing(this.#agent, settings.queue, this.#retried, this.#own, () => (full = true))
    const options = webOptions(this.attempt, this.#options, agent, stream)
    const shown = headersObject(headers)
    if (body !== null) shown['content-length'] = String(body.length)
    this.#wait('queue')
    try {
      shadowing(request, path, shown, () => {
        // Either kind of request and response has what http-proxy uses.
        this.#proxy.web(request as IncomingMessage, response as never, options, ignore)
      })
    } catch (error) {
      return this.refuse(error)
    }
    // Not before: the framework would see the path and headers that were for http-proxy.
    if (full) this.fail('busy')
  }

  readonly #own = (request: ClientRequest): void => {
    this.#request = request
    // No number of them, only their size is limited: Node would leave out the rest without a word.
    request.maxHeadersCount = 0
    correctHead(request, this.attempt)
    request.on('socket', (socket) => this.#onSocket(socket))
    request.on('information', (info) => {
      if (info.statusCode === 103) this.sendEarlyHints(info.rawHeaders)
    })
    request.on('response', (response) => {
      this.#response = response.on('error', ignore)
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
    if (this.finished || this.phase !== 'connect') return
    this.phase = 'head'
    this.#wait('upstream')
    this.#body?.open()
  }

  uploading(waitsFor: 'client' | 'upstream' | null): void {
    if (this.finished || this.phase === 'done') return
    this.#wait(waitsFor === 'client' ? 'client' : waitsFor === 'upstream' ? 'upload' : 'upstream')
  }

  #onResponse(response: IncomingMessage): void {
    if (this.finished) return void response.destroy()
    const { request, upstream, response: own } = this.attempt
    if (this.phase !== 'head') return
    const status = response.statusCode ?? 502
    // With selfHandleResponse, or where a listener has answered, the response is theirs.
    const theirs = own.headersSent || this.#options.selfHandleResponse === true
    if (theirs) this.headTaken(status)
    else {
      const head = rewrittenHead(request, response, this.#options, upstream.origin)
      if (head instanceof Error) return this.fail('broken-head', head)
      if (!this.takeHead(status, response.statusMessage ?? '', head, this.#isUploading())) return
    }
    this.#wait('upstream')
    response.on('close', () => {
      if (!response.complete) this.fail('broken-body')
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
    this.#wait('client')
    if (!theirs) this.endResponse(response.rawTrailers)
  }

  #onError(request: ClientRequest, error: Error): void {
    if (this.finished || request !== this.#request || this.phase === 'done') return
    // It failed in the very packet that brought its head.
    if (this.phase === 'head' && this.#response !== null) this.#onResponse(this.#response)
    // What follows a whole response is no part of it.
    if (this.finished || this.#response?.complete === true) return
    if (this.phase === 'body') return this.fail('broken-body', error)
    if (this.phase === 'connect') return this.fail('refused', error)
    if (this.#retried || !request.reusedSocket || !mayRepeat(this.attempt, error))
      return this.fail('broken-head', error)
    this.#retried = true
    this.phase = 'connect'
    this.#send()
  }

  protected override fail(failure: UpstreamFailure, cause?: unknown): void {
    if (this.finished) return
    const before = this.phase === 'connect' || this.phase === 'head'
    if (before && answeredByListener(this.#proxy, this.attempt, cause ?? new Error(failure))) this.phase = 'done'
    super.fail(failure, cause)
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
    clearTimeout(this.#timer)
    const head = waitsFor === 'upstream' && this.phase === 'head'
    const limit = this.phase === 'connect' ? connectTimeoutMs : head ? headersTimeoutMs : bodyTimeoutMs
    this.#timer = setTimeout(this.#expired, limit)
  }

  readonly #expired = (): void => {
    if (this.#waitsFor === 'client') this.leaveClient(this.#body?.wantsMore === true)
    else this.fail(EXPIRED[this.#waitsFor] ?? (this.phase === 'head' ? 'head-timeout' : 'body-timeout'))
  }

  protected override letGo(): void {
    clearTimeout(this.#timer)
    this.#running.delete(this.#end)
    const uploading = this.#isUploading()
    if (uploading && this.#body !== null) {
      this.#body.destroy()
      if (this.#body.started) this.dropRequest()
    }
    if (uploading || this.#response?.complete !== true) destroyWaiting(this.#agent, this.#request)
  }

  readonly #isUploading = (): boolean => this.#body !== null && !this.#body.readableEnded
}

function ignore(): void {}
