import type { Level } from './evidence.js'

/** Histogram buckets of latencies: 16 to an octave, each 4.4 % wide, from below 0.5 ms to above two minutes. */
const LATENCY_BUCKETS = 288
const PER_OCTAVE = 16

/** Counts by histogram bucket. */
export type Histogram = number[]

/** Quantiles below this one count as a median. */
const MEDIAN_BELOW = 0.6

const ZEROS = Array.from({ length: LATENCY_BUCKETS }, () => 0)

export function createHistogram(): Histogram {
  return ZEROS.slice()
}

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

/**
 * The levels of the test for latency, one a quantile. The median weighs half as much as another: it is there for slow
 * modes that A has below its upper quantiles too, and would otherwise cost the rest up to 9 % more requests.
 */
export function latencyLevels(quantiles: readonly number[]): readonly Level[] {
  const shares = quantiles.map((quantile) => (quantile < MEDIAN_BELOW ? 0.5 : 1))
  const sum = shares.reduce((total, share) => total + share, 0)
  return quantiles.map((quantile, i) => ({ ratios: ratiosAt(quantile), weight: (shares[i] ?? 0) / sum }))
}

/** How many of A's latencies must be known before its `quantile` says anything. */
function samplesNeeded(quantile: number): number {
  return Math.round(20 / (1 - quantile))
}

/**
 * A's quantile buckets, for quantiles that ascend; −1 where A has too few latencies for one.
 * A request is slow above them, in B by the tolerated buckets more.
 */
export function quantileBuckets(histogram: Histogram, total: number, quantiles: readonly number[]): number[] {
  const buckets = quantiles.map(() => -1)
  let bucket = -1
  let below = 0
  for (const [i, quantile] of quantiles.entries()) {
    if (total < samplesNeeded(quantile)) break
    while (below < quantile * total && bucket < LATENCY_BUCKETS - 1) {
      bucket += 1
      below += histogram[bucket] ?? 0
    }
    buckets[i] = bucket
  }
  return buckets
}

/** How many latencies lie above each of some buckets that ascend; 0 for those below 0. */
export function countsAbove(histogram: Histogram, buckets: readonly number[], further: number): number[] {
  const counts = buckets.map(() => 0)
  let above = 0
  let at = LATENCY_BUCKETS - 1
  for (let i = buckets.length - 1; i >= 0; i -= 1) {
    const bucket = buckets[i] ?? -1
    if (bucket < 0) continue
    for (; at > bucket + further; at -= 1) above += histogram[at] ?? 0
    counts[i] = above
  }
  return counts
}

/** Adds the counts of one histogram to another; says how many they were. */
export function addHistogram(to: Histogram, from: Histogram): number {
  let sum = 0
  for (let i = 0; i < LATENCY_BUCKETS; i += 1) {
    const count = from[i] ?? 0
    if (count === 0) continue
    to[i] = (to[i] ?? 0) + count
    sum += count
  }
  return sum
}

/** The counts that are not 0: bucket, count, bucket, count, … */
export function sparseHistogram(histogram: Histogram): number[] {
  return histogram.flatMap((count, bucket) => (count === 0 ? [] : [bucket, count]))
}

/** Adds counts in their sparse form. Buckets that do not exist are left out. */
export function addSparse(to: Histogram, sparse: readonly number[]): void {
  for (let i = 0; i + 1 < sparse.length; i += 2) {
    const bucket = sparse[i] ?? LATENCY_BUCKETS
    if (bucket < LATENCY_BUCKETS) to[bucket] = (to[bucket] ?? 0) + (sparse[i + 1] ?? 0)
  }
}

export function sumOf(histogram: Histogram): number {
  let sum = 0
  for (let i = 0; i < LATENCY_BUCKETS; i += 1) sum += histogram[i] ?? 0
  return sum
}
