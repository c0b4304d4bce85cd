/** The codes of {@link CanaryError}: the documentation lists cause and remedy of each. */
export type CanaryErrorCode =
  | 'ERR_CANARY_OPTION'
  | 'ERR_CANARY_HOOK'
  | 'ERR_CANARY_STATE'
  | 'ERR_CANARY_REQUEST'
  | 'ERR_CANARY_LOOP'
  | 'ERR_CANARY_BODY'
  | 'ERR_CANARY_UPSTREAM_CONNECT'
  | 'ERR_CANARY_UPSTREAM_RESPONSE'
  | 'ERR_CANARY_UPLOAD'
  | 'ERR_CANARY_UPSTREAM_TIMEOUT'
  | 'ERR_CANARY_TIMEOUT'
  | 'ERR_CANARY_UPSTREAM_BUSY'
  | 'ERR_CANARY_SERVICE'
  | 'ERR_CANARY_VIOLATION'
  | 'ERR_CANARY_STORE'
  | 'ERR_CANARY_CLOSED'

/** Every code a {@link CanaryError} can carry, with the HTTP status an adapter answers it with. */
const STATUS_OF = {
  /** A bad option: thrown when a release is built or updated, never while a request runs. */
  ERR_CANARY_OPTION: 500,
  /** A function of the application's (a hook, a forwarder) threw, rejected, was late or returned nonsense. */
  ERR_CANARY_HOOK: 500,
  /** A move that is not legal in the release's present state. */
  ERR_CANARY_STATE: 409,
  /** A request line or header that must not be forwarded. */
  ERR_CANARY_REQUEST: 400,
  /** A request that has passed this mount twice already. */
  ERR_CANARY_LOOP: 508,
  /** A body that was read by someone else and cannot be sent again. */
  ERR_CANARY_BODY: 500,
  /** No connection to the upstream. */
  ERR_CANARY_UPSTREAM_CONNECT: 502,
  /** The upstream broke off, or answered nonsense, before the head of its response was whole. */
  ERR_CANARY_UPSTREAM_RESPONSE: 502,
  /** The connection to the upstream broke while the request's body was sent, and no answer had come. */
  ERR_CANARY_UPLOAD: 502,
  /** The upstream did not accept a connection, or did not answer, in time. */
  ERR_CANARY_UPSTREAM_TIMEOUT: 504,
  /** A request was not whole, or a hook did not let it go on, when the time for the whole exchange was up. */
  ERR_CANARY_TIMEOUT: 504,
  /** No more at a time: no free connection and a full queue, or too many tunnels or requests of one client. */
  ERR_CANARY_UPSTREAM_BUSY: 503,
  /** A mount whose service, route or api the registry does not know. */
  ERR_CANARY_SERVICE: 503,
  /** A change that the registry refuses; 409 where another record has the value already. */
  ERR_CANARY_VIOLATION: 400,
  /** The registry's store could not be read or written. */
  ERR_CANARY_STORE: 503,
  /** Used after `close()`. */
  ERR_CANARY_CLOSED: 503,
} as const satisfies Record<CanaryErrorCode, number>

/** What is known besides of an error. */
export interface CanaryErrorDetails {
  /**
   * The underlying failure.
   *
   * @default none
   */
  readonly cause?: unknown
  /**
   * Of a change: what is known of it.
   *
   * @default none
   */
  readonly outcome?: CanaryError['outcome']
  /**
   * Of a change: the id of its commit.
   *
   * @default none
   */
  readonly commit?: string | undefined
}

/**
 * The one class of error these packages throw or hand to a framework; the registry's `ViolationError` is a subclass.
 *
 * `message` is fixed text that may be shown to anyone: addresses and the underlying failure are only in `cause`. That of
 * a violation names fields and values of the change, for whoever made it.
 * `status`, `statusCode` and `expose` are what Express, Koa and Fastify read from an error.
 */
export class CanaryError extends Error {
  /** The name of the class. */
  override readonly name: string = 'CanaryError'
  /** What went wrong. */
  readonly code: CanaryErrorCode
  /** The HTTP status that it is answered with. */
  readonly status: number
  /** The same as `status`. */
  readonly statusCode: number
  /** Fixed: a framework answers with a page of its own, not with the message. */
  readonly expose = false
  /**
   * Of a change that ended with ERR_CANARY_STORE: whether it is certain that nothing was written, or the change may have
   * been made all the same. Do not repeat it then before you have looked: the audit trail has {@link commit} if it was.
   *
   * @default none, of other errors
   */
  declare readonly outcome?: 'not-written' | 'unknown' | undefined
  /**
   * If `outcome` is `unknown`: the id of the commit that was tried.
   *
   * @default none
   */
  declare readonly commit?: string | undefined

  constructor(code: CanaryErrorCode, message: string, details: CanaryErrorDetails = {}) {
    const { outcome, commit } = details
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    if (outcome !== undefined) this.outcome = outcome
    if (commit !== undefined) this.commit = commit
    this.status = STATUS_OF[code]
    this.statusCode = this.status
  }
}
