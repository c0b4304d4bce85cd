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
