import type { Plugin } from '../entities/entities.js'
import type { KnownConsumers } from './known-consumers.js'
import { LiveRelease, type OnMoved } from './live-release.js'
import type { ReleaseDefaults } from '../records/record-release.js'
import { ScopeIndex } from './scope-index.js'
import { type Row, isOf } from '../records/store.js'
import type { Tables } from '../records/tables.js'

/** The live releases of all plugins, by id and by scope. */
export class LiveReleases {
  readonly scopes: ScopeIndex<LiveRelease>
  readonly #byId = new Map<string, LiveRelease>()
  readonly #defaults: ReleaseDefaults
  readonly #onMoved: OnMoved

  constructor(consumers: KnownConsumers, defaults: ReleaseDefaults, onMoved: OnMoved) {
    this.scopes = new ScopeIndex((consumer) => consumers.byId(consumer))
    this.#defaults = defaults
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
      return
    }
    const live = known ?? new LiveRelease(row, this.#defaults, this.#onMoved)
    if (known === undefined) this.#byId.set(id, live)
    else known.adopt(row)
    if (enabled) this.scopes.set(row.entity, live)
  }

  /** A of these plugins is another one now; on consumers and everywhere, A was never one place. */
  #locationMoved(row: Row, tables: Tables): void {
    const { kind, entity } = row
    const routes = kind === 'services' ? tables.referrers(kind, entity.id, 'routes') : []
    const plugins = [row, ...routes].flatMap((at) => tables.referrers(at.kind, at.entity.id, 'plugins'))
    for (const plugin of new Set(plugins)) {
      if (isPlugin(plugin.entity) && plugin.entity.consumer === null) this.#byId.get(plugin.entity.id)?.moved()
    }
  }
}

function isPlugin(entity: Row['entity']): entity is Plugin {
  return 'config' in entity
}

const LOCATION_FIELDS = ['protocol', 'host', 'port', 'path', 'upstream_url', 'service'] as const

function hasMoved(before: Row, after: Row): boolean {
  return LOCATION_FIELDS.some((field) => {
    const [was, is]: unknown[] = [Reflect.get(before.entity, field), Reflect.get(after.entity, field)]
    return was !== is && JSON.stringify(was) !== JSON.stringify(is)
  })
}
