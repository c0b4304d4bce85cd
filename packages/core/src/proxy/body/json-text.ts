import { Inexact } from './inexact.js'

/**
 * What a JSON parser left, as JSON again.
 *
 * @throws {Inexact} where it does not say what came, or may not; what Node says of cycles and of too deep a nesting
 */
export function jsonText(parsed: unknown): string {
  // Cycles end here.
  const text = JSON.stringify(parsed) ?? refuse('it is no JSON any more')
  checkValue(parsed)
  return text
}

function checkValue(value: unknown): void {
  if (typeof value === 'number') checkNumber(value)
  else if (Array.isArray(value)) for (const item of value) checkValue(item)
  else if (typeof value === 'object' && value !== null) checkObject(value)
  else if (typeof value !== 'string' && typeof value !== 'boolean' && value !== null) refuse(NO_JSON)
}

const NO_JSON = 'it has values that are no JSON'

function checkNumber(value: number): void {
  if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
    refuse('it has a number that JavaScript cannot hold')
}

function checkObject(value: object): void {
  const prototype = Reflect.getPrototypeOf(value)
  // Those of another realm have an Object of their own. What has a `toJSON` says something else.
  const isPlain = prototype === null || Reflect.getPrototypeOf(prototype) === null
  if (!isPlain || ('toJSON' in value && typeof value.toJSON === 'function')) refuse(NO_JSON)
  // What is undefined is a field that a middleware took away.
  for (const field of Object.values(value)) if (field !== undefined) checkValue(field)
}

/** An object with a field takes six characters: `{"":0}`. */
const SHORTEST_FIELD = 6

/**
 * Whether an object without fields may be what a parser makes of nothing, or of what it dropped. `length` in bytes,
 * `null` where it is not known.
 */
export function mayBeNothing(parsed: unknown, length: number | null): boolean {
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return false
  return Object.keys(parsed).length === 0 && (length === null || length >= SHORTEST_FIELD)
}

function refuse(reason: string): never {
  throw new Inexact(reason)
}
