import type { EntityKind, EntityOf } from '../entities/entities.js'
import type { LiveRelease } from './live-release.js'
import type { KnownConsumer } from './release-lookup.js'
import type { Scopes } from './scope-index.js'
import { type Row, isOf } from '../records/rows.js'
import { meantText } from '../../decision/wire-text.js'
import { isUuid } from '../entities/fields.js'
import { TextTable } from './text-table.js'

/** The consumer with what is looked up by it: found once, everything else is at hand. */
export class Known implements KnownConsumer {
  readonly id: string
  groups: readonly string[] = []
  #scopes: Scopes<LiveRelease> | null = null

  constructor(id: string) {
    this.id = id
  }

  /** Releases on this consumer; `null` for nearly all. Not enumerable: a consumer may be printed. */
  get scopes(): Scopes<LiveRelease> | null {
    return this.#scopes
  }

  set scopes(scopes: Scopes<LiveRelease> | null) {
    this.#scopes = scopes
  }
}

type Names = Map<string, Known>

/** Consumers by all that a caller may be known by, with their groups. */
export class KnownConsumers {
  readonly #byId: Names = new Map()
  readonly #byUsername: Names = new Map()
  readonly #byCustomId: Names = new Map()
  readonly #byKey: Names = new Map()
  /** The first of these four for each text: one look-up for each request. */
  readonly #byAny = new TextTable<Known>()

  /** An id in capitals is the same id, and a name that a header brought is meant as its UTF-8. */
  find(text: string): Known | null {
    return this.#byAny.get(text) ?? this.#findMeant(text)
  }

  #findMeant(text: string): Known | null {
    if (isUuid(text)) return this.byId(text.toLowerCase())
    const meant = meantText(text)
    return meant === text ? null : this.#byAny.get(meant)
  }

  byId(id: string): Known | null {
    return this.#byId.get(id) ?? null
  }

  /** A Map compares texts only where their seeded hashes are equal: the time says nothing of how near a guess came. */
  byKey(key: string): Known | null {
    return this.#byKey.get(key) ?? null
  }

  /**
   * Lets go of what a row gives its consumer, before any row of the same change is taken: keys and groups may change
   * hands in it.
   */
  leave(before: Row): void {
    if (isOf(before, 'keyauth_credentials')) {
      const { key } = before.entity
      this.#forget(this.#byKey, key, this.#byKey.get(key))
    } else if (isOf(before, 'acls')) {
      const { consumer, group } = before.entity
      const left = this.#byId.get(consumer.id)
      if (left !== undefined) left.groups = left.groups.filter((one) => one !== group)
    }
  }

  /**
   * Takes a row as it was and as it is, after {@link leave}. A consumer comes before its credentials and groups, and
   * goes after them.
   */
  apply(before: Row | null, after: Row | null): void {
    const row = after ?? before
    if (row === null) return
    if (isOf(row, 'consumers')) this.#consumer(entityOf(before, 'consumers'), entityOf(after, 'consumers'))
    else if (after !== null && isOf(after, 'keyauth_credentials')) this.#credential(after.entity)
    else if (after !== null && isOf(after, 'acls')) this.#membership(after.entity)
  }

  #consumer(before: EntityOf<'consumers'> | null, after: EntityOf<'consumers'> | null): void {
    const id = after?.id ?? before?.id
    if (id === undefined) return
    const known = this.#byId.get(id) ?? new Known(id)
    this.#forget(this.#byUsername, before?.username, known)
    this.#forget(this.#byCustomId, before?.custom_id, known)
    if (after === null) {
      this.#forget(this.#byId, id, known)
      return
    }
    this.#register(this.#byId, id, known)
    this.#register(this.#byUsername, after.username, known)
    this.#register(this.#byCustomId, after.custom_id, known)
  }

  #credential({ key, consumer }: EntityOf<'keyauth_credentials'>): void {
    const known = this.#byId.get(consumer.id)
    if (known !== undefined) this.#register(this.#byKey, key, known)
  }

  #membership({ consumer, group }: EntityOf<'acls'>): void {
    const joined = this.#byId.get(consumer.id)
    if (joined !== undefined) joined.groups = [...joined.groups, group]
  }

  #register(names: Names, name: string | null, known: Known): void {
    if (name === null) return
    names.set(name, known)
    this.#settle(name)
  }

  /** A name may have gone over to another consumer in the same change. */
  #forget(names: Names, name: string | null | undefined, known: Known | undefined): void {
    if (name === null || name === undefined || names.get(name) !== known) return
    names.delete(name)
    this.#settle(name)
  }

  #settle(text: string): void {
    const first =
      this.#byId.get(text) ?? this.#byUsername.get(text) ?? this.#byCustomId.get(text) ?? this.#byKey.get(text)
    if (first === undefined) this.#byAny.delete(text)
    else this.#byAny.set(text, first)
  }
}

function entityOf<Kind extends EntityKind>(row: Row | null, kind: Kind): EntityOf<Kind> | null {
  return row !== null && isOf(row, kind) ? row.entity : null
}
