/** How many of a kind are under way at a time, by what they share: an upstream, or a client's network. */
export class UnderWay {
  readonly #counts = new Map<string, number>()

  /** Counts one more, and returns what ends it, to be called once; `null` where there are `limit` already. */
  enter(key: string, limit: number): (() => void) | null {
    const count = this.#counts.get(key) ?? 0
    if (count >= limit) return null
    this.#counts.set(key, count + 1)
    return () => this.#leave(key)
  }

  #leave(key: string): void {
    const left = (this.#counts.get(key) ?? 0) - 1
    if (left > 0) this.#counts.set(key, left)
    else this.#counts.delete(key)
  }
}
