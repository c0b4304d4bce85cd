import type { Level } from './evidence.js'

/** Histogram buckets of latencies: 16 to an octave, each 4.4 % wide, from below 0.5 ms to above two minutes. */
export const LATENCY_BUCKETS = 288
const PER_OCTAVE = 16

export type Histogram = Uint32Array | Float64Array

/** The histogram bucket of a latency: ⌊16·log₂(ms)⌋ + 16, and the first or last one for what lies beyond. */
export function latencyBucket(ms: number): number {
  // Also for 0, below 0 and NaN, which a clock that was set can produce.
  if (!(ms > 0)) return 0
  const bucket = Math.floor(PER_OCTAVE * Math.log2(ms)) + PER_OCTAVE
  return Math.max(0, Math.min(LATENCY_BUCKETS - 1, bucket))
}

/** The milliseconds at which a histogram bucket ends. */
export function bucketEndMs(bucket: number): number {
  return 2 ** ((bucket + 1 - PER_OCTAVE) / PER_OCTAVE)
}

/** How many buckets higher B may lie where its latency may be `tolerate` times A's. */
export function toleratedBuckets(tolerate: number): number {
  return Math.round(PER_OCTAVE * Math.log2(tolerate))
}

/** The odds ratios tested at a quantile: the rarer slow requests are, the larger the ratios that matter. */
function ratiosAt(quantile: number): readonly number[] {
  if (quantile < 0.85) return [1.3, 1.8, 3]
  return quantile < 0.97 ? [1.5, 2.5, 5, 9] : [2, 5, 15, 50]
}

/** The levels of the test for latency, one a quantile. */
export function latencyLevels(quantiles: readonly number[]): readonly Level[] {
  return quantiles.map((quantile) => ({ ratios: ratiosAt(quantile), weight: 1 / quantiles.length }))
}

/** How many of A's latencies must be known before its `quantile` says anything. */
export function samplesNeeded(quantile: number): number {
  return Math.round(20 / (1 - quantile))
}

/**
 * A's quantile buckets, ascending with `quantiles`; −1 where A has too few latencies for one.
 * A request is slow above them, in B by the tolerated buckets more.
 */
export function quantileBuckets(histogram: Histogram, quantiles: readonly number[]): number[] {
  const total = countAbove(histogram, -1)
  return quantiles.map((quantile) => {
    if (total < samplesNeeded(quantile)) return -1
    let below = 0
    for (let bucket = 0; bucket < histogram.length; bucket += 1) {
      below += histogram[bucket] ?? 0
      if (below >= quantile * total) return bucket
    }
    return histogram.length - 1
  })
}

/** How many latencies lie above a bucket. */
export function countAbove(histogram: Histogram, bucket: number): number {
  let count = 0
  for (let i = bucket + 1; i < histogram.length; i += 1) count += histogram[i] ?? 0
  return count
}

/** Adds the counts of one histogram to another. */
export function addHistogram(to: Histogram, from: Histogram): void {
  for (let i = 0; i < to.length; i += 1) to[i] = (to[i] ?? 0) + (from[i] ?? 0)
}
