import type { EntityKind, EntityOf, Plugin, Ref } from './entities.js'
import { type UniqueKey, keyText } from './violation.js'

/** A reference from one entity to another. */
export interface Reference {
  readonly field: 'service' | 'route' | 'consumer' | 'api'
  readonly kind: 'services' | 'routes' | 'consumers' | 'apis'
  readonly id: string
}

type KeysByKind = { readonly [Kind in EntityKind]: (entity: EntityOf<Kind>) => readonly UniqueKey[] }

const named = (field: string, value: string | null): readonly UniqueKey[] =>
  value === null ? [] : [{ [field]: value }]

const KEYS: KeysByKind = {
  services: ({ name }) => named('name', name),
  routes: ({ name }) => named('name', name),
  consumers: ({ username, custom_id }) => [...named('username', username), ...named('custom_id', custom_id)],
  apis: ({ name }) => named('name', name),
  plugins: (plugin) => [scopeKey(plugin), ...named('instance_name', plugin.instance_name)],
  keyauth_credentials: ({ key }) => named('key', key),
  acls: ({ consumer, group }) => [{ consumer, group }],
}

/** One canary at most on each scope, enabled or not. */
function scopeKey({ name, service, route, consumer, api }: Plugin): UniqueKey {
  return { name, service, route, consumer, ...(api === null ? {} : { api }) }
}

/** What no other entity of the kind may have. */
export function uniqueKeysOf<Kind extends EntityKind>(kind: Kind, entity: EntityOf<Kind>): readonly UniqueKey[] {
  return KEYS[kind](entity)
}

/** A key of a kind as one text, for a map. */
export function uniqueKeyText(kind: EntityKind, key: UniqueKey): string {
  return `${kind} ${keyText(key)}`
}

/** The fields that name an entity of a kind besides its id, in the order in which they are looked at. */
export const NAMES_OF: { readonly [Kind in EntityKind]: readonly string[] } = {
  services: ['name'],
  routes: ['name'],
  consumers: ['username', 'custom_id'],
  apis: ['name'],
  plugins: ['instance_name'],
  keyauth_credentials: ['key'],
  acls: [],
}

type ReferencesByKind = { readonly [Kind in EntityKind]: (entity: EntityOf<Kind>) => readonly Reference[] }

const KIND_OF = { service: 'services', route: 'routes', consumer: 'consumers', api: 'apis' } as const

const to = (field: Reference['field'], ref: Ref | null): readonly Reference[] =>
  ref === null ? [] : [{ field, kind: KIND_OF[field], id: ref.id }]

const REFERENCES: ReferencesByKind = {
  services: () => [],
  routes: ({ service }) => to('service', service),
  consumers: () => [],
  apis: () => [],
  plugins: ({ service, route, consumer, api }) => [
    ...to('service', service),
    ...to('route', route),
    ...to('consumer', consumer),
    ...to('api', api),
  ],
  keyauth_credentials: ({ consumer }) => to('consumer', consumer),
  acls: ({ consumer }) => to('consumer', consumer),
}

/** What an entity refers to. */
export function referencesOf<Kind extends EntityKind>(kind: Kind, entity: EntityOf<Kind>): readonly Reference[] {
  return REFERENCES[kind](entity)
}

/** The reference fields that a kind has. */
export const REFERENCE_FIELDS: { readonly [Kind in EntityKind]: readonly Reference['field'][] } = {
  services: [],
  routes: ['service'],
  consumers: [],
  apis: [],
  plugins: ['service', 'route', 'consumer', 'api'],
  keyauth_credentials: ['consumer'],
  acls: ['consumer'],
}

/** The kind that a reference field points to. */
export function kindOf(field: Reference['field']): Reference['kind'] {
  return KIND_OF[field]
}

/** The reference field that points to a kind. */
export function fieldOf(kind: Reference['kind']): Reference['field'] {
  return kind === 'services' ? 'service' : kind === 'routes' ? 'route' : kind === 'consumers' ? 'consumer' : 'api'
}
