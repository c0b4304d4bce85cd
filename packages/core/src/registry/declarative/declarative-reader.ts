import { type Body, isBody } from '../entities/body.js'
import { ENTITY_KINDS, type EntityKind } from '../entities/entities.js'
import { isUuid } from '../entities/fields.js'
import { isKongField, saysNothing, unknownField } from '../entities/kong-fields.js'
import type { Path } from './declarative-fault.js'
import { REFERENCES, derivedId } from './derived-id.js'
import { KIND_OF, METADATA_FIELDS, NESTED, type NestedLists, UNSUPPORTED_LISTS, isExtension } from './kong-lists.js'
import { RecordNames } from './record-names.js'
import { refusalOf } from './unsupported-record.js'

export interface Placed {
  readonly kind: EntityKind
  readonly body: Body
  readonly path: Path
  readonly idIsDerived: boolean
}

/** Something that is not as it should be, or that is passed over. */
export interface Remark {
  readonly path: Path
  readonly reason: string
}

interface Owner {
  readonly field: NestedLists['field']
  readonly id: string
}

const VERSIONS: ReadonlySet<unknown> = new Set(['3.0', '2.1', '1.1'])
const MAX_ENTITIES = 10_000

/** Reads a file's value into bodies, in the order in which they may be created, and says all that it cannot take. */
export class DeclarativeReader {
  /** What is referred to comes first: a file may refer to what it says later. */
  bodies: readonly Placed[] = []
  readonly faults: Remark[] = []
  readonly skipped: Remark[] = []
  readonly #others: 'refuse' | 'skip'
  readonly #read: Placed[] = []
  readonly #passedOver = new RecordNames()
  #tags: readonly string[] = []
  #configs: Body = {}

  constructor(value: unknown, others: 'refuse' | 'skip') {
    this.#others = others
    if (!isBody(value)) {
      this.#wrong([], 'expected a record')
      return
    }
    if (!VERSIONS.has(value._format_version)) {
      this.#wrong(['_format_version'], 'expected "3.0" (or "2.1", "1.1")')
      return
    }
    this.#deck(value)
    this.#lists(value, [], null)
    if (this.#read.length > MAX_ENTITIES) {
      // It is not checked further.
      this.#wrong([], `more than ${MAX_ENTITIES} records`)
      return
    }
    this.#read.sort((a, b) => ENTITY_KINDS.indexOf(a.kind) - ENTITY_KINDS.indexOf(b.kind))
    this.bodies = this.#read.filter((placed) => this.#hasAllItRefersTo(placed))
  }

  #hasAllItRefersTo({ kind, body, path }: Placed): boolean {
    const field = this.#passedOver.referredBy(kind, body)
    if (field === null) return true
    // Where nothing may be passed over, what it refers to is a fault already.
    if (this.#others === 'skip') this.#unsupported([...path, field], `its ${field} is passed over`)
    this.#passedOver.add(kind, body)
    return false
  }

