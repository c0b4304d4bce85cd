import { z } from 'zod'
import { CanaryError } from './errors.js'

type Path = readonly PropertyKey[]

/** Schemas of options, one for each and no other: a schema and its documented interface cannot drift apart. */
export type Fields<Options> = { readonly [Name in keyof Options]-?: z.ZodType<unknown, Options[Name]> }

/** The error of one bad option: the option, what was expected, what was given. */
export function optionError(path: string, expectation: string, given: unknown): CanaryError {
  return new CanaryError('ERR_CANARY_OPTION', `${path} ${expectation}, got ${show(path, given)}`)
}

/**
 * Parses with a schema.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION that names the first bad option; `prefix` goes before its path
 */
export function parseOptions<Schema extends z.ZodType>(schema: Schema, input: unknown, prefix = ''): z.output<Schema> {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  throw describe(schema, input, worst(result.error), prefix)
}

/** For a transform: goes on with the one branch that was meant, so that a wrong value gets its message and no other's. */
export function parseBranch<Output>(value: unknown, context: z.RefinementCtx, schema: z.ZodType<Output>): Output {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = worst(result.error)
  const [key = ''] = issue.code === 'unrecognized_keys' ? issue.keys : []
  const message = key === '' ? expectationOf(issue) : unknownOption(key, knownNames(schema, issue.path))
  context.addIssue({ code: 'custom', path: key === '' ? [...issue.path] : [...issue.path, key], message })
  return z.NEVER
}

/** A misspelt name, else the first issue: it may be what the others come from. */
function worst(error: z.ZodError): z.core.$ZodIssue {
  const issue = error.issues.find(({ code }) => code === 'unrecognized_keys') ?? error.issues[0]
  if (issue === undefined) throw error
  return issue
}

const NO_OPTION = 'is not an option'

function unknownOption(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known)
  return nearest === null ? `${NO_OPTION}: known are ${known.join(', ')}` : `${NO_OPTION}: did you mean ${nearest}?`
}

function describe(schema: z.ZodType, input: unknown, issue: z.core.$ZodIssue, prefix: string): CanaryError {
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys
    const unknown = unknownOption(key, knownNames(schema, issue.path))
    return new CanaryError('ERR_CANARY_OPTION', `${join(prefix, [...issue.path, key])} ${unknown}`)
  }
  const name = join(prefix, issue.path)
  if (issue.message.startsWith(NO_OPTION)) return new CanaryError('ERR_CANARY_OPTION', `${name} ${issue.message}`)
  return optionError(name || 'options', expectationOf(issue), valueAt(input, issue.path))
}

function expectationOf(issue: z.core.$ZodIssue): string {
  // "10" is between 0 and 100, and yet no number.
  if (isNoNumber(issue)) return issue.message.replace(/^must be (?=between |above )/, 'must be a number ')
  if (/^(?:must |is not )/.test(issue.message)) return issue.message
  if (issue.code === 'invalid_type') return `must be ${article(issue.expected)}`
  if (issue.code === 'too_small' && issue.origin === 'string') return 'must not be empty'
  if (issue.code === 'too_small') return `must be at least ${issue.minimum}`
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}`
  if (issue.code === 'invalid_value') {
    return `must be one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`
  }
  return `must be valid (${issue.message})`
}

/** NaN is one to JavaScript, and its message says in what it is wrong. */
function isNoNumber(issue: z.core.$ZodIssue): boolean {
  if (issue.code !== 'invalid_type' || 'received' in issue) return false
  return /^must be (?:between |above )/.test(issue.message) && (issue.expected === 'number' || issue.expected === 'int')
}

function article(type: string): string {
  if (type === 'int') return 'a whole number'
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`
}

function join(prefix: string, path: Path): string {
  return [...(prefix === '' ? [] : [prefix]), ...path.map((key) => shorten(String(key)))].join('.')
}

function valueAt(input: unknown, path: Path): unknown {
  let value = input
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = Reflect.get(value, key)
  }
  return value
}

/** The names that the object at `path` of a schema knows. */
function knownNames(schema: z.ZodType, path: Path): string[] {
  let at: unknown = schema
  for (const key of path) at = Reflect.get(shapeOf(at), key)
  return Object.keys(shapeOf(at))
}

function shapeOf(schema: unknown): object {
  let at: unknown = schema
  for (let depth = 0; depth < 8 && typeof at === 'object' && at !== null; depth += 1) {
    if ('shape' in at && typeof at.shape === 'object' && at.shape !== null) return at.shape
    if (!('unwrap' in at && typeof at.unwrap === 'function')) break
    at = at.unwrap()
  }
  return {}
}

/** The known name that is nearest to a misspelt one, where one is near. */
function nearestName(name: string, known: readonly string[]): string | null {
  const wanted = name.slice(0, 64).toLowerCase()
  let best: string | null = null
  // At most a third of the name is wrong, and never all of it.
  let least = Math.min(Math.max(1, Math.floor(wanted.length / 3)) + 1, Math.max(1, wanted.length))
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best
}

/** Characters to insert, drop, replace or swap with their neighbour. */
function editDistance(a: string, b: string): number {
  let before: readonly number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swap = swapped ? (before[j - 2] ?? 0) + 1 : substitution
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution, swap))
    }
    before = row
    row = next
  }
  return row[b.length] ?? 0
}

const SECRET = /tls|key|cert|pass|token|secret|credential/i

/** A value for a message: short, without credentials, and never what a secret option holds. */
function show(path: string, value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (SECRET.test(path)) return `a ${typeof value} (not shown)`
  if (typeof value === 'string') return visible(JSON.stringify(shorten(redactUrl(value))))
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (value instanceof URL) return redactUrl(value.href)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid Date' : value.toISOString()
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value !== 'object') return `a ${typeof value}`
  const names = Object.keys(value)
  return names.length === 0 ? '{}' : shorten(`{ ${names.join(', ')} }`)
}

/** A quoted text, with escapes for what would turn the direction of the message or not be seen. */
function visible(quoted: string): string {
  return quoted.replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}

const SCHEME = /^\s{0,9}[a-z][a-z0-9+.-]{0,15}:[/\\]{2}/i
/** An `@`, as people and encoders also write it. */
const AT = /[@\uff20\ufe6b]|%(?:25){0,9}40/g
const HOST_AND_PORT = /^(?:\[[0-9a-f:.]{2,45}\]|[^:]{1,253})(?::\d{0,5})?$/i

/** A URL without what stands before its `@`, and without query and fragment; well-formed or not. */
export function redactUrl(text: string): string {
  const [open = ''] = SCHEME.exec(text) ?? []
  let secret = -1
  for (const { index, 0: at } of text.matchAll(AT)) secret = index + at.length
  if (secret !== -1) return `${open}***@${withoutQuery(text.slice(secret))}`
  const isUrl = open !== '' || /^\s*\/\//.test(text)
  const rest = withoutQuery(text.slice(open.length))
  // A password whose `@` is missing stands where a port would.
  return isUrl && !HOST_AND_PORT.test(authorityOf(rest)) ? `${open}***` : open + rest
}

function withoutQuery(text: string): string {
  return text.replace(/[?#].*/s, '?***')
}

function authorityOf(text: string): string {
  return text.replace(/^\s*\/\//, '').replace(/[/\\?].*/s, '')
}
