import { z } from 'zod'
import { MAX_STEPS } from '../../decision/bucket.js'
import { HEADER_NAME } from '../../schema.js'
import {
  flag,
  integer,
  label,
  listOf,
  number,
  oneOf,
  orDefault,
  orNull,
  path,
  says,
  text,
  valueBetween,
} from './fields.js'
import type { CanaryConfig } from './records.js'

const HASHES = ['consumer', 'ip', 'none', 'header', 'allow', 'deny'] as const

/** `config` of a canary plugin, as Kong names it. Every field is there once it is stored. */
const canaryConfigShape = {
  /** Epoch seconds; fixed when the record is created, where there is no percentage. */
  start: orNull(
    number.refine((seconds) => Math.abs(seconds) <= 1e11, {
      error: 'expected epoch seconds (are these milliseconds?)',
    }),
  ),
  /** Seconds. */
  duration: orDefault(
    number.refine((seconds) => seconds >= 0.001 && seconds <= 1e10, { error: 'value must be greater than 0' }),
    3600,
  ),
  /** Wins over start and duration. */
  percentage: orNull(valueBetween(number, 0, 100)),
  steps: orDefault(valueBetween(integer, 1, MAX_STEPS), 1000),
  upstream_host: orNull(text),
  upstream_port: orNull(
    valueBetween(integer, 0, 65_535).refine((port) => port !== 0, { error: 'port 0 cannot be connected to' }),
  ),
  upstream_uri: orNull(path),
  /** The older names `whitelist` and `blacklist` are read as `allow` and `deny`. */
  hash: orDefault(oneOf(HASHES), 'consumer'),
  hash_header: orNull(text.regex(HEADER_NAME, { error: 'expected a header name' })),
  groups: orNull(listOf(label)),
  upstream_fallback: orDefault(flag, false),
  canary_by_header_name: orNull(text.regex(HEADER_NAME, { error: 'expected a header name' })),
} satisfies { readonly [Name in keyof CanaryConfig]: z.ZodType<CanaryConfig[Name]> }

export const canaryConfigSchema = z.strictObject(canaryConfigShape, says('expected a record'))
