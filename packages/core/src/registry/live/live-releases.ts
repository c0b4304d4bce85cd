import type { KnownConsumers } from './known-consumers.js'
import type { LiveGuards } from './live-guards.js'
import { LiveRelease, type OnMoved } from './live-release.js'
import { hasMoved, pluginsAt } from '../records/place-of-a.js'
import type { ReleaseDefaults } from '../records/record-release.js'
import { ScopeIndex } from './scope-index.js'
import { type Row, isOf } from '../records/rows.js'
import type { Tables } from '../records/tables.js'

/** The live releases of all plugins, by id and by scope. */
export class LiveReleases {
  readonly scopes: ScopeIndex<LiveRelease>
  readonly #byId = new Map<string, LiveRelease>()
  readonly #defaults: ReleaseDefaults
  readonly #guards: LiveGuards
  readonly #onMoved: OnMoved

  constructor(consumers: KnownConsumers, defaults: ReleaseDefaults, guards: LiveGuards, onMoved: OnMoved) {
    this.scopes = new ScopeIndex((consumer) => consumers.byId(consumer))
    this.#defaults = defaults
    this.#guards = guards
    this.#onMoved = onMoved
  }

  get(id: string): LiveRelease | null {
    return this.#byId.get(id) ?? null
  }

  /** Takes plugins away before others come, as one may take over the scope of another. */
  leave(before: Row): void {
    if (isOf(before, 'plugins') && before.entity.enabled) this.scopes.set(before.entity, null)
  }

  apply(before: Row | null, after: Row | null, tables: Tables): void {
    const row = after ?? before
    if (row === null) return
    if (isOf(row, 'plugins')) this.#plugin(row, after === null)
    else if (before !== null && after !== null && hasMoved(before, after)) this.#locationMoved(row, tables)
  }

  close(): void {
    for (const live of this.#byId.values()) live.close()
  }

  #plugin(row: Row<'plugins'>, gone: boolean): void {
    const { id, enabled } = row.entity
    const known = this.#byId.get(id)
    if (gone) {
      known?.close()
      this.#byId.delete(id)
      this.#guards.gone(id)
      return
    }
    const live = known ?? new LiveRelease(row, this.#defaults, this.#guards, this.#onMoved)
    if (known === undefined) this.#byId.set(id, live)
    else known.adopt(row)
    if (enabled) this.scopes.set(row.entity, live)
  }

  /** A of these plugins is another one now. */
  #locationMoved(row: Row, tables: Tables): void {
    for (const { entity } of pluginsAt(tables, row)) this.#byId.get(entity.id)?.moved()
  }
}
