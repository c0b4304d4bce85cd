/**
 * The order of `hash: 'none'`: B's share by error diffusion, so that in every window of requests B's count differs
 * from the sum of bucketsOnB/steps by less than 1, also while bucketsOnB changes. Each side walks its own buckets in
 * turn: while bucketsOnB stands still, any `steps` requests in a row hold exactly bucketsOnB of B, so they visit
 * each bucket once.
 */
export class Rotation {
  /** What B is owed: 0 … steps−1, in units of 1/steps of a request. */
  #owed: number
  #steps: number
  #nextOfB = 0
  #nextOfA = 0

  /** @param phase where to begin, 0 ≤ phase < 1: random, so that short-lived processes reach B too */
  constructor(steps: number, phase: number) {
    this.#steps = steps
    this.#owed = phase >= 0 && phase < 1 ? Math.floor(phase * steps) : 0
  }

  /** Goes on with another number of steps; what B is owed is kept. */
  rescale(steps: number): void {
    if (steps === this.#steps) return
    this.#owed = Math.floor((this.#owed / this.#steps) * steps)
    this.#steps = steps
  }

  /** The bucket of the next request: below bucketsOnB exactly where B is due. */
  next(bucketsOnB: number): number {
    const owed = this.#owed + bucketsOnB
    if (owed >= this.#steps) {
      this.#owed = owed - this.#steps
      const bucket = this.#nextOfB < bucketsOnB ? this.#nextOfB : 0
      this.#nextOfB = bucket + 1
      return bucket
    }
    this.#owed = owed
    const left = this.#steps - bucketsOnB
    const bucket = this.#nextOfA < left ? this.#nextOfA : 0
    this.#nextOfA = bucket + 1
    return bucketsOnB + bucket
  }

  /** What {@link next} would say; changes nothing. */
  peek(bucketsOnB: number): number {
    if (this.#owed + bucketsOnB >= this.#steps) return this.#nextOfB < bucketsOnB ? this.#nextOfB : 0
    return bucketsOnB + (this.#nextOfA < this.#steps - bucketsOnB ? this.#nextOfA : 0)
  }
}
