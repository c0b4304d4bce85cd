import type { EntityKind } from '@canary-release/core/registry'
import { type HarmlessValues, entitySchemas, kongFieldsOf } from '@canary-release/core/registry/internal'
import { type JsonSchema, inputSchema, outputSchema } from './json-schema.js'

/** What the schemas of a kind are called in `/openapi.json`. */
export const SCHEMA_NAMES = {
  services: 'Service',
  routes: 'Route',
  consumers: 'Consumer',
  apis: 'Api',
  plugins: 'Plugin',
  keyauth_credentials: 'KeyauthCredential',
  acls: 'Acl',
} as const satisfies { readonly [Kind in EntityKind]: string }

export type EntityName = (typeof SCHEMA_NAMES)[EntityKind]
type EntitySchemaName = EntityName | `${EntityName}Body` | `${EntityName}Change` | `${EntityName}Page`

const UUID_TEXT: JsonSchema = { type: ['string', 'null'], format: 'uuid' }
const NAMED = ['id', 'name'] as const
const REFS = {
  service: NAMED,
  route: NAMED,
  api: NAMED,
  consumer: ['id', 'username', 'custom_id'],
} as const

const NOTE: JsonSchema = {
  type: 'string',
  description: 'Only where another percentage was stored and the release stays rolled back by the guard.',
}

/** Fields of bodies that are not stored: shorthands and older names. */
const SHORTHANDS: { readonly [Kind in EntityKind]?: Readonly<Record<string, JsonSchema>> } = {
  services: { url: { type: ['string', 'null'], description: 'Sets protocol, host, port and path.' } },
  plugins: {
    service_id: UUID_TEXT,
    route_id: UUID_TEXT,
    consumer_id: UUID_TEXT,
    api_id: UUID_TEXT,
    message: { type: ['string', 'null'], description: 'Of an answer that is written back: it says nothing.' },
  },
}

/** Lists of legacy apis, which clients also write as text with commas. */
const LISTS_AS_TEXT: ReadonlySet<string> = new Set(['hosts', 'uris', 'methods'])

/** Fields that a body may leave out although a record always has them. */
const IMPLIED: { readonly [Kind in EntityKind]?: readonly string[] } = {
  services: ['host', 'port'],
  keyauth_credentials: ['key', 'consumer'],
  acls: ['consumer'],
}
const STAMPED = ['id', 'created_at', 'updated_at']

/** The schemas of all kinds: of records, of bodies that create and change them, and of their lists. */
export function entityComponents(): Record<EntitySchemaName, JsonSchema> {
  return {
    ...componentsOf('services'),
    ...componentsOf('routes'),
    ...componentsOf('consumers'),
    ...componentsOf('apis'),
    ...componentsOf('plugins'),
    ...componentsOf('keyauth_credentials'),
    ...componentsOf('acls'),
  }
}

type NameOf<Kind extends EntityKind> = (typeof SCHEMA_NAMES)[Kind]
type ComponentsOf<Name extends EntityName> = Record<Name | `${Name}Body` | `${Name}Change` | `${Name}Page`, JsonSchema>

function componentsOf<Kind extends EntityKind>(kind: Kind): ComponentsOf<NameOf<Kind>>
function componentsOf(kind: EntityKind): Record<string, JsonSchema> {
  const name = SCHEMA_NAMES[kind]
  const body = bodySchema(kind)
  return {
    [name]: recordSchema(kind),
    [`${name}Body`]: body,
    [`${name}Change`]: { ...body, required: [] },
    [`${name}Page`]: pageSchema(name),
  }
}

/** A record as it is answered: a plugin without `api` where it has none, a credential with its key only when it is made. */
function recordSchema(kind: EntityKind): JsonSchema {
  const { required = [], properties = {}, ...schema } = outputSchema(entitySchemas[kind])
  return {
    ...schema,
    properties: kind === 'plugins' ? { ...properties, message: NOTE } : properties,
    required: required.filter((field) => field !== 'api' && field !== 'key'),
  }
}

function bodySchema(kind: EntityKind): JsonSchema {
  const { required = [], properties = {}, ...schema } = inputSchema(entitySchemas[kind])
  const fields = Object.entries(properties).map(([field, value]) => [field, bodyField(kind, field, value)])
  const optional = new Set([...STAMPED, ...(IMPLIED[kind] ?? [])])
  return {
    ...schema,
    properties: { ...Object.fromEntries(fields), ...SHORTHANDS[kind], ...kongProperties(kind) },
    required: required.filter((field) => !optional.has(field)),
  }
}

const EMPTY: readonly JsonSchema[] = [
  { type: 'null' },
  { type: 'array', maxItems: 0 },
  { type: 'object', maxProperties: 0 },
]

/** Fields of Kong's that are taken as long as they say nothing. */
function kongProperties(kind: EntityKind): Record<string, JsonSchema> {
  const entries = Object.entries(kongFieldsOf(kind)).map(([field, values]) => [field, kongProperty(values)] as const)
  return Object.fromEntries(entries)
}

function kongProperty(values: HarmlessValues): JsonSchema {
  const description = "One of Kong's, not stored here."
  if (values === 'any') return { description }
  return { description, anyOf: [...EMPTY, ...values.map((value) => ({ const: value }))] }
}

type Property = NonNullable<JsonSchema['properties']>[string]

function bodyField(kind: EntityKind, field: string, schema: Property): Property {
  if (kind === 'apis' && LISTS_AS_TEXT.has(field) && typeof schema === 'object')
    return { anyOf: [schema, { type: 'string' }] }
  // Some versions of Kong write fractions of seconds.
  if (field === 'created_at' || field === 'updated_at') return { type: 'number' }
  if (isRefField(field)) return refSchema(REFS[field])
  if (field !== 'config' || typeof schema === 'boolean') return schema
  const { hash, ...properties } = schema.properties ?? {}
  const older: JsonSchema = { type: 'string', enum: ['whitelist', 'blacklist'] }
  const hashes = typeof hash === 'object' ? [hash, older] : [older]
  return { ...schema, properties: { ...properties, hash: { anyOf: hashes } } }
}

function isRefField(field: string): field is keyof typeof REFS {
  return Object.hasOwn(REFS, field)
}

/** A reference by exactly one name. */
function refSchema(names: readonly string[]): JsonSchema {
  const properties = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]))
  const ref: JsonSchema = {
    type: 'object',
    properties,
    minProperties: 1,
    maxProperties: 1,
    additionalProperties: false,
  }
  return { anyOf: [ref, { type: 'null' }] }
}

/** A page of a list, as Kong has it. */
export function pageSchema(of: string): JsonSchema {
  return {
    type: 'object',
    properties: {
      data: { type: 'array', items: { $ref: `#/components/schemas/${of}` } },
      next: { type: ['string', 'null'], description: 'The path of the next page.' },
      offset: { type: 'string', description: 'Not after the last page.' },
    },
    required: ['data', 'next'],
    additionalProperties: false,
  }
}
