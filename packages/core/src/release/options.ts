import type { Hash } from '../decision/plan.js'
import type { GuardOptions } from '../guard/index.js'
import type { HealthOptions, ProxyOptions } from '../proxy/options.js'
import type { Logger } from '../logger.js'
import type { ConsumerValue } from '../request/consumer.js'
import type { ReleaseRecord } from './lifecycle.js'
import type { UpstreamBOption, UpstreamOption } from './upstream-options.js'

/**
 * The options of a mount: how its requests are read and sent on. A release written in code has them beside its own;
 * a mount on a registry has only these, as the releases are records.
 */
export interface MountOptions<Request = never> {
  /**
   * `forward` sends the request to the upstream's URL; `rewrite` sets `decision.origin` and the path, then calls the next
   * handler.
   *
   * @default 'forward'
   */
  readonly mode?: 'forward' | 'rewrite' | undefined
  /**
   * Who calls: the identity that `hash: 'consumer'` hashes. It must not be async. Nobody: `undefined`, `null` or `''`.
   *
   * @default `id`, `sub`, `username` or `_id` of what the framework's authentication left in `user` or `auth`
   */
  readonly consumer?: ((request: Request) => ConsumerValue) | undefined
  /**
   * The caller's groups, for `hash: { allow }` and `{ deny }`. It must not be async.
   *
   * @default `groups`, `roles` or the words of `scope` of what the framework's authentication left
   */
  readonly groups?: ((request: Request) => readonly string[] | null | undefined) | undefined
  /**
   * Proxies in front of this one, whose forwarded headers count: addresses, CIDRs, `loopback`, `linklocal`, `uniquelocal`.
   *
   * @default what the framework trusts; on `node:http` nobody
   */
  readonly trustedIps?: readonly string[] | undefined
  /**
   * The header in which a trusted proxy names the client; `forwarded` is read as RFC 7239.
   *
   * @default 'x-forwarded-for'
   */
  readonly realIpHeader?: string | undefined
  /**
   * Bits of an IPv6 address that make one client, 1 … 128.
   *
   * @default 64
   */
  readonly ipv6Prefix?: number | undefined
  /**
   * Active health checks of B.
   *
   * @default none: B's health is judged by the requests that it gets
   */
  readonly health?: HealthOptions | undefined
  /**
   * A response header that names the upstream (`A` or `B`), such as `x-canary-upstream`. It sets `Vary` too.
   *
   * @default none
   */
  readonly exposeHeader?: string | undefined
  /**
   * Limits, headers and hooks of forwarded requests.
   *
   * @default {} with the default of each
   */
  readonly proxy?: ProxyOptions | undefined
  /**
   * Where messages go: pino, `console` or an object of your own.
   *
   * @default console
   */
  readonly logger?: Logger | undefined
  /**
   * Called once for each kind of problem that no request can answer for: a `consumer` function that throws, a listener
   * that throws …
   *
   * @default the logger's `error`
   */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** A handler of some framework. */
export type AnyHandler = (...args: never[]) => unknown

/** Where A and B are. */
export interface Upstreams<Handler = AnyHandler> {
  /** Required. The present version: a URL, `{ url, socketPath, tls }`, or a handler of the framework. */
  readonly A: UpstreamOption<Handler>
  /** Required. The canary: as A, or the parts in which it differs from A's URL, such as `{ port: 3001 }`. */
  readonly B: UpstreamBOption<Handler>
}

/** How a request may choose its side: the value `always` means B, `never` A. Any other value counts as missing. */
export interface OverrideOptions {
  /**
   * Name of the request header.
   *
   * @default none
   */
  readonly header?: string | undefined
  /**
   * Name of the cookie. The header goes before it.
   *
   * @default none
   */
  readonly cookie?: string | undefined
}

/** The options of a release of a registry: where its upstreams are, each of its places says. */
export type PlacedOptions = Omit<ReleaseOptions, 'upstreams'> & {
  /** How many buckets its ramp may have on B before another record says so. @default all */
  readonly gate?: number | undefined
}

/** The options of a release. Checked once, when it is built or updated. */
export interface ReleaseOptions<Request = never, Handler = AnyHandler> extends MountOptions<Request> {
  /** Required. The name in logs, decisions and metrics: 1 … 200 characters without control characters. */
  readonly name: string
  /**
   * Makes buckets differ between releases, so that the same users are not always first.
   *
   * @default the option `name`
   */
  readonly salt?: string | undefined
  /** Required. Where A and B are. */
  readonly upstreams: Upstreams<Handler>
  /**
   * B's share in percent, 0 … 100, decimals allowed. Give either this or `start`.
   *
   * @default none: `start` must be given
   */
  readonly percentage?: number | undefined
  /**
   * When a linear release begins: a Date, an ISO date or epoch seconds. It may lie in the past.
   *
   * @default none: `percentage` must be given
   */
  readonly start?: Date | string | number | undefined
  /**
   * Length of a linear release: seconds, or text such as `'90m'`, `'36h'`, `'1.5d'`. From 1 ms to 10¹⁰ s.
   *
   * @default 3600
   */
  readonly duration?: number | string | undefined
  /**
   * Number of buckets, 1 … 2³².
   *
   * @default 1000
   */
  readonly steps?: number | undefined
  /**
   * What an identity is, so that it stays on one side.
   *
   * @default 'consumer'
   */
  readonly hash?: Hash | undefined
  /**
   * Header and cookie by which a request chooses its side.
   *
   * @default none
   */
  readonly override?: OverrideOptions | undefined
  /**
   * True sends B's requests to A while B cannot be reached.
   *
   * @default false
   */
  readonly upstreamFallback?: boolean | undefined
  /**
   * Rolls the release back by itself if B is worse than A: `true`, or the guard's options.
   *
   * @default false
   */
  readonly guard?: boolean | GuardOptions | undefined
  /**
   * False sends everything to A; on a registry the next scope applies.
   *
   * @default true
   */
  readonly enabled?: boolean | undefined
  /**
   * What an earlier process knew: a `status()`, so that a rollback outlives a restart.
   *
   * @default none: a release that nobody has moved
   */
  readonly state?: Partial<ReleaseRecord> | undefined
  /**
   * The time, in milliseconds since the epoch.
   *
   * @default Date.now
   */
  readonly clock?: (() => number) | undefined
  /**
   * A random number n, 0 ≤ n < 1: with which bucket `hash: 'none'` begins.
   *
   * @default Math.random
   */
  readonly random?: (() => number) | undefined
}
