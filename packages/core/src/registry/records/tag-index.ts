import type { EntityKind } from '../entities/entities.js'
import { SortedIds } from './sorted-ids.js'
import type { Row } from './rows.js'

/** Which rows of a kind have a tag, so that a list by tags looks at no others. */
export class TagIndex {
  readonly #ids = new Map<string, { readonly ids: SortedIds; count: number }>()

  /** Takes a row's change. */
  apply(kind: EntityKind, id: string, before: Row | null, after: Row | null): void {
    const [old, fresh] = [new Set(before?.entity.tags ?? []), new Set(after?.entity.tags ?? [])]
    for (const tag of old) if (!fresh.has(tag)) this.#remove(tagKey(kind, tag), id)
    for (const tag of fresh) if (!old.has(tag)) this.#add(tagKey(kind, tag), id)
  }

  /** The ids with a tag; `null` where nothing has it. */
  find(kind: EntityKind, tag: string): SortedIds | null {
    return this.#ids.get(tagKey(kind, tag))?.ids ?? null
  }

  /** How many rows have a tag. */
  count(kind: EntityKind, tag: string): number {
    return this.#ids.get(tagKey(kind, tag))?.count ?? 0
  }

  #add(key: string, id: string): void {
    const known = this.#ids.get(key) ?? { ids: new SortedIds(), count: 0 }
    known.ids.add(id)
    known.count += 1
    this.#ids.set(key, known)
  }

  #remove(key: string, id: string): void {
    const known = this.#ids.get(key)
    if (known === undefined) return
    known.ids.delete(id)
    known.count -= 1
    if (known.count === 0) this.#ids.delete(key)
  }
}

function tagKey(kind: EntityKind, tag: string): string {
  return `${kind} ${tag}`
}
