import type { SavedEvidence } from './saved/saved-run.js'

/**
 * The e-process: a running product whose expectation is at most 1 while B is no worse than tolerated, whenever one
 * looks. By Ville's inequality it ever reaches 1/α with a probability of at most α.
 *
 * Sources: Lindon and Malek, "Anytime-valid inference for multinomial count data" (arXiv 2011.03567); Lindon, Sanden
 * and Shirikian, "Rapid regression detection in software deployments through sequential testing" (2205.14762); Shin,
 * Ramdas and Rinaldo, "E-detectors" (2203.03532).
 */

/** What one block, or one tick, may add at most, in nats. It bounds what a burst can do, and is part of the proof: no option. */
export const CAP = 3

/** How many times the tolerated odds ratio the alternatives of the test for errors are. */
export const ERROR_RATIOS: readonly number[] = [1.5, 2, 3, 5, 10, 30, 100, 300]

/** Odds ratios that are tested against the tolerated one, sharing `weight` evenly. Weights of all levels sum to 1. */
export interface Level {
  readonly ratios: readonly number[]
  readonly weight: number
}

/** The levels of the test for errors: eight odds ratios above the tolerated one. */
export function errorLevels(tolerated: number): readonly Level[] {
  return [{ ratios: ERROR_RATIOS.map((ratio) => ratio * tolerated), weight: 1 }]
}

/**
 * ln of the likelihood ratio of odds ratio `ratio` against `tolerated`, for `kA + kB` failures of which `kB` were B's,
 * where a request was B's with probability `share` (0 < share < 1). It is conditional on the number of failures, so
 * that a failure rate that drifts or bursts in both arms cannot move it.
 */
function lnRatio(share: number, kA: number, kB: number, ratio: number, tolerated: number): number {
  const expected = Math.log1p(share * (ratio - 1)) - Math.log1p(share * (tolerated - 1))
  return kB * Math.log(ratio / tolerated) - (kA + kB) * expected
}

/** {@link lnRatio} of a block of `nA` and `nB` requests, capped; 0 without information: an empty arm, or no failure. */
export function lnRatioOfBlock(
  block: { readonly nA: number; readonly nB: number; readonly kA: number; readonly kB: number },
  ratio: number,
  tolerated: number,
  cap = CAP,
): number {
  const { nA, nB, kA, kB } = block
  if (nA === 0 || nB === 0 || kA + kB === 0) return 0
  return Math.min(cap, lnRatio(nB / (nA + nB), kA, kB, ratio, tolerated))
}

/** ln(eᵃ + eᵇ), also for −∞. */
function lnSum(a: number, b: number): number {
  const high = Math.max(a, b)
  return high === -Infinity ? high : high + Math.log1p(Math.exp(Math.min(a, b) - high))
}

/**
 * The evidence against B, in logarithms: for each odds ratio a product M since the start, and a sum S of products that
 * were each restarted at another block, so that a late regression is found soon.
 */
export class Evidence {
  readonly #levels: readonly Level[]
  readonly #tolerated: number
  readonly #cap: number
  readonly #starts: readonly number[]
  readonly #weights: Float64Array
  readonly #lnOverTolerated: Float64Array
  readonly #products: Float64Array
  readonly #restarts: Float64Array
  readonly #step: Float64Array
  #informed = false
  /** Blocks with information so far. */
  #blocks = 0
  #ln = 0

  constructor(levels: readonly Level[], tolerated: number, cap = CAP) {
    const ratios = levels.flatMap((level) => level.ratios)
    this.#levels = levels
    this.#tolerated = tolerated
    this.#cap = cap
    this.#starts = levels.map((_, i) => levels.slice(0, i).reduce((sum, { ratios }) => sum + ratios.length, 0))
    this.#weights = Float64Array.from(
      levels.flatMap((level) => level.ratios.map(() => level.weight / level.ratios.length / 2)),
    )
    this.#lnOverTolerated = Float64Array.from(ratios, (ratio) => Math.log(ratio / tolerated))
    this.#products = new Float64Array(ratios.length)
    this.#restarts = new Float64Array(ratios.length).fill(-Infinity)
    this.#step = new Float64Array(ratios.length)
  }

  /** ln of the evidence; 0 at the start. Never NaN and never infinite. */
  get ln(): number {
    return this.#ln
  }

  /**
   * Adds failures to the open step: of a block (`share` is then its realised nB/(nA+nB)), or of requests that were
   * decided earlier (`share` is then the nominal one, under which they were decided). Without effect where an arm was
   * empty or nothing failed.
   */
  add(level: number, share: number, kA: number, kB: number): void {
    const chosen = this.#levels[level]
    const start = this.#starts[level]
    if (chosen === undefined || start === undefined) return
    if (kA + kB === 0 || share <= 0 || share >= 1) return
    this.#informed = true
    const atTolerated = Math.log1p(share * (this.#tolerated - 1))
    for (const [i, ratio] of chosen.ratios.entries()) {
      // lnRatio, without what is the same for all blocks or all ratios.
      const expected = Math.log1p(share * (ratio - 1)) - atTolerated
      const ln = kB * (this.#lnOverTolerated[start + i] ?? 0) - (kA + kB) * expected
      this.#step[start + i] = (this.#step[start + i] ?? 0) + ln
    }
  }

  /** Ends the step: its sum is capped for each odds ratio, then M and S move on. Says whether it held information. */
  close(): boolean {
    if (!this.#informed) return false
    this.#informed = false
    this.#blocks += 1
    const fresh = -Math.log(this.#blocks) - Math.log(this.#blocks + 1)
    for (let i = 0; i < this.#step.length; i += 1) {
      const step = Math.min(this.#cap, this.#step[i] ?? 0)
      this.#step[i] = 0
      this.#products[i] = (this.#products[i] ?? 0) + step
      this.#restarts[i] = lnSum(this.#restarts[i] ?? -Infinity, fresh) + step
    }
    // What is not yet spent on restarts stands beside the sum, so that the whole is a martingale.
    this.#ln = lnSum(this.#lnOf(0, this.#step.length), -Math.LN2 - Math.log(this.#blocks + 1))
    return true
  }

  /** How much `level` contributes at present, in logarithms: to say which one speaks loudest. */
  lnOfLevel(level: number): number {
    return this.#lnOf(this.#starts[level] ?? 0, this.#starts[level + 1] ?? this.#step.length)
  }

  /** Between two steps only. */
  save(): SavedEvidence {
    const restarts = Array.from(this.#restarts, (ln) => (ln === -Infinity ? null : ln))
    return { blocks: this.#blocks, ln: this.#ln, products: [...this.#products], restarts }
  }

  /** @throws {RangeError} for what was saved of other levels */
  restore({ blocks, ln, products, restarts }: SavedEvidence): void {
    const { length } = this.#products
    if (products.length !== length || restarts.length !== length) {
      throw new RangeError(`saved evidence must have ${length} odds ratios, got ${products.length}`)
    }
    this.#blocks = blocks
    this.#ln = ln
    this.#products.set(products)
    this.#restarts.set(restarts.map((each) => each ?? -Infinity))
  }

  #lnOf(start: number, end: number): number {
    let high = -Infinity
    for (let i = start; i < end; i += 1) {
      high = Math.max(high, this.#products[i] ?? 0, this.#restarts[i] ?? -Infinity)
    }
    let sum = 0
    for (let i = start; i < end; i += 1) {
      const both = Math.exp((this.#products[i] ?? 0) - high) + Math.exp((this.#restarts[i] ?? -Infinity) - high)
      sum += (this.#weights[i] ?? 0) * both
    }
    return high + Math.log(sum)
  }
}
