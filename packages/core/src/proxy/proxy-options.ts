import type { Forwarder, RequestHeadersHook, ResponseHeadersHook } from './forwarder.js'

/** The option `proxy`: limits, headers and hooks of forwarded requests. */
export interface ProxyOptions {
  /**
   * Time to establish a connection (DNS, TCP and TLS), and time to wait in the queue for a free one: milliseconds,
   * 1 … 2 147 483 647. A request that waits longer ends with ERR_CANARY_UPSTREAM_TIMEOUT or ERR_CANARY_UPSTREAM_BUSY.
   *
   * @default 5000
   */
  readonly connectTimeoutMs?: number | undefined
  /**
   * Time from the request sent to the head of the response: milliseconds, 1 … 2 147 483 647. A request that waits longer
   * ends with ERR_CANARY_UPSTREAM_TIMEOUT.
   *
   * @default 30000
   */
  readonly headersTimeoutMs?: number | undefined
  /**
   * Time without a byte of a body, either way: milliseconds, 1 … 2 147 483 647.
   *
   * @default 60000
   */
  readonly bodyTimeoutMs?: number | undefined
  /**
   * Age at which a connection is ended between two requests, so that traffic follows a change of DNS: milliseconds,
   * 1 … 2 147 483 647. It does not touch tunnels.
   *
   * @default 60000
   */
  readonly connectionMaxAgeMs?: number | undefined
  /**
   * Connections per upstream, 1 … 65 535.
   *
   * @default 256
   */
  readonly connections?: number | undefined
  /**
   * Requests per upstream that may wait for a connection, 0 … 1 000 000. One more ends with ERR_CANARY_UPSTREAM_BUSY.
   *
   * @default 1024
   */
  readonly queue?: number | undefined
  /**
   * Tunnels (upgraded connections) per upstream, 1 … 1 000 000. One more ends with ERR_CANARY_UPSTREAM_BUSY.
   *
   * @default 10000
   */
  readonly tunnels?: number | undefined
  /**
   * Time from the decision to the end of the response: milliseconds, 1 … 2 147 483 647; `null`: no limit. Then a request
   * whose response has not begun ends with 504, and one whose response has begun is cut off. It does not end tunnels
   * that are open.
   *
   * @default null
   */
  readonly requestTimeoutMs?: number | null | undefined
  /**
   * Requests and tunnels at a time for each client network (an IPv4 address, or an IPv6 network of `ipv6Prefix` bits),
   * 1 … 1 000 000; `null`: no limit. One more ends with ERR_CANARY_UPSTREAM_BUSY. Without `trustedIps`, everyone behind
   * a load balancer is the load balancer. Clients of a server on a Unix socket have no address and are not counted.
   *
   * @default null
   */
  readonly perNetwork?: number | null | undefined
  /**
   * True sends the client's `Host` instead of the upstream's.
   *
   * @default false
   */
  readonly preserveHost?: boolean | undefined
  /**
   * True names this gateway to the upstream in `Via` (RFC 9110, 7.6.3), behind those of the client. nginx compresses
   * nothing for a request that has one, unless `gzip_proxied` allows it.
   *
   * @default false
   */
  readonly via?: boolean | undefined
  /**
   * Name of a request header that tells the upstream the decision (`A` or `B`). A client's own is always removed.
   * `null`: no such header.
   *
   * @default null
   */
  readonly decisionHeader?: string | null | undefined
  /**
   * Headers of clients that are not sent on: `'identity'` for those by which gateways say who calls (`remote-user`,
   * `x-auth-request-*` …, as the documentation lists them), or a list of names, in which `'identity'` may stand and names
   * may end with `*`. `_` in a name is read as `-`. What `onRequestHeaders` sets is sent, and so is the `realIpHeader` of
   * a trusted peer.
   *
   * @default those of `'identity'` from untrusted peers, if it is said which peers are trusted; else none
   */
  readonly dropHeaders?: 'identity' | readonly string[] | undefined
  /**
   * Which paths are refused with ERR_CANARY_REQUEST: `plain`, those with dot segments under any server's reading;
   * `strict`, also those that servers read in several ways (`//`, `\\`, `;`, `%2f`, escaped letters …): for a canary
   * behind a gate on a sub-path.
   *
   * @default 'plain'
   */
  readonly path?: 'plain' | 'strict' | undefined
  /**
   * Carries requests instead of the forwarder on undici; `null`: the forwarder on undici.
   *
   * @default null
   */
  readonly forwarder?: Forwarder | null | undefined
  /**
   * Changes the headers of a request just before it is sent. It may be async: the request waits for it, for
   * `headersTimeoutMs` at most.
   *
   * @default null
   */
  readonly onRequestHeaders?: RequestHeadersHook | null | undefined
  /**
   * Changes the headers of a response just before its head goes out. It must not be async.
   *
   * @default null
   */
  readonly onResponseHeaders?: ResponseHeadersHook | null | undefined
}

/** The option `health`: active checks of B, beside the passive ones that always run. */
export interface HealthOptions {
  /** Required. The path of a GET to B that answers 2xx or 3xx while B is healthy; it begins with `/`. */
  readonly path: string
  /**
   * Time from check to check: milliseconds, 1 … 2 147 483 647.
   *
   * @default 5000
   */
  readonly intervalMs?: number | undefined
  /**
   * Time for a check's answer: milliseconds, 1 … 2 147 483 647. A later one is a bad answer.
   *
   * @default 2000
   */
  readonly timeoutMs?: number | undefined
  /**
   * Good answers in a row that bring B back, 1 … 1000.
   *
   * @default 2
   */
  readonly healthy?: number | undefined
  /**
   * Bad answers in a row that take B out, 1 … 1000.
   *
   * @default 3
   */
  readonly unhealthy?: number | undefined
}
