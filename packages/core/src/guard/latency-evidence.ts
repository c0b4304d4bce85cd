import type { Stratum } from './block.js'
import { type Delta, type Latencies, createLatencies, restoreLatencies, saveLatencies, unpackLatency } from './delta.js'
import { Evidence } from './evidence.js'
import { IdentityFilter } from './identity-filter.js'
import {
  type Histogram,
  addHistogram,
  addSparse,
  bucketEndMs,
  countsAbove,
  createHistogram,
  latencyLevels,
  quantileBuckets,
  sparseHistogram,
  sumOf,
  toleratedBuckets,
} from './latency.js'
import type { SavedLatency } from './saved/saved-run.js'

/** Evidence below which what came before has nothing to do with a regression that may begin now. */
const FORGOTTEN = Math.log(0.1)

/** Ticks after which each identity may be sampled again. */
const EPOCH = 300

/** Slow requests of both arms, by one threshold, for people to read. */
export interface SlowRequests {
  readonly overMs: number
  readonly a: { readonly n: number; readonly k: number }
  readonly b: { readonly n: number; readonly k: number }
}

/**
 * Whether B is slower than A: at each of A's quantiles, whether more of B's requests lie above it (and above what is
 * tolerated) than its share.
 */
export class LatencyEvidence {
  readonly #quantiles: readonly number[]
  readonly #tolerated: number
  readonly #histogramOfA = createHistogram()
  #totalOfA = 0
  readonly #sinceForgotten = createLatencies()
  #forgotten = false
  readonly #sampled = new IdentityFilter()
  /** A's quantile buckets, from earlier blocks; −1 where there are too few latencies. */
  #thresholds: readonly number[]
  #evidence: Evidence
  #lnWeight = 0
  #epoch = 1
  #epochEnds = -1

  constructor({ quantiles, tolerate }: { readonly quantiles: readonly number[]; readonly tolerate: number }) {
    this.#quantiles = quantiles
    this.#tolerated = toleratedBuckets(tolerate)
    this.#thresholds = quantiles.map(() => -1)
    this.#evidence = new Evidence(latencyLevels(quantiles), 1)
  }

  /** ln of the evidence. */
  get ln(): number {
    return this.#lnWeight + this.#evidence.ln
  }

  /** What the loudest of the quantiles has to say about the time since the evidence began to grow. */
  get slow(): SlowRequests {
    const level = this.#quantiles
      .map((_, i) => i)
      .reduce((best, i) => (this.#evidence.lnOfLevel(i) > this.#evidence.lnOfLevel(best) ? i : best), 0)
    const bucket = (this.#thresholds[level] ?? -1) + this.#tolerated
    const { A, B } = this.#sinceForgotten
    return {
      overMs: bucketEndMs(bucket),
      a: { n: sumOf(A), k: countsAbove(A, [bucket], 0)[0] ?? 0 },
      b: { n: sumOf(B), k: countsAbove(B, [bucket], 0)[0] ?? 0 },
    }
  }

  /** Scores the strata of a tick together. */
  scoreRequests(strata: readonly Stratum[]): void {
    const timed = strata.flatMap(({ latencies }) => (latencies === null ? [] : [latencies]))
    if (timed.length === 0) return
    for (const { A, B, share } of timed) this.#add(share, A, B)
    this.#evidence.close()
    this.#remember(timed)
    // Only now, so that a block is judged by what was known before it.
    for (const { A } of timed) this.#totalOfA += addHistogram(this.#histogramOfA, A)
    this.#thresholds = quantileBuckets(this.#histogramOfA, this.#totalOfA, this.#quantiles)
  }

  /**
   * Scores a tick by identities: a slow account is slow again and again, so one request of each is sampled in an epoch.
   * The next epoch samples all of them anew, with evidence that begins anew and is worth less: the weights 1/(j(j+1))
   * sum to 1, so that all epochs together cross a threshold with no more than its probability.
   */
  scoreIdentities(delta: Delta): void {
    if (delta.tick >= this.#epochEnds) this.#beginEpoch(delta.tick)
    const strata: Stratum[] = []
    for (const [share, cell] of [...delta.cells].sort(([a], [b]) => a - b)) {
      let latencies = cell.latencies
      for (const [identity, packed] of cell.identityLatencies) {
        if (!this.#sampled.add(identity)) continue
        if (latencies === null || latencies === cell.latencies) latencies = copyOf(cell.latencies)
        const { arm, bucket } = unpackLatency(packed)
        latencies[arm][bucket] = (latencies[arm][bucket] ?? 0) + 1
      }
      if (latencies !== null) strata.push({ failures: { share, kA: 0, kB: 0 }, latencies: { share, ...latencies } })
    }
    this.scoreRequests(strata)
  }

  /** Its content may be saved apart from the rest. */
  get filter(): IdentityFilter {
    return this.#sampled
  }

  save(): SavedLatency {
    return {
      evidence: this.#evidence.save(),
      histogramOfA: sparseHistogram(this.#histogramOfA),
      sinceForgotten: saveLatencies(this.#sinceForgotten),
      forgotten: this.#forgotten,
      epoch: this.#epoch,
      epochEnds: this.#epochEnds,
      sampled: this.#sampled.save(),
    }
  }

  restore(saved: SavedLatency): void {
    this.#evidence.restore(saved.evidence)
    addSparse(this.#histogramOfA, saved.histogramOfA)
    this.#totalOfA = sumOf(this.#histogramOfA)
    this.#thresholds = quantileBuckets(this.#histogramOfA, this.#totalOfA, this.#quantiles)
    const { A, B } = restoreLatencies(saved.sinceForgotten)
    addHistogram(this.#sinceForgotten.A, A)
    addHistogram(this.#sinceForgotten.B, B)
    this.#forgotten = saved.forgotten
    this.#epoch = saved.epoch
    this.#epochEnds = saved.epochEnds
    if (saved.epochEnds !== -1) this.#weigh()
    this.#sampled.restore(saved.sampled)
  }

  #beginEpoch(tick: number): void {
    if (this.#epochEnds !== -1) {
      this.#epoch += 1
      this.#evidence = new Evidence(latencyLevels(this.#quantiles), 1)
      this.#sampled.clear()
    }
    this.#epochEnds = tick + EPOCH
    this.#weigh()
  }

  #weigh(): void {
    this.#lnWeight = -Math.log(this.#epoch) - Math.log(this.#epoch + 1)
  }

  #add(share: number, A: Histogram, B: Histogram): void {
    const slowOfA = countsAbove(A, this.#thresholds, 0)
    const slowOfB = countsAbove(B, this.#thresholds, this.#tolerated)
    for (const [level, kA] of slowOfA.entries()) this.#evidence.add(level, share, kA, slowOfB[level] ?? 0)
  }

  /** Keeps what is told of a regression, and nothing from before it. */
  #remember(timed: readonly Latencies[]): void {
    const { A, B } = this.#sinceForgotten
    if (this.ln < FORGOTTEN) {
      if (this.#forgotten) return
      this.#forgotten = true
      A.fill(0)
      B.fill(0)
      return
    }
    this.#forgotten = false
    for (const latencies of timed) {
      addHistogram(A, latencies.A)
      addHistogram(B, latencies.B)
    }
  }
}

function copyOf(latencies: Latencies | null): Latencies {
  const copy = createLatencies()
  if (latencies !== null) {
    addHistogram(copy.A, latencies.A)
    addHistogram(copy.B, latencies.B)
  }
  return copy
}
