import { z } from 'zod'
import { ONE_LINE, between } from '../../schema.js'

/** Kong's texts: a field that is missing (or null) says so, any other value is told what was expected. */
export function says(expectation: string) {
  return {
    error: (issue: { readonly input?: unknown }) =>
      issue.input === undefined || issue.input === null ? 'required field missing' : expectation,
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export function isUuid(value: string): boolean {
  return UUID.test(value)
}

const MAX_TEXT = 4096
export const text = z
  .string(says('expected a string'))
  .min(1, { error: 'length must be at least 1' })
  .max(MAX_TEXT, { error: `length must be at most ${MAX_TEXT}` })
/** A name of something, of any length. */
export const label = text.regex(ONE_LINE, { error: 'must hold no control characters' })
export const name = label.max(200, { error: 'length must be at most 200' })
export const flag = z.boolean(says('expected a boolean'))
export const number = z.number(says('expected a number'))
export const integer = z.int(says('expected an integer'))
export const uuid = text.regex(UUID, { error: 'expected a valid UUID' }).toLowerCase()
export const path = text.startsWith('/', { error: 'should start with: /' })

/** Kong's text for a number out of its range. */
export function valueBetween<Schema extends z.ZodNumber>(schema: Schema, least: number, most: number) {
  return between(schema, least, most, `value should be between ${least} and ${most}`)
}

export function oneOf<const Values extends readonly string[]>(values: Values) {
  return z.enum(values, says(`expected one of: ${values.join(', ')}`))
}

/** How many elements a list may have. */
export const MAX_LIST = 1000

export function listOf<Schema extends z.ZodType>(schema: Schema) {
  return z.array(schema, says('expected an array')).max(MAX_LIST, { error: `length must be at most ${MAX_LIST}` })
}

/** May be missing: null then. */
export function orNull<Schema extends z.ZodType>(schema: Schema) {
  return schema.nullable().default(null)
}

/** May be missing or null: the default then. */
export function orDefault<Schema extends z.ZodType>(schema: Schema, value: NoInfer<z.output<Schema>>) {
  return schema.nullish().transform((given) => given ?? value)
}

export const ref = z.strictObject({ id: uuid }, says('expected a record'))
export const tags = orNull(listOf(label))
export const seconds = integer
