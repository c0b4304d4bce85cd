import type { EntityKind, EntityOf } from './entities.js'
import { type Row, isOf } from './store.js'

/** A consumer that the registry knows, as a decision needs it. */
export interface KnownConsumer {
  /** What is hashed, however the caller was named. */
  readonly id: string
  readonly groups: readonly string[]
}

class Known implements KnownConsumer {
  readonly id: string
  groups: readonly string[] = []

  constructor(id: string) {
    this.id = id
  }
}

type Names = Map<string, Known>

/** Consumers by all that a caller may be known by, with their groups. */
export class KnownConsumers {
  readonly #byId: Names = new Map()
  readonly #byUsername: Names = new Map()
  readonly #byCustomId: Names = new Map()
  readonly #byKey: Names = new Map()

  find(text: string): KnownConsumer | null {
    return (
      this.#byId.get(text) ?? this.#byUsername.get(text) ?? this.#byCustomId.get(text) ?? this.#byKey.get(text) ?? null
    )
  }

  /** Takes a row as it was and as it is. A consumer comes before its credentials and groups, and goes after them. */
  apply(before: Row | null, after: Row | null): void {
    const row = after ?? before
    if (row === null) return
    if (isOf(row, 'consumers')) this.#consumer(entityOf(before, 'consumers'), entityOf(after, 'consumers'))
    else if (isOf(row, 'keyauth_credentials')) {
      this.#credential(entityOf(before, 'keyauth_credentials'), entityOf(after, 'keyauth_credentials'))
    } else if (isOf(row, 'acls')) this.#membership(entityOf(before, 'acls'), entityOf(after, 'acls'))
  }

  #consumer(before: EntityOf<'consumers'> | null, after: EntityOf<'consumers'> | null): void {
    const id = after?.id ?? before?.id
    if (id === undefined) return
    const known = this.#byId.get(id) ?? new Known(id)
    forget(this.#byUsername, before?.username, known)
    forget(this.#byCustomId, before?.custom_id, known)
    if (after === null) {
      this.#byId.delete(id)
      return
    }
    this.#byId.set(id, known)
    learn(this.#byUsername, after.username, known)
    learn(this.#byCustomId, after.custom_id, known)
  }

  #credential(before: EntityOf<'keyauth_credentials'> | null, after: EntityOf<'keyauth_credentials'> | null): void {
    if (before !== null) this.#byKey.delete(before.key)
    const known = after === null ? undefined : this.#byId.get(after.consumer.id)
    if (after !== null && known !== undefined) this.#byKey.set(after.key, known)
  }

  #membership(before: EntityOf<'acls'> | null, after: EntityOf<'acls'> | null): void {
    const left = before === null ? undefined : this.#byId.get(before.consumer.id)
    if (left !== undefined) left.groups = left.groups.filter((group) => group !== before?.group)
    const joined = after === null ? undefined : this.#byId.get(after.consumer.id)
    if (joined !== undefined && after !== null) joined.groups = [...joined.groups, after.group]
  }
}

function entityOf<Kind extends EntityKind>(row: Row | null, kind: Kind): EntityOf<Kind> | null {
  return row !== null && isOf(row, kind) ? row.entity : null
}

function learn(names: Names, name: string | null, known: Known): void {
  if (name !== null) names.set(name, known)
}

/** A name may have gone over to another consumer in the same change. */
function forget(names: Names, name: string | null | undefined, known: Known): void {
  if (name !== null && name !== undefined && names.get(name) === known) names.delete(name)
}
