import { z } from 'zod'
import type { Outcome } from '../decision/decision.js'
import { CanaryError } from '../errors.js'
import type { Fields } from '../option-error.js'
import type { GuardErrorOptions, GuardHardLimitOptions, GuardLatencyOptions, GuardOptions } from './guard-options.js'
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
  tolerate: numberBetween(1, 100).default(1.25),
  minFailures: integerBetween(1, 1_000_000).default(5),
  isFailure: functionSchema<(outcome: Outcome) => boolean>().nullable().default(null),
} satisfies Fields<GuardErrorOptions>)

const VERSION = 'must be a string of 1 to 100 characters'
const QUANTILES = 'must be one to five different numbers from 0.5 to 0.999, ascending'
const latencySchema = z.strictObject({
  tolerate: numberBetween(1, 100).default(1.19),
  quantiles: z
    .array(z.number().min(0.5).max(0.999), { error: QUANTILES })
    .min(1, { error: QUANTILES })
    .max(5, { error: QUANTILES })
    .refine((list) => list.every((q, i) => i === 0 || q > (list[i - 1] ?? 0)), { error: QUANTILES })
    .readonly()
    .default([0.5, 0.75, 0.9, 0.99]),
  floorMs: numberBetween(0.5, 60_000).default(5),
} satisfies Fields<GuardLatencyOptions>)

const hardLimitSchema = z.strictObject({
  failureRate: z
    .number({ error: 'must be above 0 and at most 1' })
    .gt(0, { error: 'must be above 0 and at most 1' })
    .max(1, { error: 'must be above 0 and at most 1' })
    .default(0.5),
  over: integerBetween(1, 1_000_000).default(50),
} satisfies Fields<GuardHardLimitOptions>)

/** The checked form of a guard's options, with its defaults. */
export const guardOptionsSchema = z.strictObject({
  alpha: z
    .number({ error: 'must be above 0 and at most 0.5' })
    .gt(0, { error: 'must be above 0 and at most 0.5' })
    .max(0.5, { error: 'must be above 0 and at most 0.5' })
    .default(0.01),
  pauseEvidence: numberBetween(1, 1e12).default(10),
  onBreach: z
    .union([z.literal('rollback'), z.literal('pause'), functionSchema<(report: GuardReport) => void>()], {
      error: 'must be rollback, pause or a function',
    })
    .default('rollback'),
  hold: z.boolean({ error: 'must be true or false' }).default(false),
  unit: z.enum(['request', 'identity'], { error: 'must be request or identity' }).nullable().default(null),
  errors: errorsSchema.prefault({}),
  latency: z
    .union([z.literal(false), latencySchema], { error: 'must be false or { tolerate, quantiles, floorMs }' })
    .prefault({}),
  tickMs: integerBetween(50, 60_000).default(1000),
  judges: integerBetween(1, 1_000_000).default(1),
  version: z
    .string({ error: VERSION })
    .min(1, { error: VERSION })
    .max(100, { error: VERSION })
    .nullable()
    .default(null),
  hardLimit: z
    .union([z.literal(false), hardLimitSchema], { error: 'must be false or { failureRate, over }' })
    .prefault({}),
} satisfies Fields<GuardOptions>)

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
