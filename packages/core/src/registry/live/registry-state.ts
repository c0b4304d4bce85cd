import { isDeepStrictEqual } from 'node:util'
import { ENTITY_KINDS, type EntityKind } from '../entities/entities.js'
import { KnownConsumers } from './known-consumers.js'
import type { LiveGuards } from './live-guards.js'
import type { OnMoved } from './live-release.js'
import { LiveReleases } from './live-releases.js'
import type { ReleaseDefaults } from '../records/record-release.js'
import { SortedIds } from '../records/sorted-ids.js'
import { type Row, rowOf } from '../records/rows.js'
import { type Commit, NOWHERE, type Position, type StoredState } from '../records/store.js'
import { type TableChange, Tables } from '../records/tables.js'
import { TagIndex } from '../records/tag-index.js'

type IdsByKind = { readonly [Kind in EntityKind]: SortedIds }

/**
 * What is in force: the rows and all that is looked up by them. A change is applied in one step and costs what it
 * touches, so that nobody ever reads half of one.
 */
export class RegistryState {
  readonly tables = new Tables()
  readonly consumers = new KnownConsumers()
  readonly tags = new TagIndex()
  readonly live: LiveReleases
  readonly ids: IdsByKind = {
    services: new SortedIds(),
    routes: new SortedIds(),
    consumers: new SortedIds(),
    apis: new SortedIds(),
    plugins: new SortedIds(),
    keyauth_credentials: new SortedIds(),
    acls: new SortedIds(),
  }
  #at = NOWHERE

  constructor(defaults: ReleaseDefaults, guards: LiveGuards, onMoved: OnMoved) {
    this.live = new LiveReleases(this.consumers, defaults, guards, onMoved)
  }

  /** Where in the store's history this is. */
  get at(): Position {
    return this.#at
  }

  /** Takes the commit that follows on what is in force. */
  apply({ id, version, changes }: Commit, epoch: string): void {
    this.#take(changes.map((change) => ({ ...change, row: rowOf(change, version) })))
    this.#at = { epoch, version, id }
  }

  /** Takes a whole state, by what differs from the present one. */
  replace({ at, rows }: StoredState): void {
    const gone = new Map<string, TableChange>()
    for (const { kind, entity } of this.tables.rows())
      gone.set(`${kind}/${entity.id}`, { kind, id: entity.id, row: null })
    const changes: TableChange[] = []
    for (const row of rows) {
      const { kind, entity } = row
      gone.delete(`${kind}/${entity.id}`)
      if (!isDeepStrictEqual(this.tables.get(kind, entity.id), row)) changes.push({ kind, id: entity.id, row })
    }
    this.#take([...gone.values(), ...changes])
    this.#at = at
  }

  snapshot(): StoredState {
    return { at: this.#at, rows: [...this.tables.rows()] }
  }

  #take(changes: readonly TableChange[]): void {
    const touched = changes.map((change) => ({ ...change, before: this.tables.get(change.kind, change.id) }))
    this.tables.apply(changes)
    for (const { before } of touched) {
      if (before === null) continue
      this.live.leave(before)
      this.consumers.leave(before)
    }
    // What refers goes before what it refers to, and comes after it.
    const inOrder = touched.toSorted((a, b) => RANK[a.kind] - RANK[b.kind])
    for (const { kind, id, before, row } of inOrder.toReversed()) {
      if (row !== null) continue
      this.#index(kind, id, before, null)
    }
    for (const { kind, id, before, row } of inOrder) {
      if (row !== null) this.#index(kind, id, before, row)
    }
  }

  #index(kind: EntityKind, id: string, before: Row | null, after: Row | null): void {
    this.consumers.apply(before, after)
    this.live.apply(before, after, this.tables)
    this.tags.apply(kind, id, before, after)
    if (before === null && after !== null) this.ids[kind].add(id)
    else if (before !== null && after === null) this.ids[kind].delete(id)
  }
}

const RANK = rankOf(ENTITY_KINDS)

function rankOf(kinds: readonly EntityKind[]): { readonly [Kind in EntityKind]: number } {
  const rank = (kind: EntityKind) => kinds.indexOf(kind)
  return {
    services: rank('services'),
    routes: rank('routes'),
    consumers: rank('consumers'),
    apis: rank('apis'),
    keyauth_credentials: rank('keyauth_credentials'),
    acls: rank('acls'),
    plugins: rank('plugins'),
  }
}
