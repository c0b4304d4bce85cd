import { z } from 'zod'
import { type EntityKind, type EntityOf, entitySchemas } from './entities.js'
import { MAX_LIST } from './fields.js'
import { saysNothing, unknownField } from './kong-fields.js'
import { checkParts, defaultPort, partsOf } from './location.js'
import { type FieldMessages, schemaViolation } from './violation.js'

/** A body as it came: nothing of it was checked. */
export type Body = Readonly<Record<string, unknown>>

export function isBody(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Fields and messages that may be added to. */
type Messages = { [field: string]: string | readonly string[] | Messages }

const LEGACY_REFS: ReadonlyMap<string, string> = new Map([
  ['service_id', 'service'],
  ['route_id', 'route'],
  ['consumer_id', 'consumer'],
  ['api_id', 'api'],
])
const LEGACY_HASHES: ReadonlyMap<unknown, string> = new Map([
  ['whitelist', 'allow'],
  ['blacklist', 'deny'],
])

/**
 * A body with old names and shorthands put right: `service_id`, `url`, `whitelist` … Fields of Kong's that say nothing
 * are left out.
 *
 * @throws {ViolationError} where a shorthand cannot be read
 */
export function normalise(kind: EntityKind, body: unknown): Body {
  if (!isBody(body)) throw schemaViolation({ '@entity': ['expected a record'] })
  const known = withKnownFields(kind, body)
  if (kind === 'services') return withParts(known)
  if (kind === 'apis') return withLists(known)
  if (kind !== 'plugins') return known
  checkName(known)
  // An answer may say a message beside the record, and be written back.
  const { message: _, ...fields } = known
  return withNewNames(fields)
}

function withKnownFields(kind: EntityKind, body: Body): Body {
  const known: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(body)) {
    if (!saysNothing(kind, name, value)) define(known, name, wholeSeconds(name, value))
  }
  return known
}

/** Some versions of Kong write fractions of seconds. */
function wholeSeconds(name: string, value: unknown): unknown {
  const isTime = (name === 'created_at' || name === 'updated_at') && Number.isFinite(value)
  return isTime ? Math.floor(Number(value)) : value
}

const API_LISTS: ReadonlySet<string> = new Set(['hosts', 'uris', 'methods'])

/** Clients of legacy apis write lists as text, with commas. */
function withLists(body: Body): Body {
  const entries = Object.entries(body).map(([name, value]) => {
    const isText = API_LISTS.has(name) && typeof value === 'string'
    return [name, isText ? value.split(',', MAX_LIST + 1).map((part) => part.trim()) : value] as const
  })
  return Object.fromEntries(entries)
}

/** The config of another plugin means nothing here, so nothing else is said of it. */
function checkName({ name }: Body): void {
  if (typeof name !== 'string' || name === 'canary') return
  const text = name.slice(0, 200)
  throw schemaViolation({ name: `plugin '${text}' not enabled; add it to the 'plugins' configuration property` })
}

function withParts({ url, ...body }: Body): Body {
  if (url === undefined || url === null) return body
  const parts = typeof url === 'string' ? partsOf(url) : 'expected a string'
  if (typeof parts === 'string') throw schemaViolation({ url: parts })
  return { ...body, ...parts }
}

function withNewNames(body: Body): Body {
  const renamed: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(body)) {
    const field = LEGACY_REFS.get(name)
    if (field === undefined) define(renamed, name, value)
    else renamed[field] ??= value === null || value === undefined ? null : { id: value }
  }
  const { config } = renamed
  if (config === null) delete renamed.config
  else if (isBody(config)) renamed.config = { ...config, ...hashOf(LEGACY_HASHES.get(config.hash)) }
  return renamed
}

function hashOf(name: string | undefined): Body {
  return name === undefined ? {} : { hash: name }
}

/** Sets a property of any name, also `__proto__`, which then is an unknown field like any other. */
function define(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
}

/**
 * An entity from the whole of its fields.
 *
 * @throws {ViolationError} that names every field that does not fit
 */
