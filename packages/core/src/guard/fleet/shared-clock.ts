/** Samples of which the one with the shortest round trip counts. */
const SAMPLES = 8
/** How much faster or slower than the local clock it may run. */
const SLEW = 0.05
/** Milliseconds off above which people are told. */
const JUMP_MS = 1_000

interface Sample {
  readonly offset: number
  readonly roundTrip: number
}

/**
 * The store's clock as one process knows it, from samples taken with its own calls. It never falls: it runs slower
 * (by 5 % at most) until a store that is behind has caught up, and goes on by the local clock while the store is away.
 * A store that is ahead is followed by 5 % too, and at once if it is ahead by more than a second: ticks would otherwise
 * lag behind those of other processes for long.
 */
export class SharedClock {
  readonly #local: () => number
  readonly #onJump: (ms: number) => void
  readonly #samples: Sample[] = []
  #offset: number | null = null
  #target = 0
  /** Local time at which the offset was as it is. */
  #at: number
  #last = -Infinity
  #told = 0

  /**
   * @param local milliseconds since the epoch by a clock that nobody sets (`performance.timeOrigin + performance.now()`)
   * @param onJump told by how many milliseconds the two clocks moved against each other, if by more than 1000
   */
  constructor(local: () => number, onJump: (ms: number) => void) {
    this.#local = local
    this.#onJump = onJump
    this.#at = local()
  }

  /** Takes the store's time `stored`, asked for at the local time `sent` and known at `received`. */
  sample(sent: number, stored: number, received: number): void {
    const roundTrip = received - sent
    if (!(roundTrip >= 0) || !Number.isFinite(stored)) return
    const offset = stored - (sent + received) / 2
    // What was measured before a clock was set says nothing any more.
    if (this.#samples.some((each) => Math.abs(each.offset - offset) > JUMP_MS + each.roundTrip + roundTrip)) {
      this.#samples.length = 0
    }
    this.#samples.push({ offset, roundTrip })
    if (this.#samples.length > SAMPLES) this.#samples.shift()
    const best = this.#samples.reduce((a, b) => (b.roundTrip < a.roundTrip ? b : a))
    this.#aim(best.offset)
  }

  /** Milliseconds since the epoch; by the local clock before the first sample. */
  now(): number {
    const local = this.#local()
    if (this.#offset === null) return local
    this.#slew(local)
    this.#last = Math.max(this.#last, local + this.#offset)
    return this.#last
  }

  #aim(target: number): void {
    this.#slew(this.#local())
    this.#target = target
    if (this.#offset === null) {
      this.#offset = this.#told = target
      return
    }
    const moved = target - this.#told
    if (Math.abs(moved) > JUMP_MS) {
      this.#told = target
      this.#onJump(moved)
    }
    if (target - this.#offset > JUMP_MS) this.#offset = target
  }

  #slew(local: number): void {
    const most = SLEW * Math.max(0, local - this.#at)
    this.#at = local
    if (this.#offset === null) return
    this.#offset += Math.max(-most, Math.min(most, this.#target - this.#offset))
  }
}
