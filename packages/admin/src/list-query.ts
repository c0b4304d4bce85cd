import { type EntityKind, type ListQuery, ViolationError } from '@canary-release/core/registry'
import { FILTERS, invalidOptions } from '@canary-release/core/registry/internal'
import { OFFSET, type QueryParameter, SIZE, sizeOf } from './operation.js'

const TAGS: QueryParameter = {
  description: 'Only what has all of these tags (`a,b`), or any of them (`a/b`).',
  schema: { type: 'string', minLength: 1 },
}

/** The query parameters of a list of records. */
export function listParameters(kind: EntityKind): Readonly<Record<string, QueryParameter>> {
  const filters = FILTERS[kind].map((field) => {
    const filter: QueryParameter = {
      description: `Only what has this ${field}.`,
      schema: { type: 'string', minLength: 1 },
    }
    return [field, filter] as const
  })
  return { size: SIZE, offset: OFFSET, tags: TAGS, ...Object.fromEntries(filters) }
}

/** The query parameters of lists that are always empty, or have no fields to filter by. */
export const PLAIN_LIST: Readonly<Record<string, QueryParameter>> = { size: SIZE, offset: OFFSET, tags: TAGS }

/**
 * What a list is asked for.
 *
 * @throws {ViolationError} for a size, tags or a filter that is none
 */
export function readListQuery(query: URLSearchParams): ListQuery & { readonly size: number } {
  const size = sizeOf(query)
  const tags = query.get('tags')
  const where = [...query].filter(([name]) => !Object.hasOwn(PLAIN_LIST, name))
  return {
    size,
    offset: query.get('offset'),
    ...(tags === null ? {} : { tags: tagsOf(tags) }),
    where: Object.fromEntries(where),
  }
}

/** How many tags a list may be asked for. */
const MAX_TAGS = 50

/** Kong's syntax: `,` and `/` do not stand together. */
function tagsOf(text: string): NonNullable<ListQuery['tags']> {
  const isAny = text.includes('/')
  const tags = text.split(isAny ? '/' : ',', MAX_TAGS + 1)
  if ((isAny && text.includes(',')) || tags.includes('')) throw invalidOptions({ tags: 'invalid filter syntax' })
  if (tags.length > MAX_TAGS) throw invalidOptions({ tags: `must not have more than ${MAX_TAGS} tags` })
  return isAny ? { any: tags } : { all: tags }
}

/**
 * Checks that a query has only what an operation knows, each said once: a filter that is passed over would show
 * everything, and tools delete what they are shown.
 *
 * @throws {ViolationError}
 */
export function checkQuery(query: URLSearchParams, known: Readonly<Record<string, QueryParameter>>): void {
  const wrong = new Map<string, string>()
  for (const [name, value] of query) {
    const parameter = parameterOf(name, known)
    const shown = name.slice(0, 200)
    if (parameter === undefined) wrong.set(shown, 'is no parameter of this path')
    else if (parameter.style === undefined && query.getAll(name).length > 1) wrong.set(shown, 'is given more than once')
    else if (parameter.schema.minLength === 1 && value === '') wrong.set(shown, 'must not be empty')
    if (wrong.size === MAX_WRONG) break
  }
  if (wrong.size > 0) throw invalidOptions(Object.fromEntries(wrong))
}

const MAX_WRONG = 20

function parameterOf(name: string, known: Readonly<Record<string, QueryParameter>>): QueryParameter | undefined {
  if (Object.hasOwn(known, name)) return known[name]
  const prefix = Object.keys(known).find((each) => known[each]?.style === 'prefix' && name.startsWith(each))
  return prefix === undefined ? undefined : known[prefix]
}

/** The answer of a page: `next` is a path, to which the application adds where it is mounted. */
export function pageOf(
  data: readonly object[],
  next: string | null,
  path: string,
  query: URLSearchParams,
): { readonly data: readonly object[]; readonly next: string | null; readonly offset?: string } {
  if (next === null) return { data, next: null }
  const following = new URLSearchParams(query)
  following.set('offset', next)
  return { data, next: `${path}?${following}`, offset: next }
}

/**
 * A page of what is listed by its position: those after the offset.
 *
 * @throws {ViolationError} where the offset is none
 */
export function slicePage<Item>(
  items: readonly Item[],
  { size, offset }: ListQuery & { readonly size: number },
): { readonly items: readonly Item[]; readonly next: string | null } {
  const from = positionOf(offset)
  const end = from + size
  return {
    items: items.slice(from, end),
    next: end < items.length ? Buffer.from(`at ${end}`).toString('base64url') : null,
  }
}

function positionOf(offset: string | null | undefined): number {
  if (offset === null || offset === undefined) return 0
  const [, position] = /^at (\d{1,9})$/.exec(Buffer.from(offset, 'base64url').toString()) ?? []
  if (position !== undefined) return Number(position)
  const message = 'invalid offset: not one of this list'
  throw new ViolationError({ code: 7, name: 'invalid offset', message, fields: {} })
}
