import type { FieldMessages } from '@canary-release/core/registry'
import { schemaViolation } from '@canary-release/core/registry/internal'
import type { z } from 'zod'

/**
 * A body as its schema has it.
 *
 * @throws {ViolationError} that names each field
 */
export function parsedBody<Schema extends z.ZodType>(schema: Schema, body: Record<string, unknown>): z.output<Schema> {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const fields = new Map<string, FieldMessages[string]>()
  for (const issue of result.error.issues) {
    if (issue.code !== 'unrecognized_keys') fields.set(issue.path.map(String).join('.'), issue.message)
    else for (const key of issue.keys) fields.set(key.slice(0, 200), 'unknown field')
  }
  throw schemaViolation(Object.fromEntries(fields))
}
