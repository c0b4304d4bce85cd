import type { UpstreamName } from '@canary-release/core'

/** How many of the last requests the measured share is taken from. */
const WINDOW = 200

/** One answer, as seen from outside. */
export interface Answer {
  readonly caller: string
  readonly side: UpstreamName
  /** How many buckets were on B while the request ran: the decision was made somewhere between. */
  readonly bucketsOnB: { readonly least: number; readonly most: number }
}

/** Who was served by which side, as seen from outside: by the gateway's answers. */
export class Ledger {
  /** For each caller that B has served: how many buckets were on B then. */
  readonly #onB = new Map<string, number>()
  readonly #onA = new Set<string>()
  readonly #moved = new Set<string>()
  readonly #recent: UpstreamName[] = []
  #recentOnB = 0
  requests = 0
  /** How often a caller was back on A although no fewer buckets were on B than when B served it. */
  wentBack = 0

  served({ caller, side, bucketsOnB }: Answer): void {
    this.requests += 1
    this.#measure(side)
    if (side === 'B') {
      if (this.#onA.delete(caller)) this.#moved.add(caller)
      this.#onB.set(caller, Math.min(this.#onB.get(caller) ?? Infinity, bucketsOnB.most))
      return
    }
    if (bucketsOnB.least >= (this.#onB.get(caller) ?? Infinity)) this.wentBack += 1
    this.#onA.add(caller)
  }

  /** B's share of the last requests, in percent. */
  get measured(): number {
    return this.#recent.length === 0 ? 0 : (100 * this.#recentOnB) / this.#recent.length
  }

  /** How many callers were on A before they were on B. */
  get moved(): number {
    return this.#moved.size
  }

  #measure(side: UpstreamName): void {
    this.#recent.push(side)
    if (side === 'B') this.#recentOnB += 1
    if (this.#recent.length > WINDOW && this.#recent.shift() === 'B') this.#recentOnB -= 1
  }
}
