import type { EntityKind } from './entities/entities.js'
import { isUuid } from './entities/fields.js'
import { NAMES_OF } from './entities/keys.js'
import type { ListQuery, Page } from './registry.js'
import { type RowFilter, createRowFilter } from './row-filter.js'
import type { RegistryState } from './live/registry-state.js'
import type { SortedIds } from './records/sorted-ids.js'
import { type Row, isOf } from './records/rows.js'
import type { TagIndex } from './records/tag-index.js'
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
  const filter = createRowFilter(kind, query)
  // One more than asked for says whether there is a next page.
  const rows = first(size + 1, filter, candidates(state, kind, query, after))
  if (rows === null) return null
  const page = rows.slice(0, size)
  const last = page.at(-1)
  return { rows: page, next: rows.length > size && last !== undefined ? offsetOf(last.entity.id) : null }
}

/** Rows that may be on the page, in the order of ids; `null` where their parent is unknown. */
function candidates<Kind extends EntityKind>(
  state: RegistryState,
  kind: Kind,
  query: ListQuery,
  after: string | null,
): Iterable<Row<Kind>> | null {
  if (query.of !== undefined) return ofParent(state, kind, query.of, after)
  const name = Object.entries(query.where ?? {}).find(([field]) => field === 'id' || NAMES_OF[kind].includes(field))
  return name === undefined ? ofKind(state, kind, query.tags, after) : named(state, kind, name, after)
}

function first<Kind extends EntityKind>(
  count: number,
  filter: RowFilter,
  rows: Iterable<Row<Kind>> | null,
): Row<Kind>[] | null {
  if (rows === null) return null
  const found: Row<Kind>[] = []
  for (const row of rows) {
    if (!filter(row)) continue
    found.push(row)
    if (found.length === count) break
  }
  return found
}

function* ofKind<Kind extends EntityKind>(
  { ids, tables, tags }: RegistryState,
  kind: Kind,
  wanted: ListQuery['tags'],
  after: string | null,
): Iterable<Row<Kind>> {
  const isAll = wanted === undefined || ('all' in wanted && wanted.all.length === 0)
  for (const id of idsAfter(after, isAll ? [ids[kind]] : listsOf(tags, kind, wanted))) {
    const row = tables.get(kind, id)
    if (row !== null) yield row
  }
}

/** The ids that may have the tags: of any of them, or of the rarest one. */
function listsOf(index: TagIndex, kind: EntityKind, wanted: NonNullable<ListQuery['tags']>): SortedIds[] {
  const tags =
    'any' in wanted
      ? wanted.any
      : wanted.all.toSorted((a, b) => index.count(kind, a) - index.count(kind, b)).slice(0, 1)
  return tags.flatMap((tag) => index.find(kind, tag) ?? [])
}

const CHUNK = MAX_SIZE + 1

/** The ids of several lists in order, each once, read as far as they are asked for. */
function* idsAfter(after: string | null, lists: readonly SortedIds[]): Iterable<string> {
  for (let last = after; ;) {
    const chunks = lists.map((list) => list.after(last, CHUNK))
    // A list that goes on may hold more ids after the last one of its chunk, and none before.
    const ends = chunks.flatMap((chunk) => (chunk.length === CHUNK ? (chunk.at(-1) ?? []) : [])).sort()
    const [end = null] = ends
    const ids = [...new Set(chunks.flat())].filter((id) => end === null || id <= end)
    yield* chunks.length === 1 ? ids : ids.sort()
    if (end === null) return
    last = end
  }
}

/** The one row that a unique field names: nobody else is looked at. */
function* named<Kind extends EntityKind>(
  { tables }: RegistryState,
  kind: Kind,
  [field, value]: readonly [string, string],
  after: string | null,
): Iterable<Row<Kind>> {
  const id = field === 'id' ? value.toLowerCase() : tables.owner(kind, { [field]: value })
  const row = id === null ? null : tables.get(kind, id)
  if (row !== null && (after === null || row.entity.id > after)) yield row
}

function ofParent<Kind extends EntityKind>(
  { tables }: RegistryState,
  kind: Kind,
  of: NonNullable<ListQuery['of']>,
  after: string | null,
): Row<Kind>[] | null {
  const parent = tables.find(of.kind, of.key)
  if (parent === null) return null
  return tables
    .referrers(of.kind, parent.entity.id, kind)
    .filter((row): row is Row<Kind> => isOf(row, kind) && (after === null || row.entity.id > after))
    .sort((a, b) => (a.entity.id < b.entity.id ? -1 : 1))
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
