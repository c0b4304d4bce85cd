import { z } from 'zod'
import { type EntityKind, type EntityOf, entitySchemas } from './entities.js'
import { unknownField } from './kong-fields.js'
import { checkParts, defaultPort, partsOf } from './location.js'
import { type FieldMessages, schemaViolation } from './violation.js'

/** A body as it came: nothing of it was checked. */
export type Body = Readonly<Record<string, unknown>>

export function isBody(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Sets a property of any name, also `__proto__`, which then is an unknown field like any other. */
export function define(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
}

/** Fields and messages that may be added to. */
type Messages = { [field: string]: string | readonly string[] | Messages }

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
