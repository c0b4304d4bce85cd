import { z } from 'zod'
import type { Outcome } from '../decision/decision.js'
import { CanaryError } from '../errors.js'
import { between, functionSchema } from '../schema.js'
import type { GuardReport } from './report.js'

const integerBetween = (from: number, to: number) =>
  z
    .int({ error: `must be a whole number from ${from} to ${to}` })
    .min(from)
    .max(to)
const numberBetween = (from: number, to: number) => {
  const error = `must be between ${from} and ${to}`
  return between(z.number({ error }), from, to, error)
}

const errorsSchema = z.strictObject({
  /** How many times A's odds of failing B's may be. @default 1.25 */
  tolerate: numberBetween(1, 100).default(1.25),
  /** Failures of B below which nothing is concluded. @default 5 */
  minFailures: integerBetween(1, 1_000_000).default(5),
  /** What counts as a failure, instead of a 5xx, a connection error or a timeout. Not asked about clients that left; must not be async. */
  isFailure: functionSchema<(outcome: Outcome) => boolean>().nullable().default(null),
})

const VERSION = 'must be a string of 1 to 100 characters'
const QUANTILES = 'must be one to five different numbers from 0.5 to 0.999, ascending'
const latencySchema = z.strictObject({
  /** How many times A's latency B's may be; steps of 4.4 %. @default 1.19 */
  tolerate: numberBetween(1, 100).default(1.19),
  /** A's quantiles above which a request is slow. @default [0.5, 0.75, 0.9, 0.99] */
  quantiles: z
    .array(z.number().min(0.5).max(0.999), { error: QUANTILES })
    .min(1, { error: QUANTILES })
    .max(5, { error: QUANTILES })
    .refine((list) => list.every((q, i) => i === 0 || q > (list[i - 1] ?? 0)), { error: QUANTILES })
    .default([0.5, 0.75, 0.9, 0.99]),
  /** Milliseconds below which latencies do not differ. @default 5 */
  floorMs: numberBetween(0.5, 60_000).default(5),
})

const hardLimitSchema = z.strictObject({
  /** Above 0, at most 1. @default 0.5 */
  failureRate: z
    .number({ error: 'must be above 0 and at most 1' })
    .gt(0, { error: 'must be above 0 and at most 1' })
    .max(1, { error: 'must be above 0 and at most 1' })
    .default(0.5),
  /** How many of B's last requests are looked at. @default 50 */
  over: integerBetween(1, 1_000_000).default(50),
})

/** The checked form of a guard's options, with its defaults. */
export const guardOptionsSchema = z.strictObject({
  /** The probability of ever rolling back a B that is no worse than tolerated. @default 0.01 */
  alpha: z
    .number({ error: 'must be above 0 and at most 0.5' })
    .gt(0, { error: 'must be above 0 and at most 0.5' })
    .max(0.5, { error: 'must be above 0 and at most 0.5' })
    .default(0.01),
  /** Evidence at which a ramp pauses until it falls below again or a person decides. @default 10 */
  pauseEvidence: numberBetween(1, 1e12).default(10),
  /** @default 'rollback' */
  onBreach: z
    .union([z.literal('rollback'), z.literal('pause'), functionSchema<(report: GuardReport) => void>()], {
      error: 'must be rollback, pause or a function',
    })
    .default('rollback'),
  /** True keeps a ramp from advancing before B has had the requests that it takes to judge it. @default false */
  hold: z.boolean({ error: 'must be true or false' }).default(false),
  /** What is independent of each other. @default `identity` where the hash is sticky, else `request` */
  unit: z.enum(['request', 'identity'], { error: 'must be request or identity' }).nullable().default(null),
  errors: errorsSchema.prefault({}),
  /** False: only failures are judged. */
  latency: z
    .union([z.literal(false), latencySchema], { error: 'must be false or { tolerate, quantiles, floorMs }' })
    .prefault({}),
  /** Milliseconds from look to look. @default 1000 */
  tickMs: integerBetween(50, 60_000).default(1000),
  /** How many processes judge the same release apart from each other: each needs that many times the evidence. @default 1 */
  judges: integerBetween(1, 1_000_000).default(1),
  /**
   * Stands for the functions among these options where processes share a store: the same string in all that count
   * alike, another one where `errors.isFailure` changes. Required there with `errors.isFailure`; without effect elsewhere.
   * 1 to 100 characters.
   */
  version: z
    .string({ error: VERSION })
    .min(1, { error: VERSION })
    .max(100, { error: VERSION })
    .nullable()
    .default(null),
  /** Without a guarantee: for when A fails together with B. False: none. */
  hardLimit: z
    .union([z.literal(false), hardLimitSchema], { error: 'must be false or { failureRate, over }' })
    .prefault({}),
})

/** The options of a guard. */
export type GuardOptions = z.input<typeof guardOptionsSchema>

type CheckedGuardOptions = Readonly<z.output<typeof guardOptionsSchema>>

/** The options of a guard, complete. */
export interface ResolvedGuardOptions extends Omit<CheckedGuardOptions, 'unit'> {
  readonly unit: 'request' | 'identity'
  /** Whether the release's hash keeps an identity on one side. */
  readonly sticky: boolean
  /** Whether its hash chooses the callers of B by their groups, so that no chance has made the arms alike. */
  readonly chosen: boolean
  /** The evidence at which it acts: judges / alpha. */
  readonly needed: number
}

/**
 * Checks a guard's options and completes them; `true` stands for the defaults. `sticky` says whether the release's
 * hash keeps an identity on one side, `chosen` whether it does so by groups.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function resolveGuardOptions(input: true | GuardOptions, sticky: boolean, chosen = false): ResolvedGuardOptions {
  const checked = guardOptionsSchema.safeParse(input === true ? {} : input)
  if (!checked.success) {
    const [issue] = checked.error.issues
    const name = ['guard', ...(issue?.path ?? [])].join('.')
    throw new CanaryError('ERR_CANARY_OPTION', `${name} ${issue?.message ?? 'must be valid'}`)
  }
  const { unit, alpha, judges } = checked.data
  return { ...checked.data, unit: unit ?? (sticky ? 'identity' : 'request'), sticky, chosen, needed: judges / alpha }
}
