import { z } from 'zod'
import { MAX_STEPS } from '../decision/bucket.js'
import type { Hash } from '../decision/plan.js'
import { type GuardOptions, guardOptionsSchema } from '../guard/index.js'
import { isReserved } from '../proxy/header-names.js'
import { RESERVED_ERROR, healthOptionsSchema, proxyOptionsSchema } from '../proxy/options.js'
import { epochSecondsOf, secondsOf } from './duration.js'
import type { Logger } from '../logger.js'
import { HEADER_NAME, ONE_LINE, functionSchema, headerNameSchema } from '../schema.js'
import { parseBranch } from '../option-error.js'
import { RELEASE_STATES } from '../release-state.js'
import type { ReleaseStatus } from './status.js'
import type { CheckedUpstream } from './upstream-options.js'

const cookieNameSchema = z.string().regex(HEADER_NAME, { error: 'must be a cookie name' })
const VISIBLE = 'must hold no control characters'
const GROUPS = 'must be a list of one group or more'
const groupNames = z
  .array(z.string({ error: 'must be a text' }).min(1).regex(ONE_LINE, { error: VISIBLE }), { error: GROUPS })
  .min(1, { error: GROUPS })

const SECRETS = 'must be a list of one secret or more, each of at least 16 characters'
const secretTexts = z
  .array(z.string({ error: SECRETS }).min(16, { error: SECRETS }), { error: SECRETS })
  .min(1, { error: SECRETS })
const HASH = 'must be consumer, ip, none, { header }, { cookie }, { allow: groups } or { deny: groups }'
const hashBranches = {
  header: z.strictObject({ header: headerNameSchema }),
  cookie: z.strictObject({ cookie: cookieNameSchema, secrets: secretTexts.optional() }),
  allow: z.strictObject({ allow: groupNames }),
  deny: z.strictObject({ deny: groupNames }),
}
const hashSchema = z.unknown().transform((value, context): Hash => parseBranch(value, context, hashBranch(value)))

function hashBranch(value: unknown): z.ZodType<Hash> {
  if (isPlain(value) && 'cookie' in value && 'secrets' in value) return hashBranches.cookie
  if (isPlain(value) && Object.keys(value).length === 1) {
    if ('header' in value) return hashBranches.header
    if ('cookie' in value) return hashBranches.cookie
    if ('allow' in value) return hashBranches.allow
    if ('deny' in value) return hashBranches.deny
  }
  return z.enum(['consumer', 'ip', 'none'], { error: HASH })
}

const tlsSchema = z.strictObject({
  ca: z.any().optional(),
  cert: z.any().optional(),
  key: z.any().optional(),
  passphrase: z.string().optional(),
  pfx: z.any().optional(),
  servername: z.string().optional(),
  rejectUnauthorized: z.boolean().optional(),
})
const handlerSchema = functionSchema<(...args: never[]) => unknown>('must be a URL, { url } or a handler')
const urlSchema = z.union([z.string(), z.instanceof(URL)], { error: 'must be an http: or https: URL' })
const locationSchema = z.strictObject({
  url: urlSchema,
  socketPath: z.string().min(1).optional(),
  tls: tlsSchema.optional(),
})
const partsSchema = z.strictObject({
  host: z
    .string({ error: 'must be a host name or an address' })
    .min(1, { error: 'must be a host name or an address' })
    .optional(),
  port: z
    .number({ error: 'must be a port from 1 to 65535' })
    .int({ error: 'must be a port from 1 to 65535' })
    .min(1, { error: 'must be a port from 1 to 65535' })
    .max(65_535, { error: 'must be a port from 1 to 65535' })
    .optional(),
  uri: z.string({ error: 'must be a path that begins with /' }).optional(),
})
const isPlain = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !(value instanceof URL)
const urlOrHandler = z.union([z.string(), z.instanceof(URL), handlerSchema], {
  error: 'must be a URL, { url } or a handler',
})
const upstreamA = z.unknown().transform((value, context) => parseBranch(value, context, branchOfA(value)))
const upstreamB = z.unknown().transform((value, context) => parseBranch(value, context, branchOfB(value)))

function branchOfA(value: unknown): z.ZodType<CheckedUpstream> {
  return isPlain(value) ? locationSchema : urlOrHandler
}

function branchOfB(value: unknown): z.ZodType<CheckedUpstream> {
  const isParts = isPlain(value) && !('url' in value || 'socketPath' in value || 'tls' in value)
  return isParts ? partsSchema : branchOfA(value)
}

function guardBranch(value: unknown): z.ZodType<boolean | GuardOptions> {
  return isPlain(value) ? guardOptionsSchema : z.boolean({ error: 'must be true, false or the options of a guard' })
}

