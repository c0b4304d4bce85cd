import { z } from 'zod'
import type { Forwarder, RequestHeadersHook, ResponseHeadersHook } from './forwarder.js'
import { headerName, isReserved } from './header-names.js'
import { HEADER_NAME, functionSchema, headerNameSchema } from '../schema.js'
import { type NameTest, compileNames } from './identity-names.js'
import type { Fields } from '../option-error.js'
import type { HealthOptions, ProxyOptions } from './proxy-options.js'

export type { HealthOptions, ProxyOptions } from './proxy-options.js'

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

/** The checked form of {@link ProxyOptions}. */
export const proxyOptionsSchema = z.strictObject({
  connectTimeoutMs: milliseconds.default(5000),
  headersTimeoutMs: milliseconds.default(30_000),
  bodyTimeoutMs: milliseconds.default(60_000),
  connectionMaxAgeMs: milliseconds.default(60_000),
  connections: z.number().int().min(1).max(65_535).default(256),
  queue: z.number().int().min(0).max(1_000_000).default(1024),
  tunnels: z.number().int().min(1).max(1_000_000).default(10_000),
  requestTimeoutMs: milliseconds.nullable().default(null),
  perNetwork: z.number().int().min(1).max(1_000_000).nullable().default(null),
  preserveHost: z.boolean().default(false),
  via: z.boolean().default(false),
  decisionHeader: headerNameSchema
    .refine((name) => !isReserved(name), { error: RESERVED_ERROR })
    .toLowerCase()
    .nullable()
    .default(null),
  dropHeaders: droppedSchema.prefault([]),
  path: z.enum(['plain', 'strict']).default('plain'),
  forwarder: z.custom<Forwarder>(isForwarder, { error: 'must be a Forwarder' }).nullable().default(null),
  onRequestHeaders: functionSchema<RequestHeadersHook>().nullable().default(null),
  onResponseHeaders: functionSchema<ResponseHeadersHook>().nullable().default(null),
} satisfies Fields<ProxyOptions>)

export type ResolvedProxyOptions = Readonly<z.output<typeof proxyOptionsSchema>>

/** The checked form of {@link HealthOptions}: if it is not given, the circuit breaker counts connection failures alone. */
export const healthOptionsSchema = z.strictObject({
  path: z.string().regex(/^\/[\u0021-\u007e]*$/, { error: 'must be a path that begins with /' }),
  intervalMs: milliseconds.default(5000),
  timeoutMs: milliseconds.default(2000),
  healthy: z.number().int().min(1).max(1000).default(2),
  unhealthy: z.number().int().min(1).max(1000).default(3),
} satisfies Fields<HealthOptions>)

/** `null`: passive only. */
export type ResolvedHealthOptions = Readonly<z.output<typeof healthOptionsSchema>> | null
