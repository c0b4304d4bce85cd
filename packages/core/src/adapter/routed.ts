import { performance } from 'node:perf_hooks'
import type { Decision } from '../decision/decision.js'
import { ipIdentity } from '../decision/ip-address.js'
import type { CanaryError } from '../errors.js'
import { bodyError } from '../proxy/body/error.js'
import type { ForwardedRelease } from '../proxy/forward-call.js'
import type { RawResponse } from '../node-http.js'
import type { Proxy } from '../proxy/proxy.js'
import type { ResponseSink } from '../proxy/response/sink.js'
import { giveBackBody, takenBody } from '../proxy/body/take.js'
import type { RequestFacts } from '../request/request-facts.js'
import { runWith } from '../request-context.js'
import { type DecisionHeaders, hasDecisionHeaders, setDecisionHeaders } from './decision-headers.js'
import type { Framework } from './framework.js'
import type { DecisionEntry } from './request-decisions.js'
import { observeResponse } from './observed-response.js'
import type { InForce } from './source.js'
import { takeUpgrade } from './upgrades/offered.js'

/** What an adapter does when a forwarded request comes back to it. */
export interface ForwardHooks<Handler> {
  /** Called once, unless `handle` is: with an error, which the framework's own error handling must answer, or when all is done. */
  readonly done: (error: CanaryError | null) => void
  /** B could not serve, and A is a handler of this application. */
  readonly handle: (handler: Handler) => void
  /** Called just before the response's head goes out, where nothing of `sink` is called. */
  readonly beforeHead?: (() => void) | undefined
  /** Sends the response, where the framework does that itself; not that of an upgrade. @default none */
  readonly sink?: ResponseSink | undefined
}

/** One decided request in the hands of its adapter. */
export class Routed<Context, Request, Handler> {
  readonly startedAt = performance.now()
  readonly action: 'next' | 'handle' | 'forward'
  readonly #context: Context
  readonly #framework: Framework<Context, Request>
  readonly #remembered: DecisionEntry
  readonly inForce: InForce
  readonly #headers: DecisionHeaders
  readonly #facts: RequestFacts<Context>

  constructor(
    action: 'next' | 'handle' | 'forward',
    context: Context,
    framework: Framework<Context, Request>,
    remembered: DecisionEntry,
    inForce: InForce,
    headers: DecisionHeaders,
    facts: RequestFacts<Context>,
  ) {
    this.action = action
    this.#context = context
    this.#framework = framework
    this.#remembered = remembered
    this.inForce = inForce
    this.#headers = headers
    this.#facts = facts
  }

  get decision(): Decision {
    return this.#remembered.decision
  }

  /** The handler that was chosen. */
  get handler(): Handler {
    const { A, B } = this.inForce
    const upstream = this.decision.upstream === 'A' ? A : B
    if (upstream?.kind !== 'handler') throw new TypeError('this request is not for a handler')
    // The adapter's type of the options says what its handlers are; the checked options have lost it.
    return upstream.handler as Handler
  }

  /** Runs what the application answers with, inside the decision, and counts how it ends. */
  run<Result>(next: () => Result): Result {
    const { release } = this.inForce
    const response = this.#framework.response(this.#context)
    this.#setHeaders(response)
    return runWith(this.decision, () => {
      if (release !== null) {
        const request = this.#framework.raw(this.#context)
        observeResponse(release, this.decision, { request, response, startedAt: this.startedAt })
      }
      return next()
    })
  }

  /** Sends the request to its upstream and the response to the client. */
  forward(proxy: Proxy, release: ForwardedRelease, hooks: ForwardHooks<Handler>): void {
    const { done, handle } = hooks
    const context = this.#context
    const framework = this.#framework
    const request = framework.raw(context)
    const upgrade = takeUpgrade(request)
    const sink = upgrade === null ? hooks.sink : undefined
    const beforeHead = sink === undefined ? hooks.beforeHead : undefined
    const { proxy: proxyOptions, ipv6Prefix = 64 } = release.options
    const hasHeaders = hasDecisionHeaders(this.#headers, this.decision)
    const taken = takenBody(request)
    // What is not sent must flow: an error page may wait for the end of the request.
    const end =
      taken === null
        ? done
        : (error: CanaryError | null) => {
            taken.destroy()
            done(error)
          }
    proxy.forward({
      request,
      response: framework.response(context),
      path: framework.path(context),
      rawBody: () => framework.rawBody(context),
      parsedBody: () => framework.body(context),
      taken,
      peerTrusted: this.#facts.peerTrusted(),
      trustConfigured: this.#facts.trustConfigured(),
      network: proxyOptions.perNetwork === null ? '' : ipIdentity(this.#facts.ip(), ipv6Prefix),
      upgrade,
      release,
      decision: this.decision,
      startedAt: this.startedAt,
      sink,
      redecided: (decision) => {
        this.#remembered.decision = decision
        framework.decided(context, decision)
      },
      toHandler: () => {
        const body = giveBackBody(request)
        if (body !== null && framework.giveBody === null) return end(bodyError('read'))
        if (body !== null) framework.giveBody?.(context, body)
        return handle(this.handler)
      },
      beforeHead:
        hasHeaders || beforeHead !== undefined
          ? (response) => {
              this.#setHeaders(response)
              beforeHead?.()
            }
          : null,
      done: end,
    })
  }

  #setHeaders(response: RawResponse): void {
    if (hasDecisionHeaders(this.#headers, this.decision) && !response.headersSent) {
      setDecisionHeaders(response, this.#headers, this.decision)
    }
  }
}
