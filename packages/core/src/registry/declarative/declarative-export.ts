import { stringify } from 'yaml'
import { ENTITY_KINDS, type EntityKind } from '../entities/entities.js'
import type { Registry } from '../registry.js'

/** The options of {@link exportDeclarative}. */
export interface ExportOptions {
  /**
   * The syntax of the text.
   *
   * @default 'yaml'
   */
  readonly format?: 'yaml' | 'json' | undefined
  /**
   * False leaves out the credentials of consumers: an export with them is a secret.
   *
   * @default true
   */
  readonly keys?: boolean | undefined
}

/**
 * The registry in Kong's declarative format, ids included: read back, every consumer keeps its side. What was done with
 * releases (rolled back, paused …) is not part of that format.
 */
export function exportDeclarative(registry: Registry, { format = 'yaml', keys = true }: ExportOptions = {}): string {
  const lists = new Map<EntityKind, object[]>()
  for (const row of registry.snapshot().rows) {
    if (row.kind === 'keyauth_credentials' && !keys) continue
    const list = lists.get(row.kind)
    // When a record was last changed is nothing that one says.
    const { updated_at: _, ...entity } = row.entity
    if (list === undefined) lists.set(row.kind, [withoutNulls(entity)])
    else list.push(withoutNulls(entity))
  }
  const file = {
    _format_version: '3.0',
    ...Object.fromEntries(ENTITY_KINDS.flatMap((kind) => (lists.has(kind) ? [[kind, lists.get(kind)]] : []))),
  }
  return format === 'json' ? `${JSON.stringify(file, null, 2)}\n` : stringify(file, { aliasDuplicateObjects: false })
}

/** Kong's exports leave out what is null. */
function withoutNulls(record: object): object {
  return Object.fromEntries(
    Object.entries(record).flatMap(([name, value]: [string, unknown]) => {
      if (value === null) return []
      return [
        [name, typeof value === 'object' && value !== undefined && !Array.isArray(value) ? withoutNulls(value) : value],
      ]
    }),
  )
}
