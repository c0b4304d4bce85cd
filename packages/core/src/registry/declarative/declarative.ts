import { createHash } from 'node:crypto'
import { CanaryError } from '../../errors.js'
import { optionError } from '../../option-error.js'
import { type Body, isBody } from '../entities/body.js'
import { ENTITY_KINDS, type EntityKind } from '../entities/entities.js'
import { isUuid } from '../entities/fields.js'
import { type DeclarativeText, type Path, readDeclarativeText } from './declarative-text.js'
import { DraftedChange } from '../change/drafted-change.js'
import { Tables } from '../records/tables.js'
import { type FieldMessages, ViolationError } from '../entities/violation.js'

/** A declarative file, read and checked: bodies in the order in which they may be created. */
export interface Declarative {
  readonly bodies: readonly { readonly kind: EntityKind; readonly body: Body }[]
}

export interface DeclarativeOptions {
  /** @default json where the text begins with `{`, else yaml */
  readonly format?: 'yaml' | 'json' | undefined
  /** What is done about other plugins, other credentials and what else Kong keeps. @default 'refuse' */
  readonly otherPlugins?: 'refuse' | 'skip' | undefined
}

/**
 * Reads a file in Kong's declarative format (`_format_version: "3.0"`, "2.1" or "1.1"), YAML or JSON, and checks all of
 * it. What has no `id` gets one that follows from its name or scope, so that a file always means the same buckets.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION that names line, place and reason
 */
export function parseDeclarative(text: string, options: DeclarativeOptions = {}): Declarative {
  if (typeof text !== 'string') throw optionError('parseDeclarative', 'must get a text', text)
  const { otherPlugins = 'refuse', format = /^\s*\{/.test(text) ? 'json' : 'yaml' } = options
  const source = readDeclarativeText(text, format)
  const { bodies } = new DeclarativeReader(source, otherPlugins)
  check(source, bodies)
  return { bodies: bodies.map(({ kind, body }) => ({ kind, body })) }
}

interface Placed {
  readonly kind: EntityKind
  readonly body: Body
  readonly path: Path
}

interface Owner {
  readonly field: 'service' | 'route' | 'consumer'
  readonly id: string
}

/** What a list at the top, or within an entity, holds. */
const KIND_OF: ReadonlyMap<string, EntityKind> = new Map([
  ['services', 'services'],
  ['routes', 'routes'],
  ['consumers', 'consumers'],
  ['apis', 'apis'],
  ['plugins', 'plugins'],
  ['keyauth_credentials', 'keyauth_credentials'],
  ['acls', 'acls'],
])
const NESTED: ReadonlyMap<EntityKind, { readonly field: Owner['field']; readonly lists: readonly string[] }> = new Map([
  ['services', { field: 'service', lists: ['routes', 'plugins'] }],
  ['routes', { field: 'route', lists: ['plugins'] }],
  ['consumers', { field: 'consumer', lists: ['keyauth_credentials', 'acls', 'plugins'] }],
])
/** What Kong keeps in such files and is nothing here. */
const OF_KONG: ReadonlySet<string> = new Set([
  'upstreams',
  'targets',
  'certificates',
  'ca_certificates',
  'snis',
  'vaults',
  'key_sets',
  'keys',
  'consumer_groups',
  'groups',
  'filter_chains',
  'licenses',
  'basicauth_credentials',
  'hmacauth_credentials',
  'jwt_secrets',
  'oauth2_credentials',
  'mtls_auth_credentials',
])
const SAYINGS: ReadonlySet<string> = new Set(['_format_version', '_transform', '_comment', '_info', '_workspace'])
const VERSIONS: ReadonlySet<unknown> = new Set(['3.0', '2.1', '1.1'])

class DeclarativeReader {
  readonly bodies: Placed[] = []
  readonly #source: DeclarativeText
  readonly #others: 'refuse' | 'skip'

  constructor(source: DeclarativeText, others: 'refuse' | 'skip') {
    this.#source = source
    this.#others = others
    const { value } = source
    if (!isBody(value)) throw source.fault([], 'expected a record')
    if (!VERSIONS.has(value._format_version))
      throw source.fault(['_format_version'], 'expected "3.0" (or "2.1", "1.1")')
    this.#lists(value, [], null)
    // A file may refer to what it says later.
    this.bodies.sort((a, b) => ENTITY_KINDS.indexOf(a.kind) - ENTITY_KINDS.indexOf(b.kind))
  }

  #lists(record: Body, path: Path, owner: Owner | null): void {
    for (const [name, value] of Object.entries(record)) {
      const kind = KIND_OF.get(name)
      if (kind !== undefined) this.#list(kind, value, [...path, name], owner)
      else if (OF_KONG.has(name)) this.#other(name, value, [...path, name])
      else if (!SAYINGS.has(name)) throw this.#source.fault([...path, name], 'unknown field')
    }
  }

  #other(name: string, value: unknown, path: Path): void {
    const empty = value === null || (Array.isArray(value) && value.length === 0)
    if (this.#others === 'refuse' && !empty) throw this.#source.fault(path, `${name} are not taken`)
  }

  #list(kind: EntityKind, value: unknown, path: Path, owner: Owner | null): void {
    if (value === null) return
    if (!Array.isArray(value)) throw this.#source.fault(path, 'expected an array')
    const items: readonly unknown[] = value
    for (const [index, item] of items.entries()) this.#entity(kind, item, [...path, index], owner)
  }

  #entity(kind: EntityKind, item: unknown, path: Path, owner: Owner | null): void {
    if (!isBody(item)) throw this.#source.fault(path, 'expected a record')
    if (kind === 'plugins' && this.#others === 'skip' && item.name !== 'canary') return
    const nested = NESTED.get(kind)
    const own: Record<string, unknown> = owner === null ? {} : { [owner.field]: { id: owner.id } }
    const lists: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(item)) {
      const isList = nested?.lists.includes(name) === true || (kind === 'consumers' && OF_KONG.has(name))
      const target = isList ? lists : own
      if (owner !== null && name === owner.field)
        throw this.#source.fault([...path, name], 'is said by its place already')
      Object.defineProperty(target, name, { value: isList ? value : referenceOf(name, value), enumerable: true })
    }
    const id = typeof item.id === 'string' ? item.id.toLowerCase() : idOf(kind, own, path)
    this.bodies.push({ kind, body: { ...own, id }, path })
    if (nested !== undefined) this.#lists(lists, path, { field: nested.field, id })
  }
}

