import type { Plugin } from '../entities/entities.js'

/** Where a request is, as keys of scopes; '' for what it is not on, which no scope has. */
export interface ScopeKeys {
  /** Route and service. */
  readonly pair: string
  readonly route: string
  readonly service: string
  readonly api: string
}

/** @param service id, or `null` where a request is on none */
export function scopeKeys(service: string | null, route: string | null, api: string | null): ScopeKeys {
  return {
    pair: service === null || route === null ? '' : `pair ${route} ${service}`,
    route: route === null ? '' : `route ${route}`,
    service: service === null ? '' : `service ${service}`,
    api: api === null ? '' : `api ${api}`,
  }
}

/** The one key of a plugin's scope, its consumer apart; '' for anywhere. */
function scopeKeyOf({ route, service, api }: Plugin): string {
  const keys = scopeKeys(service?.id ?? null, route?.id ?? null, api?.id ?? null)
  return keys.pair || keys.route || keys.service || keys.api
}

/** Entries of everyone or of one consumer, by where they are. */
export class Scopes<Entry> {
  readonly #placed = new Map<string, Entry>()
  anywhere: Entry | null = null

  get isEmpty(): boolean {
    return this.#placed.size === 0 && this.anywhere === null
  }

  set(plugin: Plugin, entry: Entry | null): void {
    const key = scopeKeyOf(plugin)
    if (key === '') this.anywhere = entry
    else if (entry === null) this.#placed.delete(key)
    else this.#placed.set(key, entry)
  }

  at(key: string): Entry | null {
    return key === '' ? null : (this.#placed.get(key) ?? null)
  }
}

/** What holds the entries of one consumer. */
export interface ScopeHolder<Entry> {
  scopes: Scopes<Entry> | null
}

/** Entries by the scope of their plugin; disabled plugins are not in it. One entry at most has each scope. */
export class ScopeIndex<Entry> {
  readonly #everyone = new Scopes<Entry>()
  readonly #holderOf: (consumer: string) => ScopeHolder<Entry> | null

  constructor(holderOf: (consumer: string) => ScopeHolder<Entry> | null) {
    this.#holderOf = holderOf
  }

  set(plugin: Plugin, entry: Entry | null): void {
    const { consumer } = plugin
    if (consumer === null) {
      this.#everyone.set(plugin, entry)
      return
    }
    const holder = this.#holderOf(consumer.id)
    if (holder === null) return
    holder.scopes ??= new Scopes<Entry>()
    holder.scopes.set(plugin, entry)
    if (holder.scopes.isEmpty) holder.scopes = null
  }

  /** Of a mount: what goes before a consumer's entry that is not bound to a place, and what goes after it. */
  ofEveryone({ pair, route, service, api }: ScopeKeys): OfEveryone<Entry> {
    const everyone = this.#everyone
    return {
      pair: everyone.at(pair),
      rest: everyone.at(route) ?? everyone.at(service) ?? everyone.at(api) ?? everyone.anywhere,
    }
  }
}

export interface OfEveryone<Entry> {
  readonly pair: Entry | null
  readonly rest: Entry | null
}

/**
 * The one entry in force for a consumer, in Kong's order: consumer+route+service, consumer+route, consumer+service,
 * consumer+api, route+service, consumer, route, service, api, global.
 */
export function mostSpecific<Entry>(
  scopes: Scopes<Entry> | null,
  { pair, route, service, api }: ScopeKeys,
  everyone: OfEveryone<Entry>,
): Entry | null {
  if (scopes === null) return everyone.pair ?? everyone.rest
  return (
    scopes.at(pair) ??
    scopes.at(route) ??
    scopes.at(service) ??
    scopes.at(api) ??
    everyone.pair ??
    scopes.anywhere ??
    everyone.rest
  )
}
