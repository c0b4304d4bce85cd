import { z } from 'zod'

/** The name of a header (RFC 9110, 5.6.2), or of a cookie. */
export const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/

export const headerNameSchema = z.string().regex(HEADER_NAME, { error: 'must be a header name' })

/**
 * Text that stands in a log line as it is: without control characters, line separators and the marks that turn the
 * direction of what follows.
 */
// eslint-disable-next-line no-misleading-character-class
export const ONE_LINE = /^[^\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]*$/u

/** A function. What it takes and returns cannot be checked: the type says it. */
export function functionSchema<T>(error = 'must be a function'): z.ZodType<T, T> {
  return z.custom<T>((value) => typeof value === 'function', { error })
}

/** A number from `least` to `most`, both included. */
export function between<Schema extends z.ZodNumber>(schema: Schema, least: number, most: number, error: string) {
  return schema.min(least, { error }).max(most, { error })
}
