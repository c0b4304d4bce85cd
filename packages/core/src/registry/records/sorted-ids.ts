const FEW = 64

/** Ids in order, so that a page of a list begins where the one before ended, whatever was changed in between. */
export class SortedIds {
  #ids: string[] = []
  /** What came (true) and went since somebody last asked: a start brings many at once, a change only a few. */
  readonly #pending = new Map<string, boolean>()

  add(id: string): void {
    this.#pending.set(id, true)
  }

  delete(id: string): void {
    this.#pending.set(id, false)
  }

  /** Up to `size` ids after `id` (`null`: from the first). */
  after(id: string | null, size: number): string[] {
    this.#settle()
    const from = id === null ? 0 : this.#countUpTo(id)
    return this.#ids.slice(from, from + size)
  }

  #settle(): void {
    if (this.#pending.size <= FEW) {
      for (const [id, present] of this.#pending) this.#settleOne(id, present)
    } else {
      const kept = this.#ids.filter((id) => !this.#pending.has(id))
      for (const [id, present] of this.#pending) if (present) kept.push(id)
      this.#ids = kept.sort()
    }
    this.#pending.clear()
  }

  #settleOne(id: string, present: boolean): void {
    const count = this.#countUpTo(id)
    const known = this.#ids[count - 1] === id
    if (present && !known) this.#ids.splice(count, 0, id)
    else if (!present && known) this.#ids.splice(count - 1, 1)
  }

  /** How many ids are `id` or before it. */
  #countUpTo(id: string): number {
    let low = 0
    let high = this.#ids.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#ids[middle] ?? '') <= id) low = middle + 1
      else high = middle
    }
    return low
  }
}
