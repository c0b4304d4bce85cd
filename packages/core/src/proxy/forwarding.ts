import type { OutgoingHttpHeaders } from 'node:http'
import type { Decision } from '../decision/decision.js'
import { CanaryError } from '../errors.js'
import type { UrlUpstream } from '../upstream.js'
import { mayLackHeaders } from './request/truncated-headers.js'
import type { Attempt, AttemptResult, Forwarder } from './forwarder.js'
import type { ForwardCall } from './forward-call.js'
import { type Admission, type Health, healthOf } from './health/health.js'
import { requestBody, type RequestBody } from './request/body.js'
import { requestHeaders } from './request/headers.js'
import { joinPath } from './request/path.js'
import type { TakenBody } from './taken-body.js'
import { upgradeHeaders } from './upgrade/request.js'
import { hookError, upstreamError } from './upstream-error.js'

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

/** One request on its way: to the upstream of its decision, and to A where the fallback says so. */
export class Forwarding {
  readonly #call: ForwardCall
  readonly #forwarder: Forwarder
  readonly #mount: object
  readonly #now: () => number
  #decision: Decision
  #body: RequestBody | null = null
  #health: Health | null = null
  #admission: Admission = 'in'
  #settled = false
  /** Milliseconds from the decision to the head. */
  #latency = -1

  constructor(call: ForwardCall, forwarder: Forwarder, mount: object, now: () => number) {
    this.#call = call
    this.#forwarder = forwarder
    this.#mount = mount
    this.#now = now
    this.#decision = call.decision
  }

  start(): void {
    const { release } = this.#call
    if (this.#decision.upstream === 'A') return this.#attempt()
    this.#health = healthOf(release, this.#now)
    this.#admission = this.#health.admit()
    if (this.#admission !== 'out') return this.#attempt()
    const error = upstreamError('out', { upstream: { name: 'B' }, settings: release.options.proxy })
    if (!release.options.upstreamFallback || !this.#fallBack(null)) {
      this.#ended({ phase: 'connect', status: null, error, aborted: false })
    }
  }

  #attempt(): void {
    try {
      const upstream = this.#call.release.options.upstreams[this.#decision.upstream]
      if (upstream.kind !== 'url') throw new TypeError(`upstream ${this.#decision.upstream} is no URL`)
      this.#settled = false
      this.#forwarder.forward(this.#compile(upstream), this.#onHead, this.#onDone)
    } catch (error) {
      const known = error instanceof CanaryError ? error : hookError('the forwarder', error)
      this.#onDone({ phase: 'connect', status: null, error: known, aborted: false })
    }
  }

  #compile(upstream: UrlUpstream): Attempt {
    const { request, response, path, peerTrusted, upgrade, release, parsedBody, beforeHead, taken = null } = this.#call
    const settings = release.options.proxy
    if (request.method === 'CONNECT') throw new CanaryError('ERR_CANARY_REQUEST', 'CONNECT is not forwarded')
    if (mayLackHeaders(request)) {
      throw new CanaryError('ERR_CANARY_REQUEST', 'the request has more headers than Node tells of')
    }
    const joined = joinPath(path, upstream)
    const body = (this.#body ??= requestBody(request, taken !== null, parsedBody))
    const clean = requestHeaders(request, {
      host: upstream.host,
      preserveHost: settings.preserveHost,
      peerTrusted,
      decisionHeader: settings.decisionHeader,
      realIpHeader: release.options.realIpHeader ?? null,
      decision: this.#decision,
      bodyUntouched: body.present && body.again === null && (taken?.headers ?? null) === null,
    })
    if (taken !== null) addPayloadHeaders(clean, taken)
    const headers = upgrade === null ? clean : upgradeHeaders(clean, request, body.present)
    return {
      request,
      response,
      upstream,
      path: joined,
      headers: settings.onRequestHeaders === null ? headers : this.#hooked(headers),
      body: body.again,
      stream: taken ?? request,
      hasBody: body.present,
      upgrade,
      settings,
      decision: this.#decision,
      beforeHead,
      mount: this.#mount,
    }
  }

  /** The user's hook gets an object, as Node's own `headers` are. */
  #hooked(headers: readonly string[]): string[] {
    const object: OutgoingHttpHeaders = Object.create(null)
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const name = headers[i] ?? ''
      const value = headers[i + 1] ?? ''
      const before = object[name]
      if (before === undefined) object[name] = value
      else object[name] = Array.isArray(before) ? [...before, value] : [String(before), value]
    }
    try {
      this.#call.release.options.proxy.onRequestHeaders?.(object, this.#call.request, this.#decision)
    } catch (error) {
      throw hookError('onRequestHeaders', error)
    }
    return Object.entries(object).flatMap(([name, value]) => {
      if (value === undefined) return []
      return (Array.isArray(value) ? value : [String(value)]).flatMap((line) => [name.toLowerCase(), line])
    })
  }

  readonly #onHead = (): void => {
    this.#latency = performance.now() - this.#call.startedAt
  }

  readonly #onDone = (result: AttemptResult): void => {
    if (this.#settled) return
    this.#settled = true
    this.#health?.report(this.#admission, connectedBy(result))
    this.#health = null
    if (!this.#mayFallBack(result) || !this.#fallBack(result.error)) this.#ended(result)
  }

  #mayFallBack({ phase, error }: AttemptResult): boolean {
    const { request, release } = this.#call
    if (!isUpstreamError(error) || this.#decision.upstream !== 'B' || !release.options.upstreamFallback) return false
    if (phase === 'connect') return true
    return phase === 'head' && SAFE.has(request.method ?? '') && this.#body?.present === false
  }

  /** A serves what B was chosen for; `error` is what B did, where it was asked at all. False where A cannot. */
  #fallBack(error: CanaryError | null): boolean {
    const { release, redecided, toHandler } = this.#call
    const isHandler = release.options.upstreams.A.kind === 'handler'
    if (isHandler && toHandler === undefined) return false
    if (error !== null) this.#record({ status: null, error, aborted: false })
    // From here on it is A that is asked.
    this.#health = null
    this.#decision = release.fallback(this.#decision)
    redecided(this.#decision)
    if (isHandler) toHandler?.(this.#decision)
    else this.#attempt()
    return true
  }

  #ended(result: AttemptResult): void {
    const { phase, error, aborted } = result
    this.#record(result)
    this.#call.done(aborted || phase === 'body' || phase === 'done' ? null : error)
  }

  #record({ status, error, aborted }: Pick<AttemptResult, 'status' | 'error' | 'aborted'>): void {
    const failed = isUpstreamError(error)
    // What was refused here says nothing about an upstream.
    if (error !== null && !failed && status === null) return
    const durationMs = this.#latency === -1 ? performance.now() - this.#call.startedAt : this.#latency
    this.#call.release.record({ decision: this.#decision, status, durationMs, error: failed ? error : null, aborted })
  }
}

/** What a hook's payload says of itself stands where the request's own headers were. */
function addPayloadHeaders(headers: string[], { headers: own }: TakenBody): void {
  for (const [name, value] of Object.entries(own ?? {})) if (value !== undefined) headers.push(name, String(value))
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
