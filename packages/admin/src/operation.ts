import { type Row, ViolationError } from '@canary-release/core/registry'
import type { JsonSchema } from './schemas/json-schema.js'
import { type Preconditions, etagOf } from './preconditions.js'
import type { RequestBody } from './bodies/request-body.js'
import type { SchemaName } from './schemas/schemas.js'

/** A request, as far as an operation reads it. */
export interface AdminRequest {
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly preconditions: Preconditions
  /** Who makes it, for the audit trail. */
  readonly by: string
  readonly body: RequestBody
}

export interface Answer {
  readonly status: 200 | 201 | 204
  /** `null` for an answer without one. */
  readonly body: object | null
  readonly headers?: Readonly<Record<string, string>>
}

/** One method of one path: what it does, and what `/openapi.json` says of it. */
export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With parameters in braces: `/services/{service}`. */
  readonly path: string
  /** A name for programs made from the document: `createServicePlugin`. */
  readonly id: string
  readonly summary: string
  readonly query?: Readonly<Record<string, QueryParameter>>
  readonly body?: SchemaName
  readonly answer: {
    readonly status: Answer['status']
    readonly schema: SchemaName | null
    /** Whether it answers 201 instead where it made something. */
    readonly creates?: true
  }
  /** Statuses of errors beyond those that each operation may answer with. */
  readonly errors: readonly number[]
  run(request: AdminRequest): Answer | Promise<Answer>
}

export interface QueryParameter {
  readonly description: string
  readonly schema: JsonSchema
  /** May be given more than once, or under names that go on after this one: `header.x-canary`. */
  readonly style?: 'repeated' | 'prefix'
}

/** The answer with one record. */
export function rowAnswer(row: Row, body: object, status: 200 | 201 = 200): Answer {
  return { status, body, headers: { etag: etagOf(row) } }
}

const MAX_SIZE = 1000

export const SIZE: QueryParameter = {
  description: 'How many to list.',
  schema: { type: 'integer', minimum: 1, maximum: MAX_SIZE, default: 100 },
}

export const OFFSET: QueryParameter = {
  description: 'The `offset` of the page before.',
  schema: { type: 'string' },
}

/**
 * The `size` of a list.
 *
 * @throws {ViolationError} where it is none
 */
export function sizeOf(query: URLSearchParams): number {
  const size = Number(query.get('size') ?? 100)
  if (Number.isInteger(size) && size >= 1 && size <= MAX_SIZE) return size
  const message = `size must be an integer between 1 and ${MAX_SIZE}`
  throw new ViolationError({ code: 10, name: 'invalid size', message, fields: { size: message } })
}