export const guardSchema = z
  .unknown()
  .transform((value, context) => parseBranch(value, context, guardBranch(value)))
  .prefault(false)
export const loggerSchema = z.custom<Logger>((value) => hasFunctions(value, ['info', 'warn', 'error']), {
  error: 'must have the functions info, warn and error',
})

/** Whether something has the methods of an interface that a program may implement. */
export function hasFunctions(value: unknown, names: readonly string[]): boolean {
  return isPlain(value) && names.every((name) => typeof Reflect.get(value, name) === 'function')
}

const PERCENTAGE = 'must be between 0 and 100'
const STEPS = 'must be a whole number from 1 to 4294967296'
const START = 'must be a Date, an ISO date or epoch seconds'
const DURATION = "must be a number of seconds above 0, or a text such as '90m'"
const NAME = 'must be a text of 1 to 200 characters'

const mountShape = {
  mode: z.enum(['forward', 'rewrite']).default('forward'),
  consumer: functionSchema<(request: never) => unknown>().nullable().default(null),
  groups: functionSchema<(request: never) => unknown>().nullable().default(null),
  trustedIps: z
    .array(z.string({ error: 'must be an address, a CIDR or the name of a range' }))
    .nullable()
    .default(null),
  realIpHeader: headerNameSchema.toLowerCase().default('x-forwarded-for'),
  ipv6Prefix: z.number().int().min(1).max(128).default(64),
  health: healthOptionsSchema.nullable().default(null),
  exposeHeader: headerNameSchema
    .refine((name) => !isReserved(name), { error: RESERVED_ERROR })
    .nullable()
    .default(null),
  proxy: proxyOptionsSchema.prefault({}),
  logger: loggerSchema.default(() => console),
  onError: functionSchema<(error: unknown) => void>().nullable().default(null),
}

export const mountOptionsSchema = z.strictObject(mountShape)
export type ResolvedMountOptions = Readonly<z.output<typeof mountOptionsSchema>>

/** What else a `status()` says: taken back, but not looked at. */
const statusShape = {
  name: z.unknown().optional(),
  percentage: z.unknown().optional(),
  bucketsOnB: z.unknown().optional(),
  steps: z.unknown().optional(),
  start: z.unknown().optional(),
  duration: z.unknown().optional(),
  endsAt: z.unknown().optional(),
  counts: z.unknown().optional(),
} satisfies Partial<Record<keyof ReleaseStatus, z.ZodType>>
const secondsOrNull = z.number().nullable()

export const releaseOptionsSchema = z.strictObject({
  ...mountShape,
  name: z.string({ error: NAME }).min(1, { error: NAME }).max(200, { error: NAME }).regex(ONE_LINE, { error: VISIBLE }),
  salt: z.string().nullable().default(null),
  upstreams: z.strictObject({ A: upstreamA, B: upstreamB }),
  percentage: z
    .number({ error: PERCENTAGE })
    .min(0, { error: PERCENTAGE })
    .max(100, { error: PERCENTAGE })
    .nullable()
    .default(null),
  start: z
    .union([z.date(), z.string(), z.number()], { error: START })
    .transform(epochSecondsOf)
    .refine(Number.isFinite, { error: START, abort: true })
    .refine((seconds) => Math.abs(seconds) <= 1e11, { error: 'must be epoch seconds (are these milliseconds?)' })
    .nullable()
    .default(null),
  duration: z
    .union([z.string(), z.number()], { error: DURATION })
    .transform(secondsOf)
    .refine((seconds) => seconds >= 0.001 && seconds <= 1e10, { error: DURATION })
    .nullable()
    .default(null),
  steps: z
    .number({ error: STEPS })
    .int({ error: STEPS })
    .min(1, { error: STEPS })
    .max(MAX_STEPS, { error: STEPS })
    .default(1000),
  hash: hashSchema.prefault('consumer'),
  override: z.strictObject({ header: headerNameSchema.optional(), cookie: cookieNameSchema.optional() }).default({}),
  upstreamFallback: z.boolean().default(false),
  guard: guardSchema,
  enabled: z.boolean().default(true),
  state: z
    .strictObject({
      ...statusShape,
      state: z.enum(RELEASE_STATES).default('running'),
      reason: z.string().nullable().default(null),
      by: z.string().nullable().default(null),
      at: secondsOrNull.default(null),
      elapsed: secondsOrNull.default(null),
    })
    .nullable()
    .default(null),
  clock: functionSchema<() => number>().default(() => Date.now),
  random: functionSchema<() => number>().default(() => Math.random),
})

/** Of a release that has its upstreams at its places alone. */
export const placedOptionsSchema = releaseOptionsSchema
  .omit({ upstreams: true })
  .extend({ gate: z.int().min(1).optional() })

export type CheckedOptions = Readonly<z.output<typeof releaseOptionsSchema>>
