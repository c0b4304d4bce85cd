import { inRoot } from '../request-context.js'

/** Runs tasks one after another, in the order in which they came. */
export class SerialQueue {
  #last: Promise<unknown> = inRoot(() => Promise.resolve())

  run<Result>(task: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(task)
    // It stays until the next task comes; on Node 20 and 22 a promise keeps the stores of who made it.
    this.#last = inRoot(() => result.catch(() => undefined))
    return result
  }

  /** Resolves when all that was asked for so far is done. */
  async idle(): Promise<void> {
    await this.#last
  }
}
