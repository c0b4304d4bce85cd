import http, { type ClientRequest, type IncomingMessage, ServerResponse } from 'node:http'
import { Socket, connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { CanaryError } from '../errors.js'
import type { UrlUpstream } from '../release/upstream.js'
import { tlsOptions } from './connector.js'
import type { Attempt, AttemptResult } from './forwarder.js'
import { setResponseHeaders, writeResponseHead } from './response-headers.js'
import { joinSockets } from './tunnel.js'
import { upstreamError, type UpstreamFailure } from './upstream-error.js'

type Head = (status: number) => void
type Done = (result: AttemptResult) => void

/** The upgrades of one forwarder: those under way and those that became tunnels. */
export class Tunnels {
  readonly #open = new Set<() => void>()

  get size(): number {
    return this.#open.size
  }

  open(attempt: Attempt, upgrade: { readonly socket: Duplex; readonly head: Buffer }, head: Head, done: Done): void {
    new Handshake(attempt, upgrade, this.#open, head, done).start()
  }

  destroy(): void {
    for (const close of this.#open) close()
    this.#open.clear()
  }
}

/** An upgrade on its way: it becomes a tunnel, an ordinary response, or an error that the framework answers. */
class Handshake {
  readonly #attempt: Attempt
  readonly #client: Duplex
  readonly #clientHead: Buffer
  readonly #open: Set<() => void>
  readonly #head: Head
  readonly #done: Done
  readonly #cancel = (): void => this.#finish(upstreamError('refused', this.#attempt.upstream.name), false)
  #request: ClientRequest | null = null
  #timer: NodeJS.Timeout | undefined
  #phase: AttemptResult['phase'] = 'connect'
  #status: number | null = null
  #finished = false

  constructor(
    attempt: Attempt,
    upgrade: { readonly socket: Duplex; readonly head: Buffer },
    open: Set<() => void>,
    head: Head,
    done: Done,
  ) {
    this.#attempt = attempt
    this.#client = upgrade.socket
    this.#clientHead = upgrade.head
    this.#open = open
    this.#head = head
    this.#done = done
  }

  start(): void {
    const { upstream, settings, request, path, headers } = this.#attempt
    this.#open.add(this.#cancel)
    // It stays for good: the socket goes back to the framework where an error is to be answered.
    this.#client.on('error', ignore)
    this.#client.on('close', this.#onClientClose)
    if (this.#client.destroyed) return this.#finish(null, true)
    this.#limit('connect-timeout', settings.connectTimeoutMs)
    try {
      this.#request = http.request({
        method: request.method ?? 'GET',
        path,
        headers,
        setHost: false,
        createConnection: () => this.#connect(upstream),
      })
    } catch (error) {
      return this.#fail('refused', error)
    }
    this.#request
      .on('error', (error) => this.#fail(this.#phase === 'connect' ? 'refused' : 'broken-head', error))
      .on('upgrade', (response, socket, head) => this.#onUpgrade(response, socket, head))
      .on('response', (response) => this.#onRefusal(response))
      .end()
  }

  #connect(upstream: UrlUpstream): Socket {
    const target =
      upstream.socketPath === null ? { host: upstream.hostname, port: upstream.port } : { path: upstream.socketPath }
    const socket =
      upstream.scheme === 'https'
        ? connectTls({ ...tlsOptions(upstream), ...target, ALPNProtocols: ['http/1.1'] })
        : connectTcp({ ...target, allowHalfOpen: true })
    socket.on('error', ignore)
    socket.once(upstream.scheme === 'https' ? 'secureConnect' : 'connect', () => {
      this.#phase = 'head'
      this.#limit('head-timeout', this.#attempt.settings.headersTimeoutMs)
    })
    return socket
  }

  #onUpgrade(response: IncomingMessage, upstream: Socket, head: Buffer): void {
    upstream.on('error', ignore)
    if (this.#finished || response.statusCode !== 101) {
      upstream.destroy()
      if (!this.#finished) this.#fail('broken-head')
      return
    }
    const client = this.#client
    try {
      const text = this.#switchingHead(response)
      if (this.#attempt.response instanceof ServerResponse && client instanceof Socket) {
        this.#attempt.response.detachSocket(client)
      }
      client.write(Buffer.from(text, 'latin1'))
    } catch (error) {
      upstream.destroy()
      return this.#fail('broken-head', error)
    }
    if (head.length > 0) client.write(head)
    if (this.#clientHead.length > 0) upstream.write(this.#clientHead)
    const close = joinSockets(client, upstream, this.#attempt.settings.bodyTimeoutMs, () => this.#open.delete(close))
    if (!client.destroyed) this.#open.add(close)
    this.#phase = 'done'
    this.#status = 101
    this.#head(101)
    this.#request = null
    this.#finish(null, false)
  }

  /** The 101 head as text: the upstream's headers, and those that the application had set. */
  #switchingHead(upgraded: IncomingMessage): string {
    const { response } = this.#attempt
    setResponseHeaders(this.#attempt, 101, upgraded.rawHeaders)
    let text = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n'
    text += `Upgrade: ${upgraded.headers.upgrade ?? this.#attempt.request.headers.upgrade ?? 'websocket'}\r\n`
    for (const [name, value] of Object.entries(response.getHeaders())) {
      if (value === undefined || name === 'content-length' || name === 'connection' || name === 'upgrade') continue
      for (const line of Array.isArray(value) ? value : [value]) text += `${name}: ${line}\r\n`
    }
    return `${text}\r\n`
  }

  /** What is no 101 is an ordinary response, after which the connection ends. */
  #onRefusal(refusal: IncomingMessage): void {
    const { response, settings } = this.#attempt
    if (this.#finished) return void refusal.destroy()
    const status = refusal.statusCode ?? 502
    try {
      if (response instanceof ServerResponse) response.shouldKeepAlive = false
      writeResponseHead(this.#attempt, status, refusal.statusMessage ?? '', refusal.rawHeaders)
    } catch (error) {
      return this.#fail('broken-head', error)
    }
    this.#phase = 'body'
    this.#status = status
    this.#head(status)
    this.#limit('body-timeout', settings.bodyTimeoutMs)
    refusal.on('data', () => this.#limit('body-timeout', settings.bodyTimeoutMs))
    refusal.on('error', (error) => this.#fail('broken-body', error))
    refusal.on('close', () => {
      if (!refusal.complete) this.#fail('broken-body')
    })
    response.on('finish', () => {
      this.#phase = 'done'
      if (this.#client instanceof Socket) this.#client.destroySoon()
      else this.#client.end()
      this.#finish(null, false)
    })
    refusal.pipe(response as ServerResponse)
  }

  readonly #onClientClose = (): void => this.#finish(null, true)

  #limit(failure: UpstreamFailure, milliseconds: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#fail(failure, undefined, milliseconds), milliseconds)
  }

  #fail(failure: UpstreamFailure, cause?: unknown, milliseconds = 0): void {
    if (this.#phase === 'body') this.#client.destroy()
    this.#finish(upstreamError(failure, this.#attempt.upstream.name, milliseconds, cause), false)
  }

  #finish(error: CanaryError | null, aborted: boolean): void {
    if (this.#finished) return
    this.#finished = true
    clearTimeout(this.#timer)
    this.#open.delete(this.#cancel)
    this.#client.off('close', this.#onClientClose)
    this.#request?.destroy()
    this.#done({ phase: this.#phase, status: this.#status, error, aborted })
  }
}

function ignore(): void {}
