import type { UpstreamName } from '@canary-release/core'

/** How many of the last requests the measured share is taken from. */
const WINDOW = 200

/** Who was served by which side, as seen from outside: by the gateway's answers. */
export class Ledger {
  readonly #sides = new Map<string, UpstreamName>()
  readonly #recent: boolean[] = []
  readonly #moved = new Set<string>()
  #onB = 0
  requests = 0
  failures = 0
  wentBack = 0

  /** @param mayGoBack somebody moved the release back, so that going back is no fault */
  served(caller: string, side: UpstreamName, failed: boolean, mayGoBack: boolean): void {
    const before = this.#sides.get(caller)
    if (before === 'A' && side === 'B') this.#moved.add(caller)
    if (before === 'B' && side === 'A' && !mayGoBack) this.wentBack += 1
    this.#sides.set(caller, side)
    this.requests += 1
    if (failed) this.failures += 1
    this.#recent.push(side === 'B')
    if (side === 'B') this.#onB += 1
    if (this.#recent.length > WINDOW && this.#recent.shift()) this.#onB -= 1
  }

  /** B's share of the last requests, in percent. */
  get measured(): number {
    return this.#recent.length === 0 ? 0 : (100 * this.#onB) / this.#recent.length
  }

  get moved(): number {
    return this.#moved.size
  }
}
