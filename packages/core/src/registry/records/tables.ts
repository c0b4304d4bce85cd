import type { EntityKind } from '../entities/entities.js'
import { isUuid } from '../entities/fields.js'
import { NAMES_OF, uniqueKeyText, referencesOf, uniqueKeysOf } from '../entities/keys.js'
import { WHOLE, childrenKey, rowKey, uniqueKey } from './conflict-keys.js'
import { type Row, type RowChange, isOf } from './rows.js'
import { type UniqueKey, uniqueViolation } from '../entities/violation.js'

/** One row of a table written, or taken away. */
export interface TableChange extends RowChange {
  readonly row: Row | null
}

/**
 * Rows with what makes them findable: unique keys and who refers to whom. A table laid over another one holds only what
 * differs, so that a change costs what it touches; and it knows what of the other was looked at.
 */
export class Tables {
  readonly #under: Tables | null
  readonly #reads = new Set<string>()
  readonly #rows = new Map<string, Row | null>()
  readonly #owners = new Map<string, string | null>()
  /** Of an upper table: who came to refer. Who refers no more is seen by looking at the row. */
  readonly #referrers = new Map<string, Set<string>>()

  constructor(under: Tables | null = null) {
    this.#under = under
  }

  /** Of an upper table: the keys of what was looked at, found or not. */
  get reads(): ReadonlySet<string> {
    return this.#reads
  }

  get<Kind extends EntityKind>(kind: Kind, id: string): Row<Kind> | null {
    const key = rowKey(kind, id)
    this.#saw(key)
    const row = this.#row(key)
    return row !== null && isOf(row, kind) ? row : null
  }

  /** By id or by one of its names. */
  find<Kind extends EntityKind>(kind: Kind, key: string): Row<Kind> | null {
    const byId = isUuid(key) ? this.get(kind, key.toLowerCase()) : null
    if (byId !== null) return byId
    for (const field of NAMES_OF[kind]) {
      const id = this.owner(kind, { [field]: key })
      if (id !== null) return this.get(kind, id)
    }
    return null
  }

  /** Rows that refer to this one, of one kind or of all. */
  referrers(kind: EntityKind, id: string, from?: EntityKind): Row[] {
    const node = rowKey(kind, id)
    this.#saw(childrenKey(kind, id))
    const nodes = new Set([...(this.#under?.referring(node) ?? []), ...this.referring(node)])
    const rows: Row[] = []
    for (const referrer of nodes) {
      const row = this.#row(referrer)
      if (row === null || (from !== undefined && row.kind !== from)) continue
      if (!referencesOf(row.kind, row.entity).some((to) => to.kind === kind && to.id === id)) continue
      this.#saw(referrer)
      rows.push(row)
    }
    return rows
  }

  referring(node: string): Iterable<string> {
    return this.#referrers.get(node) ?? []
  }

  /**
   * Writes a row.
   *
   * @throws {ViolationError} where another row has one of its unique keys
   */
  put(row: Row): void {
    const { kind, entity } = row
    this.#saw(rowKey(kind, entity.id))
    this.#release(kind, entity.id)
    for (const key of uniqueKeysOf(kind, entity)) {
      const owner = this.owner(kind, key)
      if (owner !== null && owner !== entity.id) {
        throw uniqueViolation(kind === 'keyauth_credentials' ? { key: '(not shown)' } : key)
      }
    }
    this.#hold(row)
  }

  remove(kind: EntityKind, id: string): void {
    this.#saw(rowKey(kind, id))
    this.#release(kind, id)
    this.#set(rowKey(kind, id), null)
  }

  /** Takes changes that were checked where they were made: first all keys are let go, so that names may be swapped. */
  apply(changes: readonly TableChange[]): void {
    for (const { kind, id, row } of changes) {
      if (row === null) this.remove(kind, id)
      else this.#release(kind, id)
    }
    for (const { row } of changes) if (row !== null) this.#hold(row)
  }

  /** What an upper table holds. */
  changes(): TableChange[] {
    const changes: TableChange[] = []
    for (const [node, row] of this.#rows) {
      const before = this.#under?.row(node) ?? null
      const { kind, entity } = row ?? before ?? {}
      if (kind !== undefined && entity !== undefined && row !== before) changes.push({ kind, id: entity.id, row })
    }
    return changes
  }

  *rows(): Iterable<Row> {
    this.#saw(WHOLE)
    for (const row of this.#under?.rows() ?? []) if (!this.#rows.has(rowKey(row.kind, row.entity.id))) yield row
    for (const row of this.#rows.values()) if (row !== null) yield row
  }

  row(node: string): Row | null {
    return this.#row(node)
  }

  /** The id of the row that has a unique key. */
  owner(kind: EntityKind, key: UniqueKey): string | null {
    this.#saw(uniqueKey(kind, key))
    return this.#owner(uniqueKeyText(kind, key))
  }

  ownerOf(text: string): string | null {
    return this.#owner(text)
  }

  #saw(key: string): void {
    if (this.#under !== null) this.#reads.add(key)
  }

  #row(node: string): Row | null {
    const own = this.#rows.get(node)
    return own === undefined ? (this.#under?.row(node) ?? null) : own
  }

  #owner(key: string): string | null {
    const own = this.#owners.get(key)
    return own === undefined ? (this.#under?.ownerOf(key) ?? null) : own
  }

  #hold(row: Row): void {
    const { kind, entity } = row
    for (const key of uniqueKeysOf(kind, entity)) this.#owners.set(uniqueKeyText(kind, key), entity.id)
    for (const to of referencesOf(kind, entity)) {
      const node = rowKey(to.kind, to.id)
      const known = this.#referrers.get(node)
      if (known === undefined) this.#referrers.set(node, new Set([rowKey(kind, entity.id)]))
      else known.add(rowKey(kind, entity.id))
    }
    this.#set(rowKey(kind, entity.id), row)
  }

  /** Lets go of a row's keys and references. */
  #release(kind: EntityKind, id: string): void {
    const row = this.#row(rowKey(kind, id))
    if (row === null) return
    for (const key of uniqueKeysOf(row.kind, row.entity)) {
      const text = uniqueKeyText(kind, key)
      if (this.#owner(text) !== id) continue
      if (this.#under === null) this.#owners.delete(text)
      else this.#owners.set(text, null)
    }
    for (const to of referencesOf(row.kind, row.entity)) {
      const node = rowKey(to.kind, to.id)
      const known = this.#referrers.get(node)
      known?.delete(rowKey(kind, id))
      if (known?.size === 0) this.#referrers.delete(node)
    }
  }

  #set(node: string, row: Row | null): void {
    if (row === null && this.#under === null) this.#rows.delete(node)
    else this.#rows.set(node, row)
  }
}
