import type { ForwardedRelease } from '../forward-call.js'
import { type CheckedUpstream, HealthChecks } from './checks.js'
import { healthAt } from './health.js'

type Options = ForwardedRelease['options']
type Seen = Pick<Options, 'health'> & Options['upstreams']

/** The checks of one B, and the places of its release that want them, by where their A is. */
interface SharedChecks {
  readonly checks: HealthChecks
  readonly places: Map<string, WeakRef<ForwardedRelease>>
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
  readonly #seen = new WeakMap<ForwardedRelease, Seen>()
  readonly #byRelease = new WeakMap<object, ChecksOfRelease>()
  readonly #running = new Set<HealthChecks>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** Checks the release's B at this place as its options say from now on; cheap where they did not change. */
  watch(release: ForwardedRelease): void {
    const { health, upstreams } = release.options
    const seen = this.#seen.get(release)
    if (seen !== undefined && seen.health === health && seen.A === upstreams.A && seen.B === upstreams.B) return
    this.#seen.set(release, { health, ...upstreams })
    const identity = release.identity ?? release
    let known = this.#byRelease.get(identity)
    if (known === undefined) {
      if (health === null) return
      known = { byChecked: new Map(), byPlace: new Map() }
      this.#byRelease.set(identity, known)
    }
    this.#place(known, identity, release)
  }

  stop(): void {
    for (const checks of this.#running) checks.stop()
  }

  #place(known: ChecksOfRelease, identity: object, release: ForwardedRelease): void {
    const { health, upstreams } = release.options
    const { B } = upstreams
    const place = placeOf(release)
    const key = health !== null && B.kind === 'url' ? JSON.stringify([health, B.poolKey]) : ''
    const before = known.byPlace.get(place)
    if (before !== undefined && before !== key) {
      const left = known.byChecked.get(before)
      known.byPlace.delete(place)
      left?.places.delete(place)
      if (left?.places.size === 0) left.checks.stop()
    }
    if (health === null || B.kind !== 'url') return
    known.byPlace.set(place, key)
    const shared = known.byChecked.get(key)
    if (shared !== undefined) shared.places.set(place, new WeakRef(release))
    else this.#start(known, identity, key, { upstream: B, options: health }, release)
  }

  #start(
    known: ChecksOfRelease,
    identity: object,
    key: string,
    checked: CheckedUpstream,
    release: ForwardedRelease,
  ): void {
    const places = new Map([[placeOf(release), new WeakRef(release)]])
    const health = healthAt(identity, checked.upstream.poolKey, this.#now)
    // A place that nobody has any more, because it changed or went, wants nothing.
    const isWanted = (): boolean => {
      for (const [place, one] of places) if (one.deref() === undefined) places.delete(place)
      return places.size > 0
    }
    const ended = (): void => {
      this.#running.delete(checks)
      known.byChecked.delete(key)
      for (const [place, one] of known.byPlace) if (one === key) known.byPlace.delete(place)
    }
    const checks: HealthChecks = new HealthChecks(checked, health, isWanted, ended)
    this.#running.add(checks)
    known.byChecked.set(key, { checks, places })
    checks.start()
  }
}

function placeOf({ options }: ForwardedRelease): string {
  const { A } = options.upstreams
  return A.kind === 'url' ? A.poolKey : ''
}
