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
  readonly name: string
  readonly state: ReleaseState
  /** The fixed share; `null` for a timed release. */
  readonly percentage: number | null
  readonly bucketsOnB: number
  readonly steps: number
  readonly start: number | null
  readonly duration: number | null
  /** When all buckets are on B; `null` for a fixed share and while the release stands still. */
  readonly endsAt: number | null
  readonly counts: {
    readonly A: UpstreamCounts
    readonly B: UpstreamCounts
    /** Requests of B that A served. */
    readonly fallback: number
  }
  readonly reason: string | null
  readonly by: string | null
  readonly at: number | null
  readonly elapsed: number | null
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
