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
  /** `forward` proxies to the upstream's URL; `rewrite` sets `decision.origin` and the path, then calls the next handler. @default 'forward' */
  readonly mode?: 'forward' | 'rewrite' | undefined
  /** Who calls. @default `id`, `sub`, `username` or `_id` of what the framework's authentication left in `user` or `auth` */
  readonly consumer?: ((request: Request) => ConsumerValue) | undefined
  /** The caller's groups. @default `groups`, `roles` or `scope` of the same */
  readonly groups?: ((request: Request) => readonly string[] | null | undefined) | undefined
  /** Proxies in front of this one: addresses, CIDRs, `loopback`, `linklocal`, `uniquelocal`. @default the framework's own, or nobody */
  readonly trustedIps?: readonly string[] | undefined
  /** The header that a trusted proxy names the client in; `forwarded` is read as RFC 7239. @default 'x-forwarded-for' */
  readonly realIpHeader?: string | undefined
  /** Bits of an IPv6 address that make one client, 1 … 128. @default 64 */
  readonly ipv6Prefix?: number | undefined
  /** Active health checks of B. @default passive only */
  readonly health?: HealthOptions | undefined
  /** A response header that names the upstream; sets `Vary` too. @default none */
  readonly exposeHeader?: string | undefined
  readonly proxy?: ProxyOptions | undefined
  /** @default console */
  readonly logger?: Logger | undefined
  /** Told of each kind of problem once: a `consumer` function that throws, a listener that throws … */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** A handler of some framework. */
export type AnyHandler = (...args: never[]) => unknown

/** The options of a release of a registry: where its upstreams are, each of its places says. */
export type PlacedOptions = Omit<ReleaseOptions, 'upstreams'>

/** The options of a release. Checked once, when it is built or updated. */
export interface ReleaseOptions<
  Request = never,
  Handler = (...args: never[]) => unknown,
> extends MountOptions<Request> {
  /** In logs, decisions and metrics; 1 … 200 characters. */
  readonly name: string
  /** Makes buckets differ between releases, so that the same users are not always first. @default `name` */
  readonly salt?: string | undefined
  readonly upstreams: { readonly A: UpstreamOption<Handler>; readonly B: UpstreamBOption<Handler> }
  /** B's share, 0 … 100, decimals allowed. Either this, or `start` with `duration`. */
  readonly percentage?: number | undefined
  /** When a linear release begins: Date, ISO date or epoch seconds; may lie in the past. */
  readonly start?: Date | string | number | undefined
  /** Length of a linear release: seconds, or `'90m'`. @default 3600 */
  readonly duration?: number | string | undefined
  /** Number of buckets, 1 … 2³². @default 1000 */
  readonly steps?: number | undefined
  /** @default 'consumer' */
  readonly hash?: Hash | undefined
  /** Request header and cookie whose value `always` means B, `never` A. @default none */
  readonly override?: { readonly header?: string | undefined; readonly cookie?: string | undefined } | undefined
  /** True sends B's requests to A while B cannot be reached. @default false */
  readonly upstreamFallback?: boolean | undefined
  /** Rolls the release back by itself where B is worse than A. @default false */
  readonly guard?: boolean | GuardOptions | undefined
  /** False sends everything to A; in a registry the next scope applies. @default true */
  readonly enabled?: boolean | undefined
  /** What an earlier process knew: a `status()`, so that a rollback outlives a restart. */
  readonly state?: Partial<ReleaseRecord> | undefined
  /** Milliseconds since the epoch. @default Date.now */
  readonly clock?: (() => number) | undefined
  /** 0 ≤ n < 1. @default Math.random */
  readonly random?: (() => number) | undefined
}
