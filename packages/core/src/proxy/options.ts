import { z } from 'zod'
import type { Forwarder, RequestHeadersHook, ResponseHeadersHook } from './forwarder.js'
import { headerName, isReserved } from './header-names.js'
import { HEADER_NAME, functionSchema, headerNameSchema } from '../schema.js'
import { type NameTest, compileNames } from './identity-names.js'

export const RESERVED_ERROR = 'must be a header that has no other meaning, such as x-canary-upstream'
const milliseconds = z.number().int().min(1).max(2_147_483_647)

function isForwarder(value: unknown): value is Forwarder {
  if (typeof value !== 'object' || value === null || !('forward' in value && 'close' in value)) return false
  return typeof value.forward === 'function' && typeof value.close === 'function'
}

/** Which headers of clients are not passed on, compiled. */
export interface DroppedHeaders {
  /** The documented headers that say who calls. */
  readonly identity: boolean
  /** Others; `null`: none. */
  readonly drops: NameTest | null
}

const DROPPED = "must be 'identity' or a list of header names, which may end with *"
/** The gateway says these itself, by what the client says: without its word some messages would not be read aright. */
const ANSWERED_FOR = new Set(
  `connection content-encoding content-length host trailer transfer-encoding x-canary-via x-forwarded-for x-forwarded-host
x-forwarded-port x-forwarded-proto`.split(/\s+/),
)
const droppedName = z
  .string({ error: DROPPED })
  .regex(HEADER_NAME, { error: 'must be a header name' })
  .refine((name) => !ANSWERED_FOR.has(headerName(name).name), {
    error: 'must be a header that the gateway does not answer for',
  })
  .refine((name) => !/^\*|\*./.test(name), { error: 'must have its * at the end, behind the beginning of a name' })

const droppedSchema = z
  .union([z.literal('identity'), z.array(droppedName).readonly()], { error: DROPPED })
  .transform((given): DroppedHeaders => {
    const names = typeof given === 'string' ? [given] : given
    const others = names.filter((name) => name !== 'identity')
    return { identity: others.length < names.length, drops: others.length === 0 ? null : compileNames(others) }
  })

/** The checked form of `proxy` in a release's options. */
export const proxyOptionsSchema = z.strictObject({
  /** Milliseconds to establish a connection (DNS, TCP and TLS), or to wait in the queue for a free one. */
  connectTimeoutMs: milliseconds.default(5000),
  /** Milliseconds from the request sent to the head of the response. */
  headersTimeoutMs: milliseconds.default(30_000),
  /** Milliseconds without a byte of a body, either way. */
  bodyTimeoutMs: milliseconds.default(60_000),
  /**
   * Milliseconds after which a connection is ended between two requests, so that a change of DNS is followed under
   * traffic. It does not touch tunnels.
   */
  connectionMaxAgeMs: milliseconds.default(60_000),
  /** Connections per upstream. */
  connections: z.number().int().min(1).max(65_535).default(256),
  /** Requests that may wait for a connection; one more is answered ERR_CANARY_UPSTREAM_BUSY. */
  queue: z.number().int().min(0).max(1_000_000).default(1024),
  /** Tunnels (upgraded connections) per upstream; one more is answered ERR_CANARY_UPSTREAM_BUSY. */
  tunnels: z.number().int().min(1).max(1_000_000).default(10_000),
  /**
   * Milliseconds from the decision to the end of the response. Then a request whose response has not begun is answered
   * 504, and one whose response has is cut off. It does not end tunnels that are open.
   *
   * @default off
   */
  requestTimeoutMs: milliseconds.nullable().default(null),
  /**
   * Requests and tunnels at a time for each client network (an IPv4 address, or an IPv6 network of `ipv6Prefix` bits);
   * one more is answered ERR_CANARY_UPSTREAM_BUSY. Without `trustedIps`, everyone behind a load balancer is the load
   * balancer. Clients of a server on a Unix socket have no address, and are not counted.
   *
   * @default off
   */
  perNetwork: z.number().int().min(1).max(1_000_000).nullable().default(null),
  /** True sends the client's `Host` instead of the upstream's. */
  preserveHost: z.boolean().default(false),
  /**
   * True names this gateway to the upstream in `Via` (RFC 9110, 7.6.3), behind those of the client. nginx compresses
   * nothing for a request that has one, unless it is told to by `gzip_proxied`.
   */
  via: z.boolean().default(false),
  /** Name of a request header that tells the upstream the decision (`A` or `B`); a client's own is always removed. */
  decisionHeader: headerNameSchema
    .refine((name) => !isReserved(name), { error: RESERVED_ERROR })
    .toLowerCase()
    .nullable()
    .default(null),
  /**
   * Headers of clients that nobody's request is sent on with: `'identity'` for those by which gateways say who calls
   * (`remote-user`, `x-auth-request-*` …, as the README lists them), or a list of names, in which `'identity'` may stand
   * and names may end with `*`. `_` in a name is read as `-`. What `onRequestHeaders` sets is sent, and so is the
   * `realIpHeader` of a trusted peer.
   *
   * @default those of `'identity'` alone, and from untrusted peers alone, where it was said which peers are trusted
   */
  dropHeaders: droppedSchema.prefault([]),
  /**
   * Which paths are refused with ERR_CANARY_REQUEST: `plain`, those with dot segments under any server's reading;
   * `strict`, also those that servers read in several ways (`//`, `\\`, `;`, `%2f`, escaped letters …): for a canary
   * behind a gate on a sub-path.
   *
   * @default 'plain'
   */
  path: z.enum(['plain', 'strict']).default('plain'),
  /** Replaces the undici forwarder. */
  forwarder: z.custom<Forwarder>(isForwarder, { error: 'must be a Forwarder' }).nullable().default(null),
  /**
   * Changes the headers of a request just before it is sent. May be async: awaited for `headersTimeoutMs` at most.
   *
   * @default none
   */
  onRequestHeaders: functionSchema<RequestHeadersHook>().nullable().default(null),
  /**
   * Changes the headers of a response just before its head goes out; must not be async.
   *
   * @default none
   */
  onResponseHeaders: functionSchema<ResponseHeadersHook>().nullable().default(null),
})

export type ProxyOptions = z.input<typeof proxyOptionsSchema>
export type ResolvedProxyOptions = Readonly<z.output<typeof proxyOptionsSchema>>

/** The checked form of `health`: where it is not given, the circuit breaker counts connection failures alone. */
export const healthOptionsSchema = z.strictObject({
  /** Path asked for on B, with a GET; 2xx and 3xx are healthy. */
  path: z.string().regex(/^\/[\u0021-\u007e]*$/, { error: 'must be a path that begins with /' }),
  intervalMs: milliseconds.default(5000),
  timeoutMs: milliseconds.default(2000),
  /** Good answers in a row that close the circuit: B is asked again. */
  healthy: z.number().int().min(1).max(1000).default(2),
  /** Bad answers in a row that open the circuit: B is asked no more. */
  unhealthy: z.number().int().min(1).max(1000).default(3),
})

export type HealthOptions = z.input<typeof healthOptionsSchema>
/** `null`: passive only. */
export type ResolvedHealthOptions = Readonly<z.output<typeof healthOptionsSchema>> | null
