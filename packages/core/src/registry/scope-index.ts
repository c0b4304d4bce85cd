import type { Plugin } from './entities.js'

/** Where a request is: ids, `null` for what it is not on. */
export interface Where {
  readonly service: string | null
  readonly route: string | null
  readonly api: string | null
  /** Route and service as one key. */
  readonly pair: string | null
}

export function whereOf(service: string | null, route: string | null, api: string | null): Where {
  return { service, route, api, pair: route === null || service === null ? null : pairOf(route, service) }
}

function pairOf(route: string, service: string): string {
  return `${route}|${service}`
}

/** Entries of everyone or of one consumer, by where they are. */
export class Scopes<Entry> {
  readonly pairs = new Map<string, Entry>()
  readonly routes = new Map<string, Entry>()
  readonly services = new Map<string, Entry>()
  readonly apis = new Map<string, Entry>()
  anywhere: Entry | null = null

  get isEmpty(): boolean {
    return this.pairs.size + this.routes.size + this.services.size + this.apis.size === 0 && this.anywhere === null
  }

  set({ route, service, api }: Plugin, entry: Entry | null): void {
    if (route !== null && service !== null) put(this.pairs, pairOf(route.id, service.id), entry)
    else if (route !== null) put(this.routes, route.id, entry)
    else if (service !== null) put(this.services, service.id, entry)
    else if (api !== null) put(this.apis, api.id, entry)
    else this.anywhere = entry
  }
}

function put<Entry>(map: Map<string, Entry>, key: string, entry: Entry | null): void {
  if (entry === null) map.delete(key)
  else map.set(key, entry)
}

/** Entries by the scope of their plugin; disabled plugins are not in it. One entry at most has each scope. */
export class ScopeIndex<Entry> {
  readonly #everyone = new Scopes<Entry>()
  readonly #ofConsumer = new Map<string, Scopes<Entry>>()

  set(plugin: Plugin, entry: Entry | null): void {
    const { consumer } = plugin
    if (consumer === null) {
      this.#everyone.set(plugin, entry)
      return
    }
    const scopes = this.#ofConsumer.get(consumer.id) ?? new Scopes<Entry>()
    scopes.set(plugin, entry)
    if (scopes.isEmpty) this.#ofConsumer.delete(consumer.id)
    else this.#ofConsumer.set(consumer.id, scopes)
  }

  /** The entries of one consumer; `undefined` for nearly all consumers. */
  ofConsumer(id: string): Scopes<Entry> | undefined {
    return this.#ofConsumer.get(id)
  }

  /** Of a mount: what goes before a consumer's entry that is not bound to a place, and what goes after it. */
  ofEveryone(where: Where): { readonly pair: Entry | null; readonly rest: Entry | null } {
    const { pairs, routes, services, apis, anywhere } = this.#everyone
    return {
      pair: at(pairs, where.pair),
      rest: at(routes, where.route) ?? at(services, where.service) ?? at(apis, where.api) ?? anywhere,
    }
  }
}

function at<Entry>(map: ReadonlyMap<string, Entry>, key: string | null): Entry | null {
  return key === null ? null : (map.get(key) ?? null)
}

/**
 * The one entry in force for a consumer, in Kong's order: consumer+route+service, consumer+route, consumer+service,
 * consumer+api, route+service, consumer, route, service, api, global.
 */
export function mostSpecific<Entry>(
  scopes: Scopes<Entry> | undefined,
  where: Where,
  everyone: { readonly pair: Entry | null; readonly rest: Entry | null },
): Entry | null {
  if (scopes === undefined) return everyone.pair ?? everyone.rest
  return (
    at(scopes.pairs, where.pair) ??
    at(scopes.routes, where.route) ??
    at(scopes.services, where.service) ??
    at(scopes.apis, where.api) ??
    everyone.pair ??
    scopes.anywhere ??
    everyone.rest
  )
}