  #wrong(path: Path, reason: string): void {
    this.faults.push({ path, reason })
  }

  /** What is a fault, or passed over where that is asked for. */
  #unsupported(path: Path, reason: string): void {
    if (this.#others === 'skip') this.skipped.push({ path, reason })
    else this.#wrong(path, reason)
  }

  /** What decK writes beside the lists: tags that all records have, and configurations that plugins share. */
  #deck({ _info: info, _plugin_configs: configs, workspaces }: Body): void {
    if (isBody(configs)) this.#configs = configs
    if (Array.isArray(workspaces) && workspaces.length > 1) {
      this.#unsupported(['workspaces'], 'all records are in one workspace here')
    }
    if (!isBody(info)) return
    const { select_tags: tags, defaults } = info
    if (Array.isArray(tags)) this.#tags = tags.filter((tag) => typeof tag === 'string')
    if (isBody(defaults) && Object.keys(defaults).length > 0) {
      this.#unsupported(['_info', 'defaults'], "decK's defaults are not taken: say them in the records")
    }
  }

  #lists(record: Body, path: Path, owner: Owner | null): void {
    for (const [name, value] of Object.entries(record)) {
      const kind = KIND_OF.get(name)
      if (kind !== undefined) this.#list(kind, value, [...path, name], owner)
      else if (UNSUPPORTED_LISTS.has(name)) this.#otherList(name, value, [...path, name])
      else if (!(METADATA_FIELDS.has(name) || DECK_FIELDS.has(name) || isExtension(name))) {
        this.#wrong([...path, name], 'unknown field')
      }
    }
  }

  #otherList(name: string, value: unknown, path: Path): void {
    if (value === null || (Array.isArray(value) && value.length === 0)) return
    if (this.#others === 'refuse' || !Array.isArray(value)) {
      this.#unsupported(path, `${name} are not taken`)
      return
    }
    const items: readonly unknown[] = value
    for (const [index, item] of items.entries()) {
      this.#unsupported([...path, index], `${name} are not taken`)
      this.#canariesWithin(item, [...path, index], `a canary within ${name}`)
    }
  }

  /** Says each canary that is passed over with what it is in. */
  #canariesWithin(record: unknown, path: Path, reason: string): void {
    if (this.#others === 'refuse' || !isBody(record)) return
    for (const [name, value] of Object.entries(record)) {
      if (!(KIND_OF.has(name) || UNSUPPORTED_LISTS.has(name)) || !Array.isArray(value)) continue
      const items: readonly unknown[] = value
      for (const [index, item] of items.entries()) {
        const at = [...path, name, index]
        if (name === 'plugins' && isBody(item) && item.name === 'canary') this.#unsupported(at, reason)
        else this.#canariesWithin(item, at, reason)
      }
    }
  }

  #list(kind: EntityKind, value: unknown, path: Path, owner: Owner | null): void {
    if (value === null) return
    if (!Array.isArray(value)) {
      this.#wrong(path, 'expected an array')
      return
    }
    const items: readonly unknown[] = value
    for (const [index, item] of items.entries()) this.#entity(kind, item, [...path, index], owner)
  }

  #entity(kind: EntityKind, item: unknown, path: Path, owner: Owner | null): void {
    if (!isBody(item)) {
      this.#wrong(path, 'expected a record')
      return
    }
    const refusal = refusalOf(kind, item)
    if (refusal !== null) {
      this.#unsupported([...path, refusal.field], refusal.reason)
      this.#passedOver.add(kind, item)
      this.#canariesWithin(item, path, `a canary on what is passed over: ${refusal.reason}`)
      return
    }
    const nested = NESTED.get(kind)
    const own: Record<string, unknown> = owner === null ? {} : { [owner.field]: { id: owner.id } }
    const lists: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(this.#withConfig(kind, item, path))) {
      const isList = nested?.lists.includes(name) === true
      if (isList || (nested !== undefined && UNSUPPORTED_LISTS.has(name) && !isKongField(kind, name))) {
        define(lists, name, value)
      } else if (owner !== null && name === owner.field) {
        if (value !== null) this.#wrong([...path, name], 'is said by its place already')
      } else if (this.#isKept(kind, name, value, path)) define(own, name, referenceOf(name, value))
    }
    if (this.#tags.length > 0) own.tags = withTags(own.tags, this.#tags)
    const idIsDerived = typeof item.id !== 'string'
    const id = typeof item.id === 'string' ? item.id.toLowerCase() : derivedId(kind, own, path)
    this.#read.push({ kind, body: { ...own, id }, path, idIsDerived })
    if (nested !== undefined) this.#lists(lists, path, { field: nested.field, id })
  }

  /** A plugin with what it takes from a configuration that decK shares among plugins. */
  #withConfig(kind: EntityKind, item: Body, path: Path): Body {
    const { _config: name, ...rest } = item
    if (kind !== 'plugins' || name === undefined || name === null) return item
    const shared = typeof name === 'string' && Object.hasOwn(this.#configs, name) ? this.#configs[name] : undefined
    if (!isBody(shared)) {
      this.#wrong([...path, '_config'], 'is none of _plugin_configs')
      return rest
    }
    return { ...rest, config: { ...shared, ...(isBody(rest.config) ? rest.config : {}) } }
  }

  /** Whether a field is one of the record's: Kong's others are left out, and said where they say something. */
  #isKept(kind: EntityKind, name: string, value: unknown, path: Path): boolean {
    if (name === '_comment' || name === '_ignore' || isExtension(name)) return false
    if (saysNothing(kind, name, value)) return false
    if (this.#others === 'refuse' || !isKongField(kind, name)) return true
    this.#unsupported([...path, name], unknownField(kind, name))
    return false
  }
}

const DECK_FIELDS: ReadonlySet<string> = new Set(['_info', '_plugin_configs', 'workspaces'])

/** Sets a property of any name, also `__proto__`, which then is an unknown field like any other. */
function define(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
}

/** In files, a reference may be just a name. */
function referenceOf(name: string, value: unknown): unknown {
  if (!REFERENCES.has(name) || typeof value !== 'string') return value
  if (isUuid(value)) return { id: value }
  return name === 'consumer' ? { username: value } : { name: value }
}

function withTags(own: unknown, tags: readonly string[]): unknown {
  if (own === undefined || own === null) return tags
  if (!Array.isArray(own)) return own
  const present: readonly unknown[] = own
  return [...present, ...tags.filter((tag) => !present.includes(tag))]
}