const REFERENCES: ReadonlySet<string> = new Set(['service', 'route', 'consumer', 'api'])

/** In files, a reference may be just a name. */
function referenceOf(name: string, value: unknown): unknown {
  if (!REFERENCES.has(name) || typeof value !== 'string') return value
  if (isUuid(value)) return { id: value }
  return name === 'consumer' ? { username: value } : { name: value }
}

const NAMING = [
  'name',
  'username',
  'custom_id',
  'instance_name',
  'key',
  'group',
  'service',
  'route',
  'consumer',
  'api',
] as const

/** An id that follows from what names an entity; where nothing does, from where it stands. */
function idOf(kind: EntityKind, body: Body, path: Path): string {
  const names = NAMING.filter((name) => body[name] !== undefined && body[name] !== null)
  const naming = names.includes('instance_name')
    ? [['instance_name', body.instance_name]]
    : names.map((name) => [name, body[name]])
  const isNamed = kind === 'plugins' || names.some((name) => !REFERENCES.has(name))
  if (!isNamed) naming.push(['path', path])
  const hash = createHash('sha256')
    .update(`canary-release ${kind} ${JSON.stringify(naming)}`)
    .digest('hex')
  // The shape of a UUID version 8, which is anyone's own.
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `a${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join('-')
}

/** Creates everything once, in nothing, so that what is wrong is told with its line. */
function check(source: DeclarativeText, bodies: readonly Placed[]): void {
  const draft = new DraftedChange(new Tables(), { by: 'check', version: 1, clock: Date.now })
  for (const { kind, body, path } of bodies) {
    try {
      draft.create(kind, body)
    } catch (error) {
      if (error instanceof ViolationError) throw source.fault(placeIn(path, body, error), error.message)
      throw error instanceof CanaryError ? source.fault(path, error.message) : error
    }
  }
}

/** The first wrong field that is there, else the entity. */
function placeIn(path: Path, body: Body, { violation }: ViolationError): Path {
  return [...path, ...(wrongFields(violation.fields).find((field) => isThere(body, field)) ?? [])]
}

function wrongFields(fields: FieldMessages, within: readonly string[] = []): (readonly string[])[] {
  return Object.entries(fields).flatMap(([name, message]) =>
    isBody(message) ? wrongFields(message, [...within, name]) : [[...within, name]],
  )
}

function isThere(body: Body, field: readonly string[]): boolean {
  let at: unknown = body
  for (const name of field) {
    if (!isBody(at) || !Object.hasOwn(at, name)) return false
    at = at[name]
  }
  return true
}
