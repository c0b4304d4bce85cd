import type { AsyncResource } from 'node:async_hooks'
import { ipIdentity } from '../decision/ip-address.js'
import { CanaryError } from '../errors.js'
import { hookError } from '../hook.js'
import { captureContext, runWith } from '../request-context.js'
import type { UrlUpstream } from '../upstream.js'
import type { UnderWay } from './connections/under-way.js'
import type { AwaitedHooks } from './awaited-hooks.js'
import { compileAttempt } from './compile-attempt.js'
import type { Attempt, AttemptResult, Forwarder } from './forwarder.js'
import type { ForwardCall } from './forward-call.js'
import { type CircuitState, type Health, healthOf } from './health/health.js'
import { requestBody, type RequestBody } from './body/body.js'
import { hookedRequestHeaders } from './request/headers-hook.js'
import { isExcused, upstreamError } from './upstream-error.js'
import { UpstreamTime } from './upstream-time.js'

/** Node's timers know whole milliseconds, and may be early by nearly two. */
const EARLY_MS = 2
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

/** One request on its way: to the upstream of its decision, and to A where the fallback says so. */
export class Forwarding {
  readonly #call: ForwardCall
  readonly #forwarder: Forwarder
  readonly #mount: { readonly id: string }
  readonly #hooks: AwaitedHooks
  readonly #now: () => number
  readonly #underWay: Readonly<Record<'networks' | 'tunnels', UnderWay>>
  /** What ends its place among those of its network, and among the tunnels of the upstream that is asked. */
  #leaveNetwork: (() => void) | null = null
  #leaveTunnels: (() => void) | null = null
  /** Where it is sent at present. */
  #upstream: UrlUpstream
  #body: RequestBody | null = null
  #health: Health | null = null
  #circuit: CircuitState = 'closed'
  /** The attempt under way: what one that is over still says is not heard. */
  #turn = 0
  /** The context of the present attempt, with its decision: a forwarder may call back from anywhere. */
  #context: AsyncResource | null = null
  readonly #time: UpstreamTime

  constructor(
    call: ForwardCall,
    forwarder: Forwarder,
    mount: { readonly id: string },
    hooks: AwaitedHooks,
    underWay: Readonly<Record<'networks' | 'tunnels', UnderWay>>,
    now: () => number,
  ) {
    this.#call = call
    this.#forwarder = forwarder
    this.#mount = mount
    this.#hooks = hooks
    this.#underWay = underWay
    this.#now = now
    this.#upstream = call.upstream
    this.#time = new UpstreamTime(call.startedAt)
  }

  start(): void {
    const { place, transport } = this.#call
    const { perNetwork } = transport.proxy
    if (perNetwork !== null && !this.#enterNetwork(perNetwork)) {
      return this.#call.done(busyError('the client has too many requests at a time'))
    }
    if (this.#upstream.name === 'A') return this.#attempt()
    this.#health = healthOf(place, this.#now)
    this.#circuit = this.#health.admit()
    if (this.#circuit !== 'open') return this.#attempt()
    if (place.upstreamFallback) return this.#fallBack(null)
    const error = upstreamError('circuit-open', { upstream: { name: 'B' }, settings: transport.proxy })
    this.#ended({ phase: 'connect', status: null, error, aborted: false })
  }

  #enterNetwork(most: number): boolean {
    const { client, transport } = this.#call
    const ip = client.ip()
    if (ip === '') return true
    this.#leaveNetwork = this.#underWay.networks.enter(ipIdentity(ip, transport.ipv6Prefix), most)
    return this.#leaveNetwork !== null
  }

  #attempt(): void {
    const call = this.#call
    const { proxy } = call.transport
    const upstream = this.#upstream
    if (call.upgrade !== null) {
      this.#leaveTunnels = this.#underWay.tunnels.enter(upstream.poolKey, proxy.tunnels)
      if (this.#leaveTunnels === null) return this.#refuseTunnel(upstream)
    }
    const context = captureContext()
    this.#context = context
    const turn = this.#turn
    try {
      const endsAt = this.#endsAt()
      const attempt = compileAttempt(call, { upstream, mount: this.#mount, context, endsAt, body: this.#bodyOnce })
      const hook = proxy.onRequestHeaders
      if (hook === null) return this.#send(attempt)
      const hooked = hookedRequestHeaders(hook, attempt.headers, attempt.request, attempt.decision)
      if (Array.isArray(hooked)) {
        attempt.headers = hooked
        return this.#send(attempt)
      }
      this.#hooks.wait(hooked, attempt, (outcome) => {
        if (outcome === null) this.#done(turn, { phase: 'connect', status: null, error: null, aborted: true })
        else if (outcome instanceof CanaryError) this.#failed(turn, outcome)
        else this.#send({ ...attempt, headers: outcome })
      })
    } catch (error) {
      this.#failed(turn, error)
    }
  }

  /** That an upstream has all the tunnels it may have says nothing about it: nothing is recorded. */
  #refuseTunnel({ name }: UrlUpstream): void {
    this.#reportHealth(null)
    if (name === 'B' && this.#call.place.upstreamFallback) return this.#fallBack(null)
    this.#leaveNetwork?.()
    this.#call.done(busyError(`upstream ${name} has too many tunnels at a time`))
  }

  #send(attempt: Attempt): void {
    const turn = this.#turn
    this.#time.sent(attempt)
    const head = () => this.#head(turn)
    const done = (result: AttemptResult) => this.#done(turn, result)
    try {
      this.#forwarder.forward(attempt, head, done)
    } catch (error) {
      this.#failed(turn, error)
    }
  }

