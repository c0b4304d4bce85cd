import { isDeepStrictEqual } from 'node:util'
import { UNTOUCHED } from '../../release/lifecycle.js'
import { Release } from '../../release/release.js'
import type { RestartShare } from '../../release/restart.js'
import type { UrlUpstream } from '../../upstream.js'
import { canaryLocation } from '../entities/location.js'
import type { GuardedPlugin, LiveGuards } from './live-guards.js'
import type { LocatedReleasePlace } from './release-lookup.js'
import { type ReleaseDefaults, optionsOf } from '../records/record-release.js'
import { type MadeMove, goesOn, runOf, stillStands } from '../records/made-move.js'
import type { Row, StoredRecord } from '../records/rows.js'

/** Told of a move that the registry did not make: the guard's, or one of code that has the release. */
export type OnMoved = (move: MadeMove) => void

/**
 * A plugin's release, built when somebody first asks for it. It lives as long as its plugin: a change is taken by the
 * same release, so that counts, evidence and the order of `hash: 'none'` go on.
 */
export class LiveRelease implements GuardedPlugin {
  #row: Row<'plugins'>
  #release: Release | null = null
  #places = new WeakMap<UrlUpstream, LocatedReleasePlace>()
  /** Most releases have one place only. */
  #last: LocatedReleasePlace | null = null
  #adopting = false
  /** The latest move of the live release that the store does not have yet. */
  #unsaved: MadeMove | null = null
  /** Whether the guard moves it for a breach right now. */
  #breaching = false
  readonly #defaults: ReleaseDefaults
  readonly #guards: LiveGuards
  readonly #onMoved: OnMoved

  constructor(row: Row<'plugins'>, defaults: ReleaseDefaults, guards: LiveGuards, onMoved: OnMoved) {
    this.#row = row
    this.#defaults = defaults
    this.#guards = guards
    this.#onMoved = onMoved
  }

  get row(): Row<'plugins'> {
    return this.#row
  }

  get isAhead(): boolean {
    return this.#unsaved !== null
  }

  get release(): Release {
    return (this.#release ??= this.#build())
  }

  /**
   * What a change is made on: what is stored, with what only this process knows of a ramp's time. A move that is on its
   * way to the store is made on the change then.
   */
  record(row: Row<'plugins'>): StoredRecord {
    const stored = row.release ?? UNTOUCHED
    if (this.#release === null || this.#unsaved !== null || !isDeepStrictEqual(row.release, this.#row.release)) {
      return stored
    }
    const { state, reason, by, at, elapsed } = this.#release.carried()
    const known = { ...stored, state, reason, by, at, elapsed }
    return isDeepStrictEqual(known, stored) ? stored : known
  }

  /** Takes the plugin as it is stored now. A move that the store does not have yet stays in force while it stands. */
  adopt(row: Row<'plugins'>): void {
    const moved = locationFingerprint(this.#row) !== locationFingerprint(row)
    const unsaved = this.#unsaved
    // Of another A or B alone, the run of the guard is a new one, and the release goes on where it is.
    const isNewRun = runOf(this.#row) !== runOf(row) && !isTaken(unsaved, row)
    const begins = isNewRun && !goesOn(this.#row, row)
    this.#row = row
    if (unsaved !== null && !stillStands(unsaved, row, this.#defaults.clock())) this.#unsaved = null
    if (moved || isNewRun) this.moved(begins)
    else this.#adopt(begins)
  }

  /** B is another one, or A is: evidence begins anew. */
  moved(begins = false): void {
    this.#forgetPlaces()
    this.#adopt(begins, true)
  }

  /** Takes back a move that does not stand on what is stored any more. */
  drop(move: MadeMove): void {
    if (this.#unsaved !== move) return
    this.#unsaved = null
    this.#adopt(false)
  }

  breach(move: () => void): void {
    this.#breaching = true
    try {
      move()
    } finally {
      this.#breaching = false
    }
  }

  /** The place for requests whose location A is this. */
  at(a: UrlUpstream): LocatedReleasePlace {
    const last = this.#last
    if (last !== null && last.A === a) return last
    this.#last = this.#places.get(a) ?? this.#compile(a)
    return this.#last
  }

  #compile(a: UrlUpstream): LocatedReleasePlace {
    const { release } = this
    const { plan, upstreamFallback } = release.options
    const b = canaryLocation(this.#row.entity.config, a)
    const place = { A: a, B: b, plan: { ...plan, originA: a.origin, originB: b.origin }, upstreamFallback, release }
    this.#places.set(a, place)
    return place
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
    const { entity, release } = this.#row
    const unsaved = this.#unsaved
    // A move that is on its way changes nothing of how far the ramp may go.
    return optionsOf(entity, unsaved === null ? release : { ...unsaved.record, gate: release?.gate }, this.#defaults)
  }

  #build(): Release {
    const release = new Release(this.#options(), true, (options, hash, host) =>
      this.#guards.make(this, options, hash, host),
    )
    release.on('change', ({ change }) => {
      this.#forgetPlaces()
      if (this.#adopting || change === 'update' || change === 'complete') return
      const row = this.#row
      const base = this.#unsaved === null ? row.release : this.#unsaved.base
      const record = release.carried()
      const isPause = change === 'pause' && record.by === 'guard'
      const breach = isPause && (this.#breaching || release.guard?.report().verdict === 'breach')
      this.#unsaved = { move: change, record, row, base, share: shareOf(release), breach, runs: [] }
      this.#onMoved(this.#unsaved)
    })
    return release
  }

  #adopt(begins: boolean, moved = false): void {
    if (this.#release === null) return
    this.#adopting = true
    try {
      this.#release.adopt(this.#options(), begins, moved)
    } finally {
      this.#adopting = false
    }
  }
}

function locationFingerprint({ entity }: Row<'plugins'>): string {
  const { upstream_host, upstream_port, upstream_uri } = entity.config
  return JSON.stringify([upstream_host, upstream_port, upstream_uri, entity.service, entity.route, entity.api])
}

/** Whether a row is the one that a live release's own restart made: its guard has begun the run already. */
function isTaken(unsaved: MadeMove | null, row: Row<'plugins'>): boolean {
  const run = runOf(row)
  return run !== null && unsaved !== null && unsaved.runs.includes(run)
}

function shareOf({ options: { percentage, start, duration } }: Release): RestartShare {
  return percentage === null ? { start: start ?? undefined, duration } : { percentage }
}
