import { z } from 'zod'
import { type Body, isBody, parseEntity } from '../entities/body.js'
import type { EntityKind } from '../entities/entities.js'
import { says } from '../entities/fields.js'
import { schemaViolation } from '../entities/violation.js'
import { checkRelease } from '../records/record-release.js'
import { RELEASE_STATES } from '../../release-state.js'
import { type Row, type RowContent, isOf } from '../records/rows.js'

/** Far beyond what is ever reached, and far enough from where whole numbers end that all after it are exact. */
export const MAX_VERSION = 1e15

/** A version or a revision. */
export const wholeNumber = z
  .int(says('expected an integer'))
  .min(0, { error: 'value should be at least 0' })
  .max(MAX_VERSION, { error: `value should be at most ${MAX_VERSION}` })
const finite = z.number(says('expected a number')).nullable()
const words = z.string(says('expected a string'))

const releaseSchema = z.strictObject({
  state: z.enum(RELEASE_STATES).exclude(['disabled']),
  reason: words.nullable(),
  by: words.nullable(),
  at: finite,
  elapsed: finite,
  breach: z.literal(true, says('expected true')).optional(),
  gate: z.int(says('expected a whole number')).min(1, says('expected 1 or more')).optional(),
  // A whole number in files of the first versions.
  run: z.union([words.min(1), wholeNumber.transform(String)], says('expected a string')).optional(),
})

/** A row as a file has it: an entity with its revision and its release's record. */
export function readRow(kind: EntityKind, { revision, release, ...fields }: Body, version: number): Row {
  const number = wholeNumber.prefault(version).safeParse(revision)
  if (!number.success) throw schemaViolation({ revision: number.error.issues[0]?.message ?? 'expected an integer' })
  if (kind !== 'plugins' && release !== undefined) throw schemaViolation({ release: 'unknown field' })
  const record = release ?? { state: 'running', reason: null, by: null, at: null, elapsed: null }
  return { ...readContent(kind, fields, kind === 'plugins' ? record : null), revision: number.data }
}

/**
 * What is stored of an entity, from where others may write too: it fits as if it came by a change.
 *
 * @throws {ViolationError} that names what does not fit
 */
export function readContent(kind: EntityKind, fields: unknown, release: unknown): RowContent {
  if (!isBody(fields)) throw schemaViolation({ entity: 'expected a record' })
  if (kind !== 'plugins' && release !== null) throw schemaViolation({ release: 'unknown field' })
  const record = releaseSchema.nullable().safeParse(release)
  if (!record.success) throw schemaViolation({ release: record.error.issues[0]?.message ?? 'expected a record' })
  const content: RowContent = { kind, entity: parseEntity(kind, fields), release: record.data }
  const refused = isOf(content, 'plugins') ? checkRelease(content.entity, Date.now) : null
  if (refused !== null) throw schemaViolation(refused)
  return content
}
