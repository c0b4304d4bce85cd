/** Lets what is under way end by itself, and ends what takes longer than it may. */
export class Drain {
  readonly #isEmpty: () => boolean
  readonly #endAll: () => void
  #waiting: (() => void)[] = []

  constructor(isEmpty: () => boolean, endAll: () => void) {
    this.#isEmpty = isEmpty
    this.#endAll = endAll
  }

  /** Says that nothing is under way for now. */
  emptied(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Resolves once nothing is under way; what is left after `graceMs` is ended. */
  async wait(graceMs: number): Promise<void> {
    if (this.#isEmpty()) return
    const timer = setTimeout(this.#endAll, graceMs)
    // A request that has just failed at one upstream may go on at the other.
    while (!this.#isEmpty()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    clearTimeout(timer)
  }
}
