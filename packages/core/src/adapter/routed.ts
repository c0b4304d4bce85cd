import { performance } from 'node:perf_hooks'
import type { Decision } from '../decision/decision.js'
import type { CanaryError } from '../errors.js'
import type { RawRequest, RawResponse } from '../node-http.js'
import type { Place } from '../place.js'
import { bodyError } from '../proxy/body/error.js'
import { giveBackBody, takenBody } from '../proxy/body/take.js'
import type { TakenBody } from '../proxy/body/taken.js'
import type { ForwardCall } from '../proxy/forward-call.js'
import type { Proxy } from '../proxy/proxy.js'
import type { ResponseSink } from '../proxy/response/sink.js'
import type { ResolvedMountOptions } from '../release/options-schema.js'
import type { Reports } from '../release/reports.js'
import type { RequestFacts, RequestReading } from '../request/request-facts.js'
import { runWith } from '../request-context.js'
import type { Upstream, UrlUpstream } from '../upstream.js'
import type { DecisionHeaders } from './decision-headers.js'
import type { Framework } from './framework.js'
import type { DecisionEntry } from './request-decisions.js'
import { observeResponse } from './observed-response.js'
import { type UpgradeSocket, takeUpgrade } from './upgrades/offered.js'

/** What an adapter does when a forwarded request comes back to it. */
export interface ForwardHooks<Handler> {
  /** Called once, unless `handle` is: with an error, which the framework's own error handling must answer, or when all is done. */
  readonly done: (error: CanaryError | null) => void
  /** B could not serve, and A is a handler of this application. */
  readonly handle: (handler: Handler) => void
  /**
   * Called just before the response's head goes out, if nothing of `sink` is called.
   *
   * @default none
   */
  readonly beforeHead?: (() => void) | undefined
  /** Sends the response, where the framework does that itself; not that of an upgrade. @default none */
  readonly sink?: ResponseSink | undefined
}

/** One decided request in the hands of its adapter. */
export interface Routed<Handler> {
  /** `handle`: {@link run} the handler; `next`: {@link run} what comes next; `forward`: {@link forward} it. */
  readonly action: 'next' | 'handle' | 'forward'
  /** What was decided for it, as of now: a fallback decides anew. */
  readonly decision: Decision
  /** The handler that was chosen. */
  readonly handler: Handler
  /** Runs what the application answers with, inside the decision, and counts how it ends. */
  run<Result>(next: () => Result): Result
  /** Sends the request to its upstream and the response to the client. */
  forward(hooks: ForwardHooks<Handler>): void
}

/** Finds where a request goes, and whom the registry knows as its caller. */
export type FindPlace = (facts: Pick<RequestFacts<never>, 'caller' | 'known'>) => Place

/** What all requests of a mount have in common, compiled from its options. */
export interface MountTerms<Context, Request> {
  readonly framework: Framework<Context, Request>
  readonly proxy: Proxy
  readonly transport: ResolvedMountOptions
  readonly reports: Reports
  readonly reading: RequestReading<Context>
  readonly find: FindPlace
  readonly headers: DecisionHeaders
}

/** A request with its place and its decision: what the adapter was told to do with it, and the call that forwards it. */
export class RoutedRequest<Context, Request, Handler> implements Routed<Handler>, ForwardCall {
  readonly startedAt = performance.now()
  readonly action: 'next' | 'handle' | 'forward'
  readonly request: RawRequest
  readonly response: RawResponse
  readonly place: Place
  readonly transport: ResolvedMountOptions
  readonly reports: Reports
  readonly client: RequestFacts<Context>
  /** Set as it is forwarded. */
  upgrade: UpgradeSocket | null = null
  taken: TakenBody | null = null
  sink: ResponseSink | null = null
  beforeHead: ((response: RawResponse) => void) | null = null
  #hooks: ForwardHooks<Handler> | null = null
  readonly #terms: MountTerms<Context, Request>
  readonly #context: Context
  readonly #entry: DecisionEntry
  readonly #upstream: Upstream

  constructor(
    terms: MountTerms<Context, Request>,
    context: Context,
    request: RawRequest,
    response: RawResponse,
    facts: RequestFacts<Context>,
    place: Place,
    entry: DecisionEntry,
  ) {
    const { A, B } = place
    const upstream = entry.decision.upstream === 'B' && B !== null ? B : A
    this.action = upstream.kind === 'handler' ? 'handle' : terms.transport.mode === 'rewrite' ? 'next' : 'forward'
    this.request = request
    this.response = response
    this.place = place
    this.#terms = terms
    this.#context = context
    this.client = facts
    this.transport = terms.transport
    this.reports = terms.reports
    this.#entry = entry
    this.#upstream = upstream
  }

  get decision(): Decision {
    return this.#entry.decision
  }

  get upstream(): UrlUpstream {
    if (this.#upstream.kind !== 'url') throw new TypeError('this request is for a handler')
    return this.#upstream
  }

  get handler(): Handler {
    return handlerOf(this.#upstream)
  }

  run<Result>(next: () => Result): Result {
    const { request, response, startedAt, decision } = this
    const { release } = this.place
    this.#setHeaders()
    return runWith(decision, () => {
      if (release !== null) observeResponse(release, decision, { request, response, startedAt })
      return next()
    })
  }

  forward(hooks: ForwardHooks<Handler>): void {
    const { request } = this
    this.#hooks = hooks
    this.upgrade = takeUpgrade(request)
    this.taken = takenBody(request)
    if (this.upgrade === null && hooks.sink !== undefined) this.sink = hooks.sink
    const isTold = this.sink === null && hooks.beforeHead !== undefined
    if (isTold || this.#terms.headers.exposeHeader !== null || this.decision.setCookie !== undefined) {
      this.beforeHead = () => {
        this.#setHeaders()
        if (isTold) hooks.beforeHead?.()
      }
    }
    this.#terms.proxy.forward(this)
  }

  get path(): string {
    return this.#terms.framework.path(this.#context)
  }

  rawBody(): unknown {
    return this.#terms.framework.rawBody(this.#context)
  }

  parsedBody(): unknown {
    return this.#terms.framework.body(this.#context)
  }

  fallBack(): void {
    const { place } = this
    if (place.release === null) return
    const decision = place.release.fallback(this.decision, place.plan)
    this.#entry.decision = decision
    this.#terms.framework.decided(this.#context, decision)
  }

  toHandler(): void {
    const { framework } = this.#terms
    const body = giveBackBody(this.request)
    if (body !== null && framework.giveBody === null) return this.done(bodyError('read'))
    if (body !== null) framework.giveBody?.(this.#context, body)
    this.#hooks?.handle(handlerOf(this.place.A))
  }

  done(error: CanaryError | null): void {
    // What is not sent must flow: an error page may wait for the end of the request.
    this.taken?.destroy()
    this.#hooks?.done(error)
  }

  #setHeaders(): void {
    const { headers } = this.#terms
    if (!this.response.headersSent) headers.set(this.response, this.place.plan, this.decision)
  }
}

function handlerOf<Handler>(upstream: Upstream): Handler {
  if (upstream.kind !== 'handler') throw new TypeError('this request is not for a handler')
  // The adapter's type of the options says what its handlers are; the checked options have lost it.
  return upstream.handler as Handler
}