export function parseEntity<Kind extends EntityKind>(kind: Kind, fields: Body): EntityOf<Kind> {
  const given = kind === 'services' && isEmpty(fields.port) ? { ...fields, port: defaultPort(fields.protocol) } : fields
  const wrong: Messages = crossChecks(kind, given)
  const schema: z.ZodType<EntityOf<Kind>> = schemaOf(kind)
  const result = schema.safeParse(given)
  if (!result.success) for (const issue of result.error.issues) addIssue(kind, wrong, issue)
  if (!result.success || Object.keys(wrong).length > 0) throw schemaViolation(wrong)
  const entity = result.data
  const where = checkWhere(entity)
  if (Object.keys(where).length > 0) throw schemaViolation(where)
  return entity
}

type SchemaByKind = { readonly [Kind in EntityKind]: z.ZodType<EntityOf<Kind>> }
const SCHEMAS: SchemaByKind = entitySchemas

function schemaOf<Kind extends EntityKind>(kind: Kind): SchemaByKind[Kind] {
  return SCHEMAS[kind]
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === ''
}

/** Rules across fields, told together with those of single fields. */
function crossChecks(kind: EntityKind, fields: Body): Messages {
  if (kind === 'consumers' && isEmpty(fields.username) && isEmpty(fields.custom_id)) {
    return { '@entity': ["at least one of these fields must be non-empty: 'custom_id', 'username'"] }
  }
  if (kind !== 'plugins') return {}
  const wrong = crossCheckConfig(isBody(fields.config) ? fields.config : {})
  const several = !isEmpty(fields.api) && !(isEmpty(fields.service) && isEmpty(fields.route))
  const entity = [...(wrong['@entity'] ?? []), ...(several ? [ONE_SCOPE] : [])]
  return entity.length === 0 ? wrong : { ...wrong, '@entity': entity }
}

const ONE_SCOPE = "only one or none of these fields must be set: 'api', 'service' (with 'route')"

interface ConfigMessages {
  [field: string]: readonly string[] | Messages
  '@entity'?: readonly string[]
  config?: Messages
}

const NO_UPSTREAM =
  "at least one of these fields must be non-empty: 'config.upstream_uri', 'config.upstream_host', 'config.upstream_port'"

function crossCheckConfig(config: Body): ConfigMessages {
  const wrong: ConfigMessages = {}
  if (isEmpty(config.upstream_uri) && isEmpty(config.upstream_host) && isEmpty(config.upstream_port)) {
    wrong['@entity'] = [NO_UPSTREAM]
  }
  if (config.hash === 'header' && isEmpty(config.hash_header)) wrong.config = { hash_header: MISSING }
  if (config.hash === 'allow' || config.hash === 'deny') {
    if (isEmpty(config.groups)) wrong.config = { groups: MISSING }
    else if (Array.isArray(config.groups) && config.groups.length === 0) {
      wrong.config = { groups: 'length must be at least 1' }
    }
  }
  return wrong
}

const MISSING = 'required field missing'

/** Locations that fit their schema and are none. */
function checkWhere(entity: EntityOf<EntityKind>): FieldMessages {
  if ('host' in entity) return checkParts(entity)
  if (!('upstream_url' in entity)) return {}
  const parts = partsOf(entity.upstream_url)
  if (typeof parts === 'string') return { upstream_url: parts }
  return Object.keys(checkParts(parts)).length === 0 ? {} : { upstream_url: 'invalid value' }
}

function addIssue(kind: EntityKind, wrong: Messages, issue: z.core.$ZodIssue): void {
  if (issue.code !== 'unrecognized_keys') return addMessage(wrong, issue.path, issue.message)
  for (const key of issue.keys) {
    const message = issue.path.length === 0 ? unknownField(kind, key) : 'unknown field'
    addMessage(wrong, [...issue.path, key], message)
  }
}

/** Sets a message at its place; the first one there stays. List elements are counted from 1, as in Kong. */
function addMessage(wrong: Messages, path: readonly PropertyKey[], message: string): void {
  let at = wrong
  const names = path.map((key) => (typeof key === 'number' ? String(key + 1) : String(key).slice(0, 200)))
  const last = names.pop() ?? '@entity'
  for (const name of names) {
    const next = Object.hasOwn(at, name) ? at[name] : undefined
    if (next === undefined) {
      const fresh: Messages = {}
      define(at, name, fresh)
      at = fresh
    } else if (isNested(next)) at = next
    else return
  }
  if (!Object.hasOwn(at, last)) define(at, last, last === '@entity' ? [message] : message)
}

function isNested(message: Messages[string]): message is Messages {
  return typeof message === 'object' && !Array.isArray(message)
}
