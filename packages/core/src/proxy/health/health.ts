import type { Place } from '../../place.js'

const FAILURES_IN_A_ROW = 5
const OPEN_MS = 10_000
/** How long failures of a B that nobody asks any more are kept. */
const REMEMBERED_MS = 600_000

/** The circuit breaker as a request finds it. `half-open`: this one request tries whether B is back; `open`: none may. */
export type CircuitState = 'closed' | 'half-open' | 'open'

/**
 * The circuit breaker of one B of a release. Five connection failures in a row open it for ten seconds; then it is
 * half-open: one request at a time tries B, and closes it or opens it again. Active checks overrule that while they run.
 */
export class Health {
  readonly #now: () => number
  #failures = 0
  #failedAt = 0
  #openUntil = 0
  #trial = false
  /** What the active checks say; `null` while none run or none has ended. */
  #checked: boolean | null = null

  constructor(now: () => number) {
    this.#now = now
  }

  admit(): CircuitState {
    if (this.#checked === false) return 'open'
    if (this.#failures < FAILURES_IN_A_ROW) return 'closed'
    if (this.#trial || this.#now() < this.#openUntil) return 'open'
    this.#trial = true
    return 'half-open'
  }

  /** Whether nothing would be lost with it: no failures, or old ones that a trial would find out again. */
  isForgettable(): boolean {
    if (this.#checked !== null || this.#trial) return false
    return this.#failures === 0 || this.#now() > this.#failedAt + REMEMBERED_MS
  }

  /** An attempt has got an answer or has ended: `null` where it says nothing about B, because the client left or a queue was full. */
  report(circuit: CircuitState, connected: boolean | null): void {
    if (circuit === 'half-open') this.#trial = false
    if (connected === true) this.#failures = 0
    if (connected !== false) return
    this.#failures += 1
    this.#failedAt = this.#now()
    if (this.#failures >= FAILURES_IN_A_ROW) this.#openUntil = this.#failedAt + OPEN_MS
  }

  /** The verdict of active checks; one that closes the circuit forgets the failures before it. */
  checked(healthy: boolean | null): void {
    this.#checked = healthy
    if (healthy === true) this.#failures = 0
  }
}

/** Below so many, nothing is tidied up: releases have few places. */
const FEW = 64

/**
 * The health of one release's Bs, by their pool keys: a release of a registry may stand at many places with a B each.
 * Bs that are gone are forgotten in time.
 */
class HealthOfRelease {
  readonly #byPool = new Map<string, Health>()
  #tidyAt = FEW
  /** Nearly all releases have one B. */
  #lastPool = ''
  #last: Health | null = null

  at(pool: string, now: () => number): Health {
    if (this.#last !== null && pool === this.#lastPool) return this.#last
    let health = this.#byPool.get(pool)
    if (health === undefined) {
      if (this.#byPool.size >= this.#tidyAt) this.#tidy()
      health = new Health(now)
      this.#byPool.set(pool, health)
    }
    this.#lastPool = pool
    this.#last = health
    return health
  }

  #tidy(): void {
    for (const [pool, health] of this.#byPool) if (health.isForgettable()) this.#byPool.delete(pool)
    this.#tidyAt = Math.max(FEW, 2 * this.#byPool.size)
  }
}

/** Shared by all mounts of a release in this process. */
const known = new WeakMap<object, HealthOfRelease>()

/** The health of a release's B at its place: another upstream begins with none of the old one's failures. */
export function healthOf(place: Place, now: () => number): Health {
  const { B, release } = place
  return healthAt(release ?? place, B?.kind === 'url' ? B.poolKey : '', now)
}

/** The health of the B with this pool key, of the release that `identity` is. */
export function healthAt(identity: object, pool: string, now: () => number): Health {
  let health = known.get(identity)
  if (health === undefined) {
    health = new HealthOfRelease()
    known.set(identity, health)
  }
  return health.at(pool, now)
}
