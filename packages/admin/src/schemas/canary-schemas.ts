import { RELEASE_STATES } from '@canary-release/core/registry/internal'
import { z } from 'zod'

const count = z.int().min(0)
const share = z.strictObject({ requests: count, failures: count })
const seconds = z.number().nullable()
const scope = z.strictObject({ id: z.string() }).nullable()

/** A canary as `/canaries` shows it: the plugin's scope, and its release at this instant. Times in seconds. */
export const canarySchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  enabled: z.boolean(),
  service: scope,
  route: scope,
  consumer: scope,
  api: scope,
  /** `disabled` where the plugin is, unless it was paused, rolled back or promoted: that outlasts it. */
  state: z.enum(RELEASE_STATES),
  percentage: z.number().min(0).max(100).nullable(),
  bucketsOnB: count,
  steps: count,
  start: seconds,
  duration: seconds,
  endsAt: seconds,
  /** Of this process. */
  counts: z.strictObject({ A: share, B: share, fallback: count }),
  /**
   * Of all processes, in the present run of the guard; null where each process judges alone, or nothing is known yet.
   * `late`: requests that came too late to be judged. `members`: who counts, as `/members` names them.
   */
  fleet: z
    .strictObject({
      counts: z.strictObject({ A: share, B: share }),
      late: count,
      members: z.array(z.string()),
    })
    .nullable(),
  reason: z.string().nullable(),
  by: z.string().nullable(),
  at: seconds,
  elapsed: seconds,
})

export type CanaryView = z.output<typeof canarySchema>

const decisionSchema = z.strictObject({
  upstream: z.enum(['A', 'B']),
  reason: z.enum(['disabled', 'rolled-back', 'promoted', 'override', 'group', 'bucket', 'fallback', 'no-release']),
  hashedBy: z.enum(['consumer', 'ip', 'header', 'cookie', 'none']).nullable(),
  bucket: count.nullable(),
  bucketsOnB: count,
  steps: count,
  release: z.string(),
  origin: z.string().nullable(),
  setCookie: z.string().optional(),
})

export const explanationSchema = z.strictObject({
  decision: decisionSchema,
  rules: z.array(z.strictObject({ rule: z.string(), applies: z.boolean(), why: z.string() })),
  identity: z.string().nullable(),
  goesToB: z.strictObject({ percentage: z.number(), date: z.string().nullable() }).nullable(),
})

const arm = z.strictObject({ n: count, k: count })

/** What the guard of a canary knows; `guard` is null where nothing guards it. */
export const guardSchema = z.strictObject({
  guard: z
    .strictObject({
      verdict: z.enum(['ok', 'paused', 'breach', 'blind']),
      evidence: z.strictObject({ errors: z.number(), latency: z.number().nullable(), combined: z.number() }),
      needed: z.number(),
      pValue: z.number(),
      a: arm,
      b: arm,
      oddsRatio: z.number().nullable(),
      unit: z.enum(['request', 'identity']),
      reason: z.string().nullable(),
      lastFailure: z.string().nullable(),
      hold: z.strictObject({ needed: z.number(), had: z.number(), seconds: z.number().nullable() }).nullable(),
    })
    .nullable(),
})

const TEXT = /^[^\p{Cc}]*$/u

const reason = z
  .string({ error: 'expected a string' })
  .max(1000, { error: 'length must be at most 1000' })
  .regex(TEXT, { error: 'expected one line of text' })
  .nullish()

/** The body of a move. */
export const moveSchema = z.strictObject({ reason })

/** The body of a restart: the share that it begins again with, as `config` says it. */
export const restartSchema = z.strictObject({
  reason,
  percentage: z.number({ error: 'expected a number' }).nullish(),
  /** Epoch seconds. */
  start: z.number({ error: 'expected a number' }).nullish(),
  /** Seconds. */
  duration: z.number({ error: 'expected a number' }).nullish(),
})

export const auditSchema = z.strictObject({
  data: z.array(
    z.strictObject({
      version: count,
      id: z.string(),
      at: z.number(),
      by: z.string(),
      what: z.string(),
      changes: z.array(
        z.strictObject({
          kind: z.string(),
          id: z.string(),
          before: z.looseObject({}).nullable(),
          after: z.looseObject({}).nullable(),
        }),
      ),
      more: count,
    }),
  ),
  /** The page of the entries before these. */
  next: z.string().nullable(),
})

/** The processes that have the store open. Times in seconds. */
export const membersSchema = z.strictObject({
  data: z.array(
    z.strictObject({
      id: z.string(),
      /** Whether it is the one that answers. */
      self: z.boolean(),
      host: z.string(),
      pid: count,
      version: z.string(),
      /** Since the store heard of it. */
      age: z.number().min(0),
      /** When the store last took what it had counted; null before the first time. */
      tickedAt: seconds,
      /** Releases of which nothing counts that it counts: the store refused it. */
      refused: count,
      /** Releases that it enters again, as it was too late. */
      expired: count,
    }),
  ),
  next: z.null(),
})

export const informationSchema = z.strictObject({
  tagline: z.string(),
  /** Of the Kong that answers like this. */
  version: z.string(),
  edition: z.literal('community'),
  configuration: z.strictObject({ database: z.string(), plugins: z.array(z.string()) }),
  canary_release: z.strictObject({ version: z.string() }),
  plugins: z.strictObject({
    available_on_server: z.strictObject({ canary: z.literal(true) }),
    enabled_in_cluster: z.array(z.string()),
  }),
  registry: z.strictObject({ version: count }),
})
