import type { Pair } from './delta.js'

/** B's failures among its last requests, without a guarantee: for when A fails together with B. */
export class HardLimit {
  readonly #rate: number
  readonly #over: number
  #ticks: { readonly n: number; readonly k: number }[] = []
  #n = 0
  #k = 0

  constructor({ failureRate, over }: { readonly failureRate: number; readonly over: number }) {
    this.#rate = failureRate
    this.#over = over
  }

  /** B's last requests that ended: at least `over` of them, once there are so many. */
  get last(): { readonly n: number; readonly k: number } {
    return { n: this.#n, k: this.#k }
  }

  get reached(): boolean {
    return this.#n >= this.#over && this.#k >= this.#rate * this.#n
  }

  add(ended: Readonly<Pair>, failed: Readonly<Pair>): void {
    if (ended.B === 0 && failed.B === 0) return
    this.#ticks.push({ n: ended.B, k: failed.B })
    this.#n += ended.B
    this.#k += failed.B
    for (let oldest = this.#ticks[0]; oldest !== undefined; oldest = this.#ticks[0]) {
      if (this.#n - oldest.n < this.#over) return
      this.#ticks.shift()
      this.#n -= oldest.n
      this.#k -= oldest.k
    }
  }
}
