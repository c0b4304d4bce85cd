import type { Draft, Parent, Registry, Row } from '@canary-release/core/registry'
import { stillRolledBack } from '@canary-release/core/registry/internal'
import { type Collection, COLLECTIONS } from './collections.js'
import { SCHEMA_NAMES } from '../schemas/entity-schemas.js'
import { listParameters, pageOf, readListQuery } from '../list-query.js'
import { type AdminRequest, type Answer, type Operation, rowAnswer } from '../operation.js'
import { filledPath } from '../path-template.js'
import { notFound } from '../refusal.js'
import { belongsTo, presentation, shownWithKey } from '../shown-record.js'

/** The operations of Kong's Admin API, for each of its collections. */
export function entityOperations(registry: Registry, showKeys: boolean): Operation[] {
  const show = presentation(showKeys)
  const upserts = COLLECTIONS.filter(isLegacy).map((collection) => upsertOperation(registry, collection))
  const others = COLLECTIONS.flatMap((collection) => [
    listOperation(registry, collection, show),
    createOperation(registry, collection),
    readOperation(registry, collection, show),
    changeOperation(registry, collection, show),
    replaceOperation(registry, collection, show),
    removeOperation(registry, collection),
  ])
  return [...upserts, ...others]
}

type Show = (row: Row) => object

function listOperation(registry: Registry, collection: Collection, show: Show): Operation {
  const { kind, path, many } = collection
  return {
    method: 'GET',
    path,
    id: `list${many}`,
    summary: `Lists ${wordsOf(many)}.`,
    query: listParameters(kind),
    answer: { status: 200, schema: `${SCHEMA_NAMES[kind]}Page` },
    errors: collection.parent === null ? [400] : [400, 404],
    run({ params, query }) {
      const page = registry.list(kind, { ...readListQuery(query), of: parentOf(collection, params) })
      if (page === null) throw notFound()
      return { status: 200, body: pageOf(page.rows.map(show), page.next, filledPath(path, params), query) }
    },
  }
}

function createOperation(registry: Registry, collection: Collection): Operation {
  const { kind, path, one } = collection
  return {
    method: 'POST',
    path,
    id: `create${one}`,
    summary: `Creates ${wordsOf(one, true)}.`,
    body: `${SCHEMA_NAMES[kind]}Body`,
    answer: { status: 201, schema: SCHEMA_NAMES[kind] },
    errors: collection.parent === null ? [400, 409] : [400, 404, 409],
    async run(request) {
      const row = await registry.change(request.by, (draft) =>
        draft.create(kind, request.body, knownParent(draft, collection, request)),
      )
      return rowAnswer(row, shownWithKey(row), 201)
    },
  }
}

/** Legacy apis are created or replaced without a name in the path. */
function isLegacy({ kind, parent }: Collection): boolean {
  return kind === 'apis' && parent === null
}

function upsertOperation(registry: Registry, { kind, path, one }: Collection): Operation {
  return {
    method: 'PUT',
    path,
    id: `upsert${one}`,
    summary: `Creates ${wordsOf(one, true)}, or replaces the one with the id or name of the body.`,
    body: `${SCHEMA_NAMES[kind]}Body`,
    answer: { status: 200, schema: SCHEMA_NAMES[kind], creates: true },
    errors: [400, 409, 412],
    async run({ body, by, preconditions }) {
      const key = body.id ?? body.name
      const { row, status } = await registry.change(by, (draft) => {
        const present = typeof key === 'string' ? draft.get(kind, key) : null
        preconditions(present)
        if (present === null) return { row: draft.create(kind, body), status: 201 } as const
        return { row: draft.replace(kind, present.entity.id, body), status: 200 } as const
      })
      return rowAnswer(row, shownWithKey(row), status)
    },
  }
}

function readOperation(registry: Registry, collection: Collection, show: Show): Operation {
  const { kind, one } = collection
  return {
    method: 'GET',
    path: recordPath(collection),
    id: `get${one}`,
    summary: `Shows ${wordsOf(one, true)}.`,
    answer: { status: 200, schema: SCHEMA_NAMES[kind] },
    errors: [404],
    run(request) {
      const row = find(registry, collection, request)
      if (row === null) throw notFound()
      return rowAnswer(row, show(row))
    },
  }
}

