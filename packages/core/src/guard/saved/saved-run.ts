import { z } from 'zod'

/**
 * What a guard knows of a run, as plain JSON: what is saved is restored to the bit. Read from a store or a file, so it
 * is checked before it is used.
 */

const count = z.int().min(0)
const pair = z.strictObject({ A: count, B: count })
/** Counts by histogram bucket, those that are not 0: bucket, count, bucket, count, … */
const histogram = z.array(count).max(2 * 288)
const latencies = z.strictObject({ A: histogram, B: histogram })

const evidence = z.strictObject({
  blocks: count,
  ln: z.number(),
  products: z.array(z.number()),
  /** `null` stands for −∞, which JSON does not have. */
  restarts: z.array(z.number().nullable()),
})

const identities = z.strictObject({
  /** Whether these come on top of the ones in `filters`. */
  based: z.boolean(),
  hashes: z.array(
    z
      .int()
      .min(-(2 ** 53))
      .max(2 ** 53),
  ),
})

const openBlock = z.strictObject({
  bucketsOnB: count,
  steps: z.int().min(1),
  first: z.int(),
  decided: pair,
  failed: pair,
  ended: pair,
  latencies: latencies.nullable(),
})

const errors = z.strictObject({
  evidence,
  failuresOfB: count,
  excess: z.number(),
  matched: z.strictObject({ kA: z.number(), kB: z.number(), k: z.number(), expected: z.number() }),
  seen: identities,
})

const latency = z.strictObject({
  evidence,
  histogramOfA: histogram,
  sinceForgotten: latencies,
  forgotten: z.boolean(),
  epoch: z.int().min(1),
  epochEnds: z.int(),
  sampled: identities,
})

const reached = z.strictObject({ n: count, k: count, identities: count.nullable(), rate: z.number() })

const hardLimit = z.strictObject({
  /** Ticks since the one before, requests, failures; then identity, requests, failures for each that is told apart. */
  ticks: z.array(z.array(z.int())).max(600),
  reached: reached.nullable(),
})

const judge = z.strictObject({
  block: openBlock.nullable(),
  errors,
  latency: latency.nullable(),
  hardLimit: hardLimit.nullable(),
  identitiesOfB: identities,
  identities: count,
  expectedOfB: z.number(),
  first: z.int().nullable(),
  decided: pair,
  failed: pair,
  lately: z.strictObject({ decided: pair, failed: pair }),
  since: z.int().nullable(),
  tick: z.int(),
  lnHighest: z.number(),
})

const sight = z.strictObject({ lastOfA: z.int().nullable(), lastOfB: z.int().nullable() })

/** What the guard did about a run. */
const acts = z.strictObject({
  breached: z.boolean(),
  paused: z.enum(['evidence', 'breach']).nullable(),
  overruled: z.boolean(),
  reason: z.string().nullable(),
})

export const savedRunSchema = z.strictObject({ judge, sight, acts })

export type SavedIdentities = z.infer<typeof identities>
export type SavedEvidence = z.infer<typeof evidence>
export type SavedBlock = z.infer<typeof openBlock>
export type SavedErrors = z.infer<typeof errors>
export type SavedLatency = z.infer<typeof latency>
export type SavedHardLimit = z.infer<typeof hardLimit>
export type SavedJudge = z.infer<typeof judge>
export type SavedSight = z.infer<typeof sight>
export type SavedActs = z.infer<typeof acts>
export type SavedRun = z.infer<typeof savedRunSchema>
