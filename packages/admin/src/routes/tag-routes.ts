import type { Registry } from '@canary-release/core/registry'
import { ENTITY_KINDS } from '@canary-release/core/registry/internal'
import { filledPath } from '../path-template.js'
import { pageOf, readListQuery, slicePage } from '../list-query.js'
import { type Operation, OFFSET, SIZE } from '../operation.js'

interface Tagged {
  readonly tag: string
  readonly entity_name: string
  readonly entity_id: string
}

/** Which records have which tags. */
export function tagOperations(registry: Registry): Operation[] {
  return [
    listOperation(registry, '/tags', 'listTags', 'Lists all tags with the records that have them.'),
    listOperation(registry, '/tags/{tag}', 'listTagged', 'Lists the records that have a tag.'),
  ]
}

function listOperation(registry: Registry, path: string, id: string, summary: string): Operation {
  return {
    method: 'GET',
    path,
    id,
    summary,
    query: { size: SIZE, offset: OFFSET },
    answer: { status: 200, schema: 'TagPage' },
    errors: [400],
    run({ params, query }) {
      const { items, next } = slicePage([...taggedBy(registry, params.tag)], readListQuery(query))
      return { status: 200, body: pageOf(items, next, filledPath(path, params), query) }
    },
  }
}

function* taggedBy(registry: Registry, wanted: string | undefined): Iterable<Tagged> {
  for (const kind of ENTITY_KINDS) {
    const tags = wanted === undefined ? undefined : { all: [wanted] }
    for (let offset: string | null = null; ;) {
      const page: ReturnType<typeof registry.list<typeof kind>> = registry.list(kind, { size: 1000, offset, tags })
      for (const { entity } of page?.rows ?? []) {
        for (const tag of entity.tags ?? []) {
          if (wanted === undefined || tag === wanted) yield { tag, entity_name: kind, entity_id: entity.id }
        }
      }
      offset = page?.next ?? null
      if (offset === null) break
    }
  }
}
