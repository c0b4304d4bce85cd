import type { Decision } from '../decision/decision.js'
import type { ReleaseState } from '../release-state.js'

/** Requests of one upstream since the release was built. */
export interface UpstreamCounts {
  /** Decided for it and, in forward mode, tried on it. */
  readonly requests: number
  /** Of these: a 5xx, a connection error or a timeout of the upstream. */
  readonly failures: number
}

/** A release at one instant; plain JSON. All times in seconds since the epoch, lengths in seconds. */
export interface ReleaseStatus {
  /** The option `name`. */
  readonly name: string
  /** What the release is doing. */
  readonly state: ReleaseState
  /** The fixed share; `null` for a timed release. */
  readonly percentage: number | null
  /** How many buckets are on B. */
  readonly bucketsOnB: number
  /** How many buckets there are. */
  readonly steps: number
  /** When the ramp begins; `null` for a fixed share. */
  readonly start: number | null
  /** Length of the ramp; `null` for a fixed share. */
  readonly duration: number | null
  /** When all buckets are on B; `null` for a fixed share and while the release stands still. */
  readonly endsAt: number | null
  /** Requests since the release was built. */
  readonly counts: {
    /** Requests of A. */
    readonly A: UpstreamCounts
    /** Requests of B. */
    readonly B: UpstreamCounts
    /** Requests of B that A served. */
    readonly fallback: number
  }
  /** Why the last move was made; `null` if nobody said. */
  readonly reason: string | null
  /** Who made the last move: `guard`, or what the caller said; `null` if nobody made one. */
  readonly by: string | null
  /** When the last move was made, or when a ramp's `elapsed` was last written down. */
  readonly at: number | null
  /** How much of `duration` had passed at `at`; `null` if it follows from `start`. */
  readonly elapsed: number | null
}

/** Node's `util.inspect`, as it hands itself on. */
export type Inspect = (value: unknown, options: object) => string

/** What `console.log` prints of a release: `Release { name: 'orders-v2', state: 'running', share: '12.5 %' … }`. */
export function inspectRelease(status: ReleaseStatus, depth: number, options: object, inspect: Inspect): string {
  const { name, state, bucketsOnB, steps, reason, by, counts } = status
  if (depth < 0) return `[Release ${name}]`
  const share = `${Number(((100 * bucketsOnB) / steps).toFixed(4))} % (${bucketsOnB} of ${steps} buckets on B)`
  const move = by === null ? {} : { by, reason }
  return `Release ${inspect({ name, state, share, ...move, counts }, options)}`
}

/** Counters of a release: only incremented while requests run. */
export class Counts {
  #requestsA = 0
  #requestsB = 0
  #failuresA = 0
  #failuresB = 0
  #fallback = 0
  /** Decisions that were counted as failed, so that none counts twice. */
  readonly #failed = new WeakSet<Decision>()

  decided({ upstream }: Decision): void {
    if (upstream === 'A') this.#requestsA += 1
    else this.#requestsB += 1
  }

  failed(decision: Decision): void {
    if (this.#failed.has(decision)) return
    this.#failed.add(decision)
    if (decision.upstream === 'A') this.#failuresA += 1
    else this.#failuresB += 1
  }

  fellBack(): void {
    this.#fallback += 1
  }

  snapshot(): ReleaseStatus['counts'] {
    return {
      A: { requests: this.#requestsA, failures: this.#failuresA },
      B: { requests: this.#requestsB, failures: this.#failuresB },
      fallback: this.#fallback,
    }
  }
}
