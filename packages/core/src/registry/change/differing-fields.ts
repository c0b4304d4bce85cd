import { isDeepStrictEqual } from 'node:util'
import { isBody } from '../entities/body.js'
import type { Row } from '../records/rows.js'

const UNCOMPARED: ReadonlySet<string> = new Set(['created_at', 'updated_at'])

/** Which fields of a record change, those of a plugin's config each by its own name. */
export function differingFields({ entity: before }: Row, { entity: after }: Row): string[] {
  return Object.entries(after).flatMap(([field, value]: [string, unknown]) => {
    const stands: unknown = Reflect.get(before, field)
    if (UNCOMPARED.has(field) || isDeepStrictEqual(stands, value)) return []
    if (field !== 'config' || !isBody(value) || !isBody(stands)) return [field]
    return Object.keys(value)
      .filter((name) => !isDeepStrictEqual(stands[name], value[name]))
      .map((name) => `config.${name}`)
  })
}
