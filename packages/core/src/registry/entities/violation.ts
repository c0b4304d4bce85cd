import { CanaryError } from '../../errors.js'

/** Messages by the name of their field, nested as the fields are; `@entity` holds what concerns several fields. */
export interface FieldMessages {
  readonly [field: string]: string | number | null | readonly string[] | FieldMessages
}

/** Why a change was refused: the body that Kong answers with. */
export interface Violation {
  /** 2: schema, 4: foreign key, 5: uniqueness, 7: offset, 10: size, 11: filters of a list, 14: a declarative file. */
  readonly code: 2 | 4 | 5 | 7 | 10 | 11 | 14
  /** The code in words. */
  readonly name:
    | 'schema violation'
    | 'foreign key violation'
    | 'unique constraint violation'
    | 'invalid offset'
    | 'invalid size'
    | 'invalid options'
    | 'invalid declarative configuration'
  /** What is wrong, in one line. */
  readonly message: string
  /** What is wrong with each field. */
  readonly fields: FieldMessages
}

const UNIQUENESS = 5

/**
 * A change that the registry refuses, with `code` ERR_CANARY_VIOLATION; nothing has changed. `status` is 400, and 409
 * where another record has the value already. `message` names fields and values of the change.
 */
export class ViolationError extends CanaryError {
  /** The name of the class. */
  override readonly name = 'ViolationError'
  /** 400, or 409 if another record has the value already. */
  override readonly status: number
  override readonly statusCode: number
  /** What Kong answers. */
  readonly violation: Violation

  constructor(violation: Violation) {
    super('ERR_CANARY_VIOLATION', violation.message)
    this.status = violation.code === UNIQUENESS ? 409 : 400
    this.statusCode = this.status
    this.violation = violation
  }
}

/** How many messages an error lists: a hostile body must not make an answer many times its own length. */
const MAX_LISTED = 20

/**
 * The error of fields that do not fit their schema: `2 schema violations (a: …; b.c: …)`, sorted by name. The first 20
 * are listed, all are counted.
 */
export function schemaViolation(fields: FieldMessages): ViolationError {
  const messages = messagesOf(fields, '')
  const count = messages.length === 1 ? 'schema violation' : `${messages.length} schema violations`
  const more = messages.length - MAX_LISTED
  const listed = messages.slice(0, MAX_LISTED).join('; ')
  return new ViolationError({
    code: 2,
    name: 'schema violation',
    message: `${count} (${listed}${more > 0 ? `; and ${more} more` : ''})`,
    fields: more > 0 ? firstOf(fields, { left: MAX_LISTED }) : fields,
  })
}

/** The fields of the first messages, in the order in which they are listed. */
function firstOf(fields: FieldMessages, budget: { left: number }): FieldMessages {
  const kept: [string, FieldMessages[string]][] = []
  for (const name of Object.keys(fields).toSorted()) {
    if (budget.left <= 0) break
    const message = fields[name] ?? null
    if (isNested(message)) kept.push([name, firstOf(message, budget)])
    else if (Array.isArray(message)) {
      const some = message.slice(0, budget.left)
      budget.left -= some.length
      kept.push([name, some])
    } else {
      budget.left -= 1
      kept.push([name, message])
    }
  }
  return Object.fromEntries(kept)
}

/** The error of a list's filters and parameters that are none. */
export function invalidOptions(fields: Readonly<Record<string, string>>): ViolationError {
  const messages = messagesOf(fields, '').slice(0, MAX_LISTED)
  const count = messages.length === 1 ? 'invalid option' : `${messages.length} invalid options`
  return new ViolationError({ code: 11, name: 'invalid options', message: `${count} (${messages.join('; ')})`, fields })
}

function messagesOf(fields: FieldMessages, prefix: string): string[] {
  return Object.keys(fields)
    .toSorted()
    .flatMap((name) => {
      const message = fields[name]
      if (name === '@entity' && Array.isArray(message)) return message.map(String)
      const path = `${prefix}${name}`
      return isNested(message) ? messagesOf(message, `${path}.`) : [`${path}: ${String(message)}`]
    })
}

function isNested(message: FieldMessages[string] | undefined): message is FieldMessages {
  return typeof message === 'object' && message !== null && !Array.isArray(message)
}

/** The error of a reference to nothing. */
export function danglingReference(field: string, key: Readonly<Record<string, string>>, kind: string): ViolationError {
  return new ViolationError({
    code: 4,
    name: 'foreign key violation',
    message: `the foreign key '${keyText(key)}' does not reference an existing '${kind}' entity.`,
    fields: { [field]: { ...key } },
  })
}

/** The error of deleting what others still refer to. */
export function stillReferenced(kind: string, by: string): ViolationError {
  return new ViolationError({
    code: 4,
    name: 'foreign key violation',
    message: `an existing '${by}' entity references this '${kind}' entity`,
    fields: { '@referenced_by': by },
  })
}

export type UniqueKey = Readonly<Record<string, string | null | { readonly id: string }>>

/** The error of a second entity with the same key. */
export function uniqueViolation(key: UniqueKey): ViolationError {
  return new ViolationError({
    code: 5,
    name: 'unique constraint violation',
    message: `UNIQUE violation detected on '${keyText(key)}'`,
    fields: key,
  })
}

/** `{name="orders",service={id="…"}}` as Kong prints it. */
export function keyText(key: UniqueKey): string {
  const parts = Object.keys(key)
    .toSorted()
    .map((name) => {
      const value = key[name]
      if (value === null || value === undefined) return `${name}=null`
      return typeof value === 'string' ? `${name}=${JSON.stringify(value)}` : `${name}=${keyText({ id: value.id })}`
    })
  return `{${parts.join(',')}}`
}
