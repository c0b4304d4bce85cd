import type { EntityKind } from './entities/entities.js'
import { FILTERS } from './entities/filters.js'
import { invalidOptions } from './entities/violation.js'
import type { Row } from './records/rows.js'
import type { ListQuery } from './registry.js'

/** Whether a row belongs to a list. */
export type RowFilter = (row: Row) => boolean

/**
 * Compiles the filters of a list.
 *
 * @throws {ViolationError} where a field is none to filter by
 */
export function createRowFilter(kind: EntityKind, { tags, where = {} }: ListQuery): RowFilter {
  const fields: readonly string[] = FILTERS[kind]
  const unknown = Object.keys(where).filter((field) => !fields.includes(field))
  if (unknown.length > 0) {
    throw invalidOptions(Object.fromEntries(unknown.map((field) => [field.slice(0, 200), 'is no filter of this list'])))
  }
  const checks = Object.entries(where).map(([field, value]) => fieldFilter(field, value))
  if (tags !== undefined) checks.push(tagFilter(tags))
  const [only] = checks
  if (checks.length <= 1) return only ?? (() => true)
  return (row) => checks.every((check) => check(row))
}

function tagFilter(tags: NonNullable<ListQuery['tags']>): RowFilter {
  if ('all' in tags) {
    const { all } = tags
    return ({ entity }) => all.every((tag) => entity.tags?.includes(tag) ?? false)
  }
  const any = new Set(tags.any)
  return ({ entity }) => entity.tags?.some((tag) => any.has(tag)) ?? false
}

function fieldFilter(field: string, text: string): RowFilter {
  if (field === 'id') {
    const id = text.toLowerCase()
    return ({ entity }) => entity.id === id
  }
  if (field !== 'custom_id' && field.endsWith('_id')) {
    const reference = field.slice(0, -'_id'.length)
    const id = text.toLowerCase()
    return ({ entity }) => {
      const to: unknown = Reflect.get(entity, reference)
      return typeof to === 'object' && to !== null && 'id' in to && to.id === id
    }
  }
  return ({ entity }) => {
    const value: unknown = Reflect.get(entity, field)
    return value !== null && value !== undefined && String(value) === text
  }
}