  #failed(turn: number, error: unknown): void {
    const known = error instanceof CanaryError ? error : hookError('the request could not be sent', error)
    this.#done(turn, { phase: 'connect', status: null, error: known, aborted: false })
  }

  /** What is sent of the body, the same for each attempt. */
  readonly #bodyOnce = (): RequestBody => {
    if (this.#body !== null) return this.#body
    const { request, taken } = this.#call
    const body = requestBody(request, taken !== null, this.#call)
    if (body.present && body.again === null) this.#time.uploads(taken ?? request)
    return (this.#body = body)
  }

  #endsAt(): number | null {
    const { requestTimeoutMs } = this.#call.transport.proxy
    return requestTimeoutMs === null ? null : this.#call.startedAt + requestTimeoutMs
  }

  /** B has answered: whoever waited for a trial to show that need not wait for the end of its response. */
  #head(turn: number): void {
    if (turn === this.#turn && this.#time.headCame()) this.#reportHealth(true)
  }

  #done(turn: number, result: AttemptResult): void {
    if (turn !== this.#turn) return
    this.#turn += 1
    const context = this.#context
    context?.runInAsyncScope(this.#settle, this, result)
    context?.emitDestroy()
  }

  #settle(result: AttemptResult): void {
    this.#reportHealth(connectedBy(result))
    this.#leave(this.#leaveTunnels, result)
    this.#leaveTunnels = null
    if (this.#mayFallBack(result)) this.#fallBack(result.error)
    else this.#ended(result)
  }

  #reportHealth(connected: boolean | null): void {
    this.#health?.report(this.#circuit, connected)
    this.#health = null
  }

  /** A tunnel keeps its places for as long as its socket is open. */
  #leave(leave: (() => void) | null, { status }: AttemptResult): void {
    if (leave === null) return
    const socket = this.#call.upgrade?.socket
    if (status === 101 && socket?.destroyed === false) socket.once('close', leave)
    else leave()
  }

  #mayFallBack({ phase, error }: AttemptResult): boolean {
    const { request, place } = this.#call
    if (!isUpstreamError(error) || !place.upstreamFallback || this.#upstream.name === 'A') return false
    if (performance.now() >= (this.#endsAt() ?? Infinity) - EARLY_MS) return false
    if (phase === 'connect') return true
    return phase === 'head' && SAFE.has(request.method ?? '') && this.#body?.present === false
  }

  /** A serves what B was chosen for; `error` is what B did, where it was asked at all. */
  #fallBack(error: CanaryError | null): void {
    const call = this.#call
    const { A } = call.place
    if (error !== null) this.#record({ status: null, error, aborted: false })
    // From here on it is A that is asked.
    this.#health = null
    call.fallBack()
    if (A.kind === 'handler') {
      this.#leaveNetwork?.()
      return runWith(call.decision, () => call.toHandler())
    }
    this.#upstream = A
    runWith(call.decision, () => this.#attempt())
  }

  #ended(result: AttemptResult): void {
    const { phase, error, aborted } = result
    this.#record(result)
    this.#leave(this.#leaveNetwork, result)
    this.#call.done(aborted || phase === 'body' || phase === 'done' ? null : error)
  }

  #record({ status, error, aborted }: Pick<AttemptResult, 'status' | 'error' | 'aborted'>): void {
    const { decision, place } = this.#call
    const excused = error !== null && isExcused(error)
    // A's stays A's: what A is not asked must not make B look worse.
    const failed = isUpstreamError(error) && !(excused && decision.upstream === 'B')
    // What was refused here says nothing about an upstream, nor does an upload that broke before there was an answer.
    if (error !== null && !failed && status === null) return
    const { durationMs, latencyMs: ofUpstream } = this.#time.times
    // Who waited for clients alone says nothing of how quick the upstream is.
    const latencyMs = excused && !this.#time.hasHead ? null : ofUpstream
    place.release?.record({ decision, status, durationMs, latencyMs, error: failed ? error : null, aborted })
  }
}

/** The error where somebody has all that may be under way at a time. */
function busyError(message: string): CanaryError {
  return new CanaryError('ERR_CANARY_UPSTREAM_BUSY', message)
}

function isUpstreamError(error: CanaryError | null): boolean {
  return error !== null && error.code.startsWith('ERR_CANARY_UPSTREAM_')
}

/** Whether the upstream could be connected to; `null` where that was not tried to its end. */
function connectedBy({ phase, error, aborted }: AttemptResult): boolean | null {
  if (phase !== 'connect') return true
  if (aborted || error === null) return null
  return error.code === 'ERR_CANARY_UPSTREAM_CONNECT' || error.code === 'ERR_CANARY_UPSTREAM_TIMEOUT' ? false : null
}
