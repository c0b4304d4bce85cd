import type { DeclaredBody, DeclaredRecords } from './declared.js'
import { differingFields } from './differing-fields.js'
import { type Body, isBody } from '../entities/body.js'
import type { EntityKind } from '../entities/entities.js'
import { NAMES_OF, REFERENCE_FIELDS, kindOf } from '../entities/keys.js'
import type { Row } from '../records/rows.js'
import type { Tables } from '../records/tables.js'
import type { UniqueKey } from '../entities/violation.js'
import { resolveReferences } from './references.js'
import type { SyncReport, SyncedRecord } from './sync-report.js'

/** Writes one record over the present one, or a new one. */
export type WriteRecord = (kind: EntityKind, body: Body, present: Row | null) => Row

/**
 * Makes all records of a table those of a file. What the file leaves open stays as it is: the start of a ramp, a key,
 * and the id, if the file has none and the record is found by its name or scope.
 *
 * @throws {ViolationError} if a body does not fit
 */
export function synchronize(tables: Tables, { bodies }: DeclaredRecords, write: WriteRecord): SyncReport {
  const matches = matchBodies(tables, bodies)
  const left = new Map([...tables.rows()].map((row) => [row.entity.id, row]))
  // All at once, so that names may be swapped and references may move.
  for (const { kind, entity } of left.values()) tables.remove(kind, entity.id)
  const created: SyncedRecord[] = []
  const updated: SyncReport['updated'][number][] = []
  let unchanged = 0
  for (const { kind, body, present } of matches) {
    const written = write(kind, body, present)
    if (present === null) created.push(recordOf(written))
    else {
      left.delete(present.entity.id)
      if (written === present) unchanged += 1
      else updated.push({ ...recordOf(written), fields: differingFields(present, written) })
      if (written === present) tables.put(present)
    }
  }
  return { created, updated, deleted: [...left.values()].map(recordOf), unchanged }
}

interface Match {
  readonly kind: EntityKind
  /** With the ids that are stored, in itself and in its references. */
  readonly body: Body
  readonly present: Row | null
}

function matchBodies(tables: Tables, bodies: readonly DeclaredBody[]): Match[] {
  const storedIds = new Map<string, string>()
  const taken = new Set<string>()
  return bodies.map(({ kind, body, idIsDerived = false }) => {
    const said = withStoredReferences(kind, body, storedIds)
    const found = rowById(tables, kind, said) ?? (idIsDerived ? rowByName(tables, kind, said) : null)
    // Two bodies may be called like one record: the second is then refused for its name.
    const present = found === null || taken.has(found.entity.id) ? null : found
    if (present === null) return { kind, body: said, present }
    const { id } = present.entity
    taken.add(id)
    if (typeof body.id === 'string') storedIds.set(`${kind}/${body.id.toLowerCase()}`, id)
    return { kind, body: { ...said, id }, present }
  })
}

function withStoredReferences(kind: EntityKind, body: Body, storedIds: ReadonlyMap<string, string>): Body {
  const fields: Record<string, unknown> = { ...body }
  for (const field of REFERENCE_FIELDS[kind]) {
    const reference = fields[field]
    if (!isBody(reference) || typeof reference.id !== 'string') continue
    const id = storedIds.get(`${kindOf(field)}/${reference.id.toLowerCase()}`)
    if (id !== undefined) fields[field] = { id }
  }
  return fields
}

function rowById(tables: Tables, kind: EntityKind, { id }: Body): Row | null {
  return typeof id === 'string' ? tables.get(kind, id.toLowerCase()) : null
}

function rowByName(tables: Tables, kind: EntityKind, body: Body): Row | null {
  const { fields } = resolveReferences(tables, kind, body, undefined)
  const names = NAMES_OF[kind].filter((field) => typeof fields[field] === 'string')
  const keys = names.map((field) => ({ [field]: String(fields[field]) }))
  const owners = [...keys, ...scopeOf(kind, fields)].map((key) => tables.owner(kind, key))
  const owner = owners.find((id) => id !== null) ?? null
  return owner === null ? null : tables.get(kind, owner)
}

/** What else tells a record from others of its kind: the scope of a plugin, whose group it is. */
function scopeOf(kind: EntityKind, fields: Body): readonly UniqueKey[] {
  const to = (field: string) => keyPart(fields[field])
  if (kind === 'acls') return [{ consumer: to('consumer'), group: to('group') }]
  if (kind !== 'plugins') return []
  const scope = { name: to('name'), service: to('service'), route: to('route'), consumer: to('consumer') }
  return [to('api') === null ? scope : { ...scope, api: to('api') }]
}

function keyPart(value: unknown): UniqueKey[string] {
  if (isBody(value)) return typeof value.id === 'string' ? { id: value.id } : null
  return typeof value === 'string' ? value : null
}

/** A key is a secret. */
const SECRET: ReadonlySet<string> = new Set(['key'])

function recordOf({ kind, entity }: Row): SyncedRecord {
  const fields = [...NAMES_OF[kind].filter((field) => !SECRET.has(field)), ...(kind === 'acls' ? ['group'] : [])]
  const name = fields.map((field): unknown => Reflect.get(entity, field)).find((each) => typeof each === 'string')
  return { kind, id: entity.id, name: typeof name === 'string' ? name : null }
}
