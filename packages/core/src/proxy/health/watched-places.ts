import type { Place } from '../../place.js'
import type { ResolvedHealthOptions } from '../options.js'
import { type CheckedUpstream, HealthChecks } from './checks.js'
import { healthOf } from './health.js'

/** The checks of one B, and the places of its release that want them, by where their A is. */
interface SharedChecks {
  readonly checks: HealthChecks
  readonly places: Map<string, WeakRef<Place>>
}

/** One release's checks, by B and settings, and which of them each place has. */
interface ChecksOfRelease {
  readonly byChecked: Map<string, SharedChecks>
  readonly byPlace: Map<string, string>
}

/**
 * The active checks of a mount: one for each B of a release, shared by the places that have the same B. A place is known
 * by its A, so that its new B takes the place of the old one.
 */
export class WatchedPlaces {
  readonly #now: () => number
  /** As each place was watched last. */
  readonly #seen = new WeakMap<Place, ResolvedHealthOptions>()
  readonly #byRelease = new WeakMap<object, ChecksOfRelease>()
  readonly #running = new Set<HealthChecks>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** Checks a place's B by these options from now on, by `null` no more; cheap where they did not change. */
  watch(place: Place, health: ResolvedHealthOptions): void {
    if (this.#seen.get(place) === health) return
    this.#seen.set(place, health)
    const identity = place.release ?? place
    let known = this.#byRelease.get(identity)
    if (known === undefined) {
      if (health === null) return
      known = { byChecked: new Map(), byPlace: new Map() }
      this.#byRelease.set(identity, known)
    }
    this.#place(known, place, health)
  }

  stop(): void {
    for (const checks of this.#running) checks.stop()
  }

  #place(known: ChecksOfRelease, place: Place, health: ResolvedHealthOptions): void {
    const { B } = place
    const at = locationOf(place)
    const key = health !== null && B?.kind === 'url' ? JSON.stringify([health, B.poolKey]) : ''
    const before = known.byPlace.get(at)
    if (before !== undefined && before !== key) {
      const left = known.byChecked.get(before)
      known.byPlace.delete(at)
      left?.places.delete(at)
      if (left?.places.size === 0) left.checks.stop()
    }
    if (health === null || B?.kind !== 'url') return
    known.byPlace.set(at, key)
    const shared = known.byChecked.get(key)
    if (shared !== undefined) shared.places.set(at, new WeakRef(place))
    else this.#start(known, key, { upstream: B, options: health }, place)
  }

  #start(known: ChecksOfRelease, key: string, checked: CheckedUpstream, place: Place): void {
    const places = new Map([[locationOf(place), new WeakRef(place)]])
    const health = healthOf(place, this.#now)
    // A place that nobody has any more, because it changed or went, wants nothing.
    const isWanted = (): boolean => {
      for (const [at, one] of places) if (one.deref() === undefined) places.delete(at)
      return places.size > 0
    }
    const ended = (): void => {
      this.#running.delete(checks)
      known.byChecked.delete(key)
      for (const [at, one] of known.byPlace) if (one === key) known.byPlace.delete(at)
    }
    const checks: HealthChecks = new HealthChecks(checked, health, isWanted, ended)
    this.#running.add(checks)
    known.byChecked.set(key, { checks, places })
    checks.start()
  }
}

function locationOf({ A }: Place): string {
  return A.kind === 'url' ? A.poolKey : ''
}