function changeOperation(registry: Registry, collection: Collection, show: Show): Operation {
  const { kind, one } = collection
  return {
    method: 'PATCH',
    path: recordPath(collection),
    id: `update${one}`,
    summary: `Changes the fields of ${wordsOf(one, true)} that the body says.`,
    body: `${SCHEMA_NAMES[kind]}Change`,
    answer: { status: 200, schema: SCHEMA_NAMES[kind] },
    errors: [400, 404, 409, 412],
    async run(request) {
      const changed = await registry.change(request.by, (draft) => {
        const before = find(draft, collection, request)
        request.preconditions(before)
        const row = before === null ? null : draft.patch(kind, before.entity.id, request.body)
        return row === null ? null : { before, row }
      })
      if (changed === null) throw notFound()
      const { before, row } = changed
      return rowAnswer(row, noted(before, row, show(row)))
    },
  }
}

function replaceOperation(registry: Registry, collection: Collection, show: Show): Operation {
  const { kind, one } = collection
  return {
    method: 'PUT',
    path: recordPath(collection),
    id: `replace${one}`,
    summary: `Creates ${wordsOf(one, true)}, or replaces the one that is there.`,
    body: `${SCHEMA_NAMES[kind]}Body`,
    answer: { status: 200, schema: SCHEMA_NAMES[kind] },
    errors: [400, 404, 409, 412],
    async run(request) {
      const { before, row } = await registry.change(request.by, (draft) => {
        const parent = knownParent(draft, collection, request)
        const present = find(draft, collection, request)
        // Another one's record is not taken over.
        if (present === null && draft.get(kind, requestedKey(collection, request)) !== null) throw notFound()
        request.preconditions(present)
        return { before: present, row: draft.replace(kind, requestedKey(collection, request), request.body, parent) }
      })
      // A key is told to who says it, and to nobody else.
      const body = before === null || (request.body.key ?? null) !== null ? shownWithKey(row) : show(row)
      return rowAnswer(row, noted(before, row, body))
    },
  }
}

function removeOperation(registry: Registry, collection: Collection): Operation {
  const { kind, one } = collection
  return {
    method: 'DELETE',
    path: recordPath(collection),
    id: `delete${one}`,
    summary: `Deletes ${wordsOf(one, true)}, where it is there.`,
    answer: { status: 204, schema: null },
    errors: [400, 404, 412],
    async run(request): Promise<Answer> {
      await registry.change(request.by, (draft) => {
        knownParent(draft, collection, request)
        const present = find(draft, collection, request)
        request.preconditions(present)
        if (present !== null) draft.remove(kind, present.entity.id)
      })
      return { status: 204, body: null }
    },
  }
}

/** An answer that says where a change had less of an effect than one might think. */
function noted(before: Row | null, after: Row, body: object): object {
  const message = stillRolledBack(before, after)
  return message === null ? body : { ...body, message }
}

function recordPath({ path, key }: Collection): string {
  return `${path}/{${key}}`
}

function requestedKey({ key }: Collection, { params }: AdminRequest): string {
  return params[key] ?? ''
}

function parentOf({ parent }: Collection, params: AdminRequest['params']): Parent | undefined {
  return parent === null ? undefined : { kind: parent.kind, key: params[parent.param] ?? '' }
}

type Reader = Pick<Draft, 'get'>

/**
 * What the records of the path belong to, by its id.
 *
 * @throws {Refusal} 404 where it is not there
 */
function knownParent(reader: Reader, collection: Collection, { params }: AdminRequest): Parent | undefined {
  const parent = parentOf(collection, params)
  if (parent === undefined) return undefined
  const row = reader.get(parent.kind, parent.key)
  if (row === null) throw notFound()
  return { kind: parent.kind, key: row.entity.id }
}

/** The record of the path, where it belongs to what the path says. */
function find(reader: Reader, collection: Collection, request: AdminRequest): Row | null {
  const row = reader.get(collection.kind, requestedKey(collection, request))
  const parent = parentOf(collection, request.params)
  if (row === null || parent === undefined) return row
  const owner = reader.get(parent.kind, parent.key)
  return owner !== null && belongsTo(row, owner) ? row : null
}

/** `ServicePlugins` as words. */
function wordsOf(name: string, article = false): string {
  const words = name.replace(/(?!^)[A-Z]/g, ' $&').toLowerCase()
  if (!article) return words
  return `${/^[aeiou]/.test(words) ? 'an' : 'a'} ${words}`
}
