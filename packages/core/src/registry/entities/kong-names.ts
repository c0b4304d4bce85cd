import { type Body, define, isBody } from './body.js'
import type { EntityKind } from './entities.js'
import { MAX_LIST } from './fields.js'
import { saysNothing } from './kong-fields.js'
import { partsOf } from './location.js'
import { schemaViolation } from './violation.js'

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
