import type { UpstreamName } from '../decision/decision.js'
import type { Stratum } from './block.js'
import type { Delta } from './delta.js'
import { Evidence, errorLevels } from './evidence.js'
import { IdentityFilter } from './identity-filter.js'
import type { SavedErrors } from './saved/saved-run.js'

/** Evidence below which what came before has nothing to do with a regression that may begin now. */
const FORGOTTEN = Math.log(0.1)

interface FirstFailure {
  readonly identity: number
  readonly share: number
  readonly arm: UpstreamName
}

/** Whether B fails more than A, by the odds that are tolerated. */
export class ErrorEvidence {
  readonly #evidence: Evidence
  readonly #minFailures: number
  readonly #seen = new IdentityFilter()
  #failuresOfB = 0
  #excess = 0
  readonly #matched = { kA: 0, kB: 0, k: 0, expected: 0 }

  constructor({ tolerate, minFailures }: { readonly tolerate: number; readonly minFailures: number }) {
    this.#evidence = new Evidence(errorLevels(tolerate), tolerate)
    this.#minFailures = minFailures
  }

  /** ln of the evidence. */
  get ln(): number {
    return this.#evidence.ln
  }

  /** Whether the evidence may be acted on: B failed often enough since it began to grow, and more than its share. */
  get counts(): boolean {
    return this.#failuresOfB >= this.#minFailures && this.#excess > 0
  }

  /** True while the evidence is so low that what is told of a regression should begin anew. */
  get forgotten(): boolean {
    return this.#evidence.ln < FORGOTTEN
  }

  /** Whether so many identities failed that new ones are no longer told apart from them. */
  get full(): boolean {
    return this.#seen.full
  }

  /** How many times A's B's failure rate is, stratified by share; `null` without any failure. */
  get rateRatio(): number | null {
    const { kA, kB, k, expected } = this.#matched
    if (k === 0) return null
    // Half a failure in each arm keeps it finite.
    const s = expected / k
    return (kB + 0.5 * (1 - s)) / (kA + 0.5 * s)
  }

  /** Scores the strata of a tick together. */
  scoreRequests(strata: readonly Stratum[]): void {
    for (const { failures } of strata) this.#add(failures.share, failures.kA, failures.kB)
    this.#close()
  }

  /**
   * Scores a tick by identities: of each only the first failure in a run, as a block of its own. They are taken in the
   * order of their hashes, which has nothing to do with the arms; so it neither matters which process saw them.
   */
  scoreIdentities(delta: Delta): void {
    const firsts: FirstFailure[] = []
    for (const [share, cell] of delta.cells) {
      this.#add(share, cell.unnamedFailures.A, cell.unnamedFailures.B)
      for (const [identity, arm] of cell.failedIdentities) firsts.push({ identity, share, arm })
    }
    this.#close()
    firsts.sort((a, b) => a.identity - b.identity || a.share - b.share)
    for (const { identity, share, arm } of firsts) {
      if (!this.#seen.add(identity)) continue
      this.#add(share, arm === 'A' ? 1 : 0, arm === 'B' ? 1 : 0)
      this.#close()
    }
  }

  /** Its content may be saved apart from the rest. */
  get filter(): IdentityFilter {
    return this.#seen
  }

  save(): SavedErrors {
    return {
      evidence: this.#evidence.save(),
      failuresOfB: this.#failuresOfB,
      excess: this.#excess,
      matched: { ...this.#matched },
      seen: this.#seen.save(),
    }
  }

  restore({ evidence, failuresOfB, excess, matched, seen }: SavedErrors): void {
    this.#evidence.restore(evidence)
    this.#failuresOfB = failuresOfB
    this.#excess = excess
    Object.assign(this.#matched, matched)
    this.#seen.restore(seen)
  }

  #add(share: number, kA: number, kB: number): void {
    if (kA + kB === 0 || share <= 0 || share >= 1) return
    this.#evidence.add(0, share, kA, kB)
    this.#failuresOfB += kB
    this.#excess += kB - (kA + kB) * share
    this.#matched.kA += kA * share
    this.#matched.kB += kB * (1 - share)
    this.#matched.k += kA + kB
    this.#matched.expected += (kA + kB) * share
  }

  #close(): void {
    if (!this.#evidence.close() || !this.forgotten) return
    this.#failuresOfB = 0
    this.#excess = 0
  }
}
