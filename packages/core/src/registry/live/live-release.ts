import type { ReleaseRecord } from '../../release/lifecycle.js'
import { Release } from '../../release/release.js'
import type { UrlUpstream } from '../../upstream.js'
import { canaryLocation } from '../entities/location.js'
import type { Place } from './mount.js'
import { type Elsewhere, type ReleaseDefaults, elsewhere, optionsOf } from '../records/record-release.js'
import type { Row } from '../records/store.js'

/** Told of a move that the registry did not make: the guard's, or one of code that has the release. */
export type OnMoved = (row: Row<'plugins'>, record: ReleaseRecord) => void

/** The release at one place. */
export interface Placed {
  readonly release: Release
  readonly place: Place
}

/**
 * A plugin's release, built when somebody first asks for it. It lives as long as its plugin: a change is taken by the
 * same release, so that counts, evidence and the order of `hash: 'none'` go on.
 */
export class LiveRelease {
  #row: Row<'plugins'>
  #release: Release | null = null
  #elsewhere: Elsewhere = elsewhere()
  #places = new WeakMap<UrlUpstream, Placed>()
  /** Most releases have one place only. */
  #last: Placed | null = null
  #adopting = false
  /** A move of the live release that the store does not have yet. */
  #unsaved: ReleaseRecord | null = null
  readonly #defaults: ReleaseDefaults
  readonly #onMoved: OnMoved

  constructor(row: Row<'plugins'>, defaults: ReleaseDefaults, onMoved: OnMoved) {
    this.#row = row
    this.#defaults = defaults
    this.#onMoved = onMoved
  }

  get row(): Row<'plugins'> {
    return this.#row
  }

  get release(): Release {
    return (this.#release ??= this.#build())
  }

  get unsaved(): ReleaseRecord | null {
    return this.#unsaved
  }

  /** Takes the plugin as it is stored now. A move that is newer than what is stored stays in force. */
  adopt(row: Row<'plugins'>): void {
    const moved = whereOf(this.#row) !== whereOf(row)
    this.#row = row
    if (this.#unsaved !== null && !isNewer(this.#unsaved, row.release)) this.#unsaved = null
    if (moved) this.moved()
    else this.#adopt()
  }

  /** B is another one, or A is: evidence begins anew. */
  moved(): void {
    this.#elsewhere = elsewhere()
    this.#forgetPlaces()
    this.#adopt()
  }

  /** The release for requests whose location A is this. */
  at(a: UrlUpstream): Placed {
    const last = this.#last
    if (last !== null && last.place.A === a) return last
    this.#last = this.#places.get(a) ?? this.#compile(a)
    return this.#last
  }

  #compile(a: UrlUpstream): Placed {
    const { release } = this
    const b = canaryLocation(this.#row.entity.config, a)
    const plan = { ...release.options.plan, originA: a.origin, originB: b.origin }
    const placed = { release, place: { A: a, B: b, plan } }
    this.#places.set(a, placed)
    return placed
  }

  /** The release's plan is another one now, and so are those of its places. */
  #forgetPlaces(): void {
    this.#places = new WeakMap()
    this.#last = null
  }

  close(): void {
    this.#release?.close()
  }

  #options() {
    return optionsOf(this.#row.entity, this.#unsaved ?? this.#row.release, this.#defaults, this.#elsewhere)
  }

  #build(): Release {
    const release = new Release(this.#options())
    release.on('change', ({ change, status }) => {
      this.#forgetPlaces()
      if (this.#adopting || change === 'update' || change === 'complete') return
      const { state, reason, by, at, elapsed } = status
      this.#unsaved = { state, reason, by, at, elapsed }
      this.#onMoved(this.#row, this.#unsaved)
    })
    return release
  }

  #adopt(): void {
    if (this.#release === null) return
    this.#adopting = true
    try {
      this.#release.adopt(this.#options())
    } finally {
      this.#adopting = false
    }
  }
}

function whereOf({ entity }: Row<'plugins'>): string {
  const { upstream_host, upstream_port, upstream_uri } = entity.config
  return JSON.stringify([upstream_host, upstream_port, upstream_uri, entity.service, entity.route, entity.api])
}

/** Whether a move was made after what a record says. */
export function isNewer(record: ReleaseRecord | null, than: ReleaseRecord | null): boolean {
  return (record?.at ?? 0) > (than?.at ?? 0)
}
