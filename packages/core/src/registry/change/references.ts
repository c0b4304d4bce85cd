import { type Body, isBody } from '../entities/body.js'
import type { Parent } from './draft.js'
import type { EntityKind } from '../entities/entities.js'
import { isUuid } from '../entities/fields.js'
import { NAMES_OF, REFERENCE_FIELDS, fieldOf, kindOf } from '../entities/keys.js'
import type { Tables } from '../records/tables.js'
import { type ViolationError, danglingReference } from '../entities/violation.js'

/** Fields whose references are ids; `dangling` is the first one that refers to nothing. */
export interface Referring {
  readonly fields: Body
  readonly dangling: ViolationError | null
}

/** Stands for an entity that is not there, so that the other fields are checked too. */
export const NOBODY = '00000000-0000-0000-0000-000000000000'

/** Replaces references by name (`{"name":"orders"}`, `{"username":"alice"}`) by ids, and the parent's field by the parent. */
export function resolveReferences(tables: Tables, kind: EntityKind, body: Body, parent: Parent | undefined): Referring {
  const fields: Record<string, unknown> = { ...body }
  let dangling: ViolationError | null = null
  const ofParent = parent === undefined ? null : fieldOf(parent.kind)
  if (parent !== undefined && ofParent !== null) {
    const row = tables.find(parent.kind, parent.key)
    fields[ofParent] = { id: row?.entity.id ?? NOBODY }
    if (row === null) dangling = danglingReference(ofParent, keyed(parent.key), parent.kind)
  }
  for (const field of REFERENCE_FIELDS[kind]) {
    if (field === ofParent) continue
    const found = resolve(tables, kindOf(field), fields[field])
    if (found === null) continue
    fields[field] = { id: found.id ?? NOBODY }
    if (found.id === null) dangling ??= danglingReference(field, found.key, kindOf(field))
  }
  return { fields, dangling }
}

function keyed(key: string): Readonly<Record<string, string>> {
  return isUuid(key) ? { id: key } : { name: key }
}

interface Resolved {
  readonly id: string | null
  readonly key: Readonly<Record<string, string>>
}

/** What a reference with one known name says; `null` leaves it to the schema. */
function resolve(tables: Tables, kind: EntityKind, value: unknown): Resolved | null {
  if (!isBody(value)) return null
  const names = Object.keys(value)
  const [name = ''] = names
  const key = value[name]
  if (names.length !== 1 || typeof key !== 'string') return null
  if (name === 'id') {
    if (!isUuid(key)) return null
    return { id: tables.get(kind, key.toLowerCase())?.entity.id ?? null, key: { id: key } }
  }
  if (!NAMES_OF[kind].includes(name)) return null
  return { id: tables.owner(kind, { [name]: key }), key: { [name]: key } }
}
