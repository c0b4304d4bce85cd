/**
 * How many buckets a linear transition has on B after `elapsedMs` of `durationMs` (whole milliseconds):
 * `floor(clamp((now − start) / duration, 0, 1) × steps)`, multiplying before dividing, so that 57 of 100 is 57.
 */
export function bucketsOfElapsed(elapsedMs: number, durationMs: number, steps: number): number {
  if (!(elapsedMs > 0)) return 0
  if (elapsedMs >= durationMs) return steps
  const product = elapsedMs * steps
  if (product <= Number.MAX_SAFE_INTEGER) return Math.floor(product / durationMs)
  return Number((BigInt(Math.floor(elapsedMs)) * BigInt(steps)) / BigInt(durationMs))
}

/** When a bucket goes over to B: the first millisecond after the start at which more than `bucket` buckets are on B. */
export function elapsedUntil(bucket: number, durationMs: number, steps: number): number {
  let elapsed = Math.ceil(((bucket + 1) * durationMs) / steps)
  while (elapsed > 0 && bucketsOfElapsed(elapsed - 1, durationMs, steps) > bucket) elapsed -= 1
  while (bucketsOfElapsed(elapsed, durationMs, steps) <= bucket) elapsed += 1
  return elapsed
}

/** The size of a ramp: whole milliseconds, and how many buckets go over in them. */
export interface RampSize {
  readonly durationMs: number
  readonly steps: number
}

/**
 * Where a ramp that came as far as `elapsedMs` (whole milliseconds) stands after its duration or steps were edited. The
 * fraction that has passed stays, and the rest of the new duration remains: `⌈e·d′/d⌉`, but never less than what keeps
 * the share. So it never falls, and is at most one bucket or one millisecond higher.
 */
export function elapsedAfterEdit(elapsedMs: number, from: RampSize, to: RampSize): number {
  if (!(elapsedMs > 0)) return elapsedMs
  if (elapsedMs >= from.durationMs) return to.durationMs
  const [elapsed, d, s] = [BigInt(Math.floor(elapsedMs)), BigInt(from.durationMs), BigInt(from.steps)]
  const [d2, s2] = [BigInt(to.durationMs), BigInt(to.steps)]
  const fraction = ceilOf(elapsed * d2, d)
  // The fewest of the new buckets that are no smaller a share, and the first millisecond that has them.
  const buckets = ceilOf(((elapsed * s) / d) * s2, s)
  const kept = ceilOf(buckets * d2, s2)
  return Number(fraction > kept ? fraction : kept)
}

function ceilOf(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor
}
