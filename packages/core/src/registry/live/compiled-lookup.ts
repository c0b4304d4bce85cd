import { CanaryError } from '../../errors.js'
import { attempt } from '../../hook.js'
import { optionError } from '../../option-error.js'
import type { Logger } from '../../logger.js'
import type { UrlUpstream } from '../../upstream.js'
import type { KnownConsumers } from './known-consumers.js'
import type { LiveRelease } from './live-release.js'
import type { LiveReleases } from './live-releases.js'
import { locationOf } from '../entities/location.js'
import type { Found, LocatedPlainPlace, MountScope, ReleaseLookup } from './release-lookup.js'
import { type OfEveryone, type ScopeKeys, mostSpecific, scopeKeys } from './scope-index.js'
import type { Row } from '../records/rows.js'
import type { Tables } from '../records/tables.js'

/** What a lookup reads of its registry. */
export interface LookupSource {
  readonly version: () => number
  readonly tables: Tables
  readonly consumers: KnownConsumers
  readonly live: LiveReleases
  readonly logger: Logger
}

type LocationRow = Row<'services'> | Row<'apis'>

interface Compiled {
  readonly keys: ScopeKeys
  readonly row: LocationRow
  readonly A: UrlUpstream
  /** Where no release is in force. */
  readonly plain: LocatedPlainPlace
  readonly everyone: OfEveryone<LiveRelease>
  /** What a caller gets whom the registry does not know. */
  readonly forStrangers: LiveRelease | null
}

/** Looks up per request; what hangs on the mount alone is worked out once for each version of the registry. */
export class CompiledLookup implements ReleaseLookup {
  readonly #source: LookupSource
  readonly #scope: MountScope
  #compiled: Compiled | null = null
  #version = -1
  #reported = false

  /** @throws {CanaryError} ERR_CANARY_OPTION */
  constructor(source: LookupSource, scope: MountScope) {
    checkScope(scope)
    this.#source = source
    this.#scope = scope
  }

  find(caller: string): Found {
    const source = this.#source
    const version = source.version()
    if (version !== this.#version) this.#compile(version)
    const compiled = this.#compiled
    if (compiled === null) throw this.#unknown()
    const consumer = caller === '' ? null : source.consumers.find(caller)
    const live =
      consumer === null ? compiled.forStrangers : mostSpecific(consumer.scopes, compiled.keys, compiled.everyone)
    return { place: live === null ? compiled.plain : live.at(compiled.A), consumer }
  }

  #compile(version: number): void {
    const { live } = this.#source
    const found = this.#locate()
    this.#version = version
    if (found === null) {
      this.#compiled = null
      return
    }
    const { row, keys } = found
    const A = this.#compiled?.row === row ? this.#compiled.A : locationOf(row.entity)
    const plain = { A, B: null, plan: null, upstreamFallback: false, release: null } as const
    const everyone = live.scopes.ofEveryone(keys)
    this.#compiled = { keys, row, A, plain, everyone, forStrangers: mostSpecific(null, keys, everyone) }
    this.#reported = false
  }

  #locate(): { readonly row: LocationRow; readonly keys: ScopeKeys } | null {
    const { tables } = this.#source
    const { service, route, api } = this.#scope
    if (api !== undefined) {
      const row = tables.find('apis', api)
      return row === null ? null : { row, keys: scopeKeys(null, null, row.entity.id) }
    }
    const routeRow = route === undefined ? null : tables.find('routes', route)
    if (route !== undefined && routeRow === null) return null
    const serviceKey = service ?? routeRow?.entity.service?.id
    const row = serviceKey === undefined ? null : tables.find('services', serviceKey)
    if (row === null || !row.entity.enabled) return null
    return { row, keys: scopeKeys(row.entity.id, routeRow?.entity.id ?? null, null) }
  }

  #unknown(): CanaryError {
    if (!this.#reported) {
      this.#reported = true
      const message = `canary registry: ${scopeText(this.#scope)} is not known, has no service or is disabled`
      attempt(() => this.#source.logger.error(message))
    }
    return new CanaryError('ERR_CANARY_SERVICE', 'the service of this mount is not known')
  }
}

function scopeText({ service, route, api }: MountScope): string {
  const parts = { service, route, api }
  return Object.entries(parts)
    .flatMap(([name, key]) => (key === undefined ? [] : [`${name} ${JSON.stringify(key.slice(0, 200))}`]))
    .join(', ')
}

function checkScope(scope: MountScope): void {
  for (const name of ['service', 'route', 'api'] as const) {
    const key: unknown = scope[name]
    if (key !== undefined && (typeof key !== 'string' || key === '')) {
      throw optionError(name, 'must be an id or a name', key)
    }
  }
  const { service, route, api } = scope
  if (service === undefined && route === undefined && api === undefined) {
    throw optionError('service', 'must be given beside registry, or route, or api: none is there', undefined)
  }
  if (api !== undefined && (service !== undefined || route !== undefined)) {
    throw optionError('api', 'must stand alone: a legacy api is service and route in one', api)
  }
}
