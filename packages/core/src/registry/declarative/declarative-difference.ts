import { isDeepStrictEqual } from 'node:util'
import { DraftedChange } from '../change/drafted-change.js'
import { type Body, isBody } from '../entities/body.js'
import { type EntityKind, ENTITY_KINDS } from '../entities/entities.js'
import type { Row } from '../records/rows.js'
import { Tables } from '../records/tables.js'
import type { Declarative } from './declarative.js'

/** How many records a sentence names. */
const NAMED = 5

/**
 * In words, how the records of a store differ from a file's; `null` where they do not. What a file leaves to the moment
 * of creation (the start of a ramp, a generated key) and times are not compared.
 *
 * @throws {ViolationError} where the bodies do not fit
 */
export function describeDifference(rows: readonly Row[], { bodies }: Pick<Declarative, 'bodies'>): string | null {
  const stored = new Map(rows.map((row) => [nodeOf(row), row]))
  const draft = new DraftedChange(new Tables(), { id: '', by: 'compare', version: 1, clock: () => 0 })
  const [missing, changed]: [string[], string[]] = [[], []]
  for (const { kind, body } of bodies) {
    const wanted = draft.create(kind, body)
    const present = stored.get(nodeOf(wanted))
    stored.delete(nodeOf(wanted))
    if (present === undefined) missing.push(nameOf(wanted))
    else {
      const fields = differingFields(present, wanted, body)
      if (fields.length > 0) changed.push(`${nameOf(wanted)} (${fields.join(', ')})`)
    }
  }
  const extra = [...stored.values()].toSorted(byKind).map(nameOf)
  const parts = [
    ...phrase(changed, 'differ'),
    ...phrase(missing, 'are only in the file'),
    ...phrase(extra, 'are only in the store'),
  ]
  return parts.length === 0 ? null : parts.join('; ')
}

function phrase(names: readonly string[], what: string): string[] {
  if (names.length === 0) return []
  const more = names.length > NAMED ? `, and ${names.length - NAMED} more` : ''
  return [`${names.length} ${what}: ${names.slice(0, NAMED).join(', ')}${more}`]
}

const UNCOMPARED: ReadonlySet<string> = new Set(['created_at', 'updated_at'])

function differingFields({ entity: present }: Row, { entity: wanted }: Row, said: Body): string[] {
  return Object.entries(wanted).flatMap(([field, value]: [string, unknown]) => {
    const stands: unknown = Reflect.get(present, field)
    if (UNCOMPARED.has(field) || (field === 'key' && said.key === undefined)) return []
    if (field === 'config' && isBody(value) && isBody(stands)) return differingConfig(stands, value, said.config)
    return isDeepStrictEqual(stands, value) ? [] : [field]
  })
}

function differingConfig(present: Body, wanted: Body, said: unknown): string[] {
  const isOpen = !isBody(said) || said.start === undefined || said.start === null
  return Object.keys(wanted)
    .filter((field) => !(field === 'start' && isOpen) && !isDeepStrictEqual(present[field], wanted[field]))
    .map((field) => `config.${field}`)
}

function nodeOf({ kind, entity }: Row): string {
  return `${kind} ${entity.id}`
}

const NAMES: { readonly [Kind in EntityKind]: readonly string[] } = {
  services: ['name'],
  routes: ['name'],
  consumers: ['username', 'custom_id'],
  apis: ['name'],
  plugins: ['instance_name'],
  // A key is a secret.
  keyauth_credentials: [],
  acls: ['group'],
}

function nameOf({ kind, entity }: Row): string {
  const name = NAMES[kind].map((field): unknown => Reflect.get(entity, field)).find((each) => typeof each === 'string')
  return `${kind} ${String(name ?? entity.id)}`
}

function byKind(a: Row, b: Row): number {
  return ENTITY_KINDS.indexOf(a.kind) - ENTITY_KINDS.indexOf(b.kind)
}
