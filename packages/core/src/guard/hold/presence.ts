/** Milliseconds after which a bucket counts as one that nobody uses. */
const WINDOW_MS = 600_000
/** Requests in that time without which an empty bucket says nothing. */
const ENOUGH = 100
/** Buckets that are told apart. Where more are used, B has traffic to be judged by. */
const MOST_BUCKETS = 16_384

/**
 * Which buckets the requests of the last ten minutes fell into. Identities keep to their buckets: a ramp that goes on
 * past empty ones moves nobody.
 */
export class Presence {
  readonly #window: number
  /** By bucket, the tick of its last request. */
  readonly #last = new Map<number, number>()
  /** The ticks of the last requests, in a ring. */
  readonly #recent = new Float64Array(ENOUGH).fill(-Infinity)
  #next = 0
  #tick: number
  /** The bucket that was last asked from, and the answer. */
  #from = -1
  #first = Infinity

  constructor(tickMs: number, tick: number) {
    this.#tick = tick
    this.#window = Math.ceil(WINDOW_MS / tickMs)
  }

  /** Begins a tick. */
  tick(tick: number): void {
    this.#tick = tick
    this.#from = -1
    for (const [bucket, last] of this.#last) if (last <= tick - this.#window) this.#last.delete(bucket)
  }

  /** Takes a request that was decided; `null` where it has no bucket. */
  note(bucket: number | null): void {
    this.#recent[this.#next] = this.#tick
    this.#next = (this.#next + 1) % ENOUGH
    if (bucket === null || this.#last.size > MOST_BUCKETS) return
    this.#last.set(bucket, this.#tick)
    if (bucket >= this.#from && bucket < this.#first) this.#first = bucket
  }

  /** The first bucket from `from` on that somebody uses: `Infinity` for none, `from` itself where too little is known. */
  firstUsed(from: number): number {
    const enough = (this.#recent[this.#next] ?? -Infinity) > this.#tick - this.#window
    if (!enough || this.#last.size > MOST_BUCKETS) return from
    if (from === this.#from) return this.#first
    let first = Infinity
    for (const bucket of this.#last.keys()) if (bucket >= from && bucket < first) first = bucket
    this.#from = from
    this.#first = first
    return first
  }
}
