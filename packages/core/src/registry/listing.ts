import type { EntityKind } from './entities/entities.js'
import { isUuid } from './entities/fields.js'
import type { ListQuery, Page } from './registry.js'
import type { RegistryState } from './live/registry-state.js'
import { type Row, isOf } from './records/store.js'
import { ViolationError } from './entities/violation.js'

const DEFAULT_SIZE = 100
const MAX_SIZE = 1000

/** One page of a list; `null` where the entity that it belongs to is unknown. */
export function listPage<Kind extends EntityKind>(
  state: RegistryState,
  kind: Kind,
  query: ListQuery,
): Page<Kind> | null {
  const size = checkedSize(query.size)
  const after = query.offset === undefined || query.offset === null ? null : idOf(query.offset)
  // One more than asked for says whether there is a next page.
  const rows =
    query.of === undefined ? ofKind(state, kind, after, size + 1) : ofParent(state, kind, query.of, after, size + 1)
  if (rows === null) return null
  const page = rows.slice(0, size)
  const last = page.at(-1)
  return { rows: page, next: rows.length > size && last !== undefined ? offsetOf(last.entity.id) : null }
}

function ofKind<Kind extends EntityKind>(
  state: RegistryState,
  kind: Kind,
  after: string | null,
  size: number,
): Row<Kind>[] {
  return state.ids[kind].after(after, size).flatMap((id) => state.tables.get(kind, id) ?? [])
}

function ofParent<Kind extends EntityKind>(
  { tables }: RegistryState,
  kind: Kind,
  of: NonNullable<ListQuery['of']>,
  after: string | null,
  size: number,
): Row<Kind>[] | null {
  const parent = tables.find(of.kind, of.key)
  if (parent === null) return null
  return tables
    .referrers(of.kind, parent.entity.id, kind)
    .filter((row): row is Row<Kind> => isOf(row, kind) && (after === null || row.entity.id > after))
    .sort((a, b) => (a.entity.id < b.entity.id ? -1 : 1))
    .slice(0, size)
}

function checkedSize(size: number | undefined): number {
  if (size === undefined) return DEFAULT_SIZE
  if (Number.isInteger(size) && size >= 1 && size <= MAX_SIZE) return size
  const message = `size must be an integer between 1 and ${MAX_SIZE}`
  throw new ViolationError({ code: 10, name: 'invalid size', message, fields: {} })
}

function offsetOf(id: string): string {
  return Buffer.from(id).toString('base64url')
}

function idOf(offset: string): string {
  const id = Buffer.from(offset, 'base64url').toString()
  if (isUuid(id)) return id
  throw new ViolationError({
    code: 7,
    name: 'invalid offset',
    message: 'invalid offset: not one of this list',
    fields: {},
  })
}
