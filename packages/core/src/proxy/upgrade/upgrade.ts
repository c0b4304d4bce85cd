import http, { type ClientRequest, type IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { CanaryError } from '../../errors.js'
import { hookError } from '../../hook.js'
import { closeAfter, isGone } from '../response/client-connection.js'
import { emitIn } from '../../request-context.js'
import { openSocket } from '../upstream-socket.js'
import type { Attempt, AttemptResult } from '../forwarder.js'
import { headersObject } from '../header-pairs.js'
import { setResponseHeaders, writeResponseHead } from '../response/headers.js'
import { joinSockets, type Tunnels } from './tunnel.js'
import { switchedTo } from './request.js'
import { closedError, upstreamError, type UpstreamFailure } from '../upstream-error.js'

/** What has no meaning in a 101, or is written there already. */
const NOT_SWITCHING = new Set(['connection', 'content-length', 'trailer', 'transfer-encoding', 'upgrade'])

/** What a forwarder's own listeners are told. */
export interface UpgradeEvents {
  /** Returns why the upgrade must not go on; never throws. */
  emit(name: 'proxyReqWs' | 'open' | 'close', ...args: unknown[]): CanaryError | null
}

type ClientSide = NonNullable<Attempt['upgrade']>

/** An upgrade on its way: it becomes a tunnel, an ordinary response, or an error that the framework answers. */
export class Upgrade {
  readonly #attempt: Attempt
  readonly #client: ClientSide
  readonly #tunnels: Tunnels
  readonly #head: (status: number) => void
  readonly #done: (result: AttemptResult) => void
  readonly #events: UpgradeEvents | null
  #request: ClientRequest | null = null
  #timer: NodeJS.Timeout | undefined
  #timeUp: NodeJS.Timeout | undefined
  #phase: AttemptResult['phase'] = 'connect'
  #status: number | null = null
  #finished = false

  constructor(
    attempt: Attempt,
    client: ClientSide,
    tunnels: Tunnels,
    head: (status: number) => void,
    done: (result: AttemptResult) => void,
    events: UpgradeEvents | null = null,
  ) {
    this.#attempt = attempt
    this.#client = client
    this.#tunnels = tunnels
    this.#head = head
    this.#done = done
    this.#events = events
  }

  start(): void {
    const { upstream, request, response, path, headers, context } = this.#attempt
    const { socket } = this.#client
    this.#tunnels.add(this.#giveUp)
    // The socket tells of its end in nobody's context.
    emitIn(context, response)
    // It stays for good: where an error is to be answered, the socket goes back to the framework.
    socket.on('error', ignore)
    socket.on('close', this.#onClientClose)
    if (socket.destroyed) return this.#finish(null, true)
    this.#limit('connect-timeout')
    const { endsAt } = this.#attempt
    if (endsAt !== null) this.#timeUp = setTimeout(() => this.#fail('request-timeout'), endsAt - performance.now())
    try {
      this.#request = http.request({
        method: request.method ?? 'GET',
        path,
        // Instrumentations that add headers of their own spoil an array.
        headers: headersObject(headers),
        setHost: false,
        createConnection: () => openSocket(upstream, this.#onConnect),
      })
      // No number of them, only their size is limited: Node would leave out the rest without a word.
      this.#request.maxHeadersCount = 0
      this.#request.on('error', (error) => this.#fail(this.#phase === 'connect' ? 'refused' : 'broken-head', error))
    } catch (error) {
      return this.#finish(
        new CanaryError('ERR_CANARY_REQUEST', 'the request cannot be forwarded', { cause: error }),
        false,
      )
    }
    const refusal = this.#events?.emit('proxyReqWs', this.#request, request, socket, {}, this.#client.head) ?? null
    if (refusal !== null) return this.#finish(refusal, false)
    this.#request
      .on('upgrade', (response, socket, head) => this.#onUpgrade(response, socket, head))
      .on('response', (response) => this.#onRefusal(response))
    try {
      this.#request.end()
      // Node takes `Connection: Upgrade` for a wish to be kept behind an ordinary answer.
      this.#request.shouldKeepAlive = false
    } catch (error) {
      this.#finish(hookError('a listener left an upgrade that cannot be sent', error), false)
    }
  }

  readonly #onConnect = (): void => {
    this.#phase = 'head'
    this.#limit('head-timeout')
  }

  #onUpgrade(response: IncomingMessage, upstream: Duplex, head: Buffer): void {
    upstream.on('error', ignore)
    // Behind an ordinary response it is too late to switch.
    if (this.#finished || this.#phase !== 'head') return void upstream.destroy()
    const { socket, head: clientHead } = this.#client
    try {
      const text = this.#switchingHead(response)
      const own = this.#attempt.response
      if (own instanceof ServerResponse && socket instanceof Socket) own.detachSocket(socket)
      socket.write(Buffer.from(text, 'latin1'))
    } catch (error) {
      upstream.destroy()
      if (error instanceof CanaryError) this.#finish(error, false)
      else this.#fail('broken-head', error)
      return
    }
    if (head.length > 0) socket.write(head)
    if (clientHead.length > 0) upstream.write(clientHead)
    this.#phase = 'done'
    this.#status = 101
    this.#head(101)
    // The socket is the tunnel's now, and destroying the request would destroy it.
    this.#request = null
    this.#finish(null, false)
    joinSockets(socket, upstream, this.#attempt.settings.bodyTimeoutMs, this.#tunnels)
    this.#events?.emit('open', upstream)
    upstream.on('end', () => this.#events?.emit('close', response, upstream, head))
  }

  /** The 101 head as text: the upstream's headers, and those that the application had set. */
  #switchingHead(upgraded: IncomingMessage): string {
    const protocol = switchedTo(upgraded, this.#attempt.request)
    if (protocol === null) throw new TypeError('the upstream switched to a protocol that nobody asked for')
    setResponseHeaders(this.#attempt, 101, upgraded.rawHeaders)
    let text = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n`
    for (const [name, value] of Object.entries(this.#attempt.response.getHeaders())) {
      if (value === undefined || NOT_SWITCHING.has(name)) continue
      for (const line of Array.isArray(value) ? value : [value]) text += `${name}: ${line}\r\n`
    }
    return `${text}\r\n`
  }

  /** What is no 101 is an ordinary response, after which the connection ends. */
  #onRefusal(refusal: IncomingMessage): void {
    const { response } = this.#attempt
    refusal.on('error', ignore)
    if (this.#finished || !(response instanceof ServerResponse)) return void refusal.destroy()
    const status = refusal.statusCode ?? 502
    // A 101 that does not say to what: Node hands it out as an ordinary response.
    if (status < 200) return this.#fail('broken-head', new Error(`the upstream answered ${status}`))
    try {
      closeAfter(response)
      writeResponseHead(this.#attempt, status, refusal.statusMessage ?? '', refusal.rawHeaders)
    } catch (error) {
      if (error instanceof CanaryError) this.#finish(error, false)
      else this.#fail('broken-head', error)
      return
    }
    this.#phase = 'body'
    this.#status = status
    this.#head(status)
    // What the client sent ahead is for nobody. Unread, it would make the system reset the connection.
    this.#client.socket.resume()
    this.#limit('body-timeout')
    refusal.on('data', () => this.#limit('body-timeout'))
    refusal.on('close', () => {
      if (!refusal.complete) this.#fail('broken-body')
    })
    response.on('finish', () => {
      this.#phase = 'done'
      const { socket } = this.#client
      if (socket instanceof Socket) socket.destroySoon()
      else socket.end()
      this.#finish(null, false)
    })
    refusal.pipe(response)
  }

  readonly #onClientClose = (): void => this.#finish(null, true)

  readonly #giveUp = (): void => {
    if (this.#phase === 'body') this.#client.socket.destroy()
    this.#finish(closedError(), false)
  }

  #limit(failure: 'connect-timeout' | 'head-timeout' | 'body-timeout'): void {
    const { connectTimeoutMs, headersTimeoutMs, bodyTimeoutMs } = this.#attempt.settings
    const limits = {
      'connect-timeout': connectTimeoutMs,
      'head-timeout': headersTimeoutMs,
      'body-timeout': bodyTimeoutMs,
    }
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#fail(failure), limits[failure])
  }

  #fail(failure: UpstreamFailure, cause?: unknown): void {
    if (this.#phase === 'body' && !this.#finished && !isGone(this.#attempt.response)) this.#client.socket.destroy()
    this.#finish(upstreamError(failure, this.#attempt, cause), false)
  }

  #finish(error: CanaryError | null, aborted: boolean): void {
    if (this.#finished) return
    this.#finished = true
    clearTimeout(this.#timer)
    clearTimeout(this.#timeUp)
    this.#client.socket.off('close', this.#onClientClose)
    this.#tunnels.delete(this.#giveUp)
    this.#request?.destroy()
    this.#done({ phase: this.#phase, status: this.#status, error, aborted })
  }
}

function ignore(): void {}
