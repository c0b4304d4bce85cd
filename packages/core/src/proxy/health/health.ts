import type { ForwardedRelease } from '../forward-call.js'

const FAILURES_IN_A_ROW = 5
const OUT_MS = 10_000

/** Whether B may be asked now; `trial` where this request decides whether it is back. */
export type Admission = 'in' | 'trial' | 'out'

/**
 * What is known of one release's B. Passive: five connection failures in a row take it out for ten seconds, then one
 * request at a time tries it. Active checks overrule that while they run.
 */
export class Health {
  readonly #now: () => number
  #failures = 0
  #outUntil = 0
  #trial = false
  /** What the active checks say; `null` while none run or none has ended. */
  #checked: boolean | null = null

  constructor(now: () => number) {
    this.#now = now
  }

  admit(): Admission {
    if (this.#checked === false) return 'out'
    if (this.#failures < FAILURES_IN_A_ROW) return 'in'
    if (this.#trial || this.#now() < this.#outUntil) return 'out'
    this.#trial = true
    return 'trial'
  }

  /** An attempt has ended: `null` where it says nothing about B, because the client left or a queue was full. */
  report(admission: Admission, connected: boolean | null): void {
    if (admission === 'trial') this.#trial = false
    if (connected === true) this.#failures = 0
    if (connected !== false) return
    this.#failures += 1
    if (this.#failures >= FAILURES_IN_A_ROW) this.#outUntil = this.#now() + OUT_MS
  }

  /** The verdict of active checks; one that lets B in forgets the failures before it. */
  checked(healthy: boolean | null): void {
    this.#checked = healthy
    if (healthy === true) this.#failures = 0
  }
}

/** The health of each release's B, shared by all mounts of the release in this process. */
const known = new WeakMap<object, { readonly of: string; readonly health: Health }>()

/** The health of a release's present B: another upstream begins with none of the old one's failures. */
export function healthOf(release: ForwardedRelease, now: () => number): Health {
  const { B } = release.options.upstreams
  const of = B.kind === 'url' ? B.poolKey : ''
  const key = release.identity ?? release
  const before = known.get(key)
  if (before !== undefined && before.of === of) return before.health
  const health = new Health(now)
  known.set(key, { of, health })
  return health
}
