import { ConnectionLost } from '../faults.js'
import type { RunCall } from './run-batch.js'

/** How long a call may take, waiting included, in milliseconds. */
export const CALL_MS = 2000

/** Calls in one transaction: more would hold the event loop, and runs that other processes wait for. */
const MOST_CALLS = 256
const MOST_CHARACTERS = 1_000_000

interface Waiting {
  readonly call: RunCall
  readonly characters: number
  readonly end: number
}

/** Calls on runs, in their order: those that come while others are under way are done together. */
export class RunQueue {
  readonly #work: (calls: readonly RunCall[], ms: number) => Promise<void>
  #waiting: Waiting[] = []
  #isBusy = false

  /** @param work does calls in so many milliseconds, and answers them; where it rejects, none is answered */
  constructor(work: (calls: readonly RunCall[], ms: number) => Promise<void>) {
    this.#work = work
  }

  /** @param characters what it adds to a batch */
  add(call: RunCall, characters = 0): void {
    this.#waiting.push({ call, characters, end: performance.now() + CALL_MS })
    if (this.#isBusy) return
    this.#isBusy = true
    void this.#run()
  }

  async #run(): Promise<void> {
    // Those of the same turn are done together.
    await Promise.resolve()
    for (;;) {
      const [first] = this.#waiting
      if (first === undefined) break
      const calls = this.#take().map(({ call }) => call)
      const left = first.end - performance.now()
      try {
        if (left <= 0) throw new ConnectionLost('no answer in time')
        // oxlint-disable-next-line no-await-in-loop -- one transaction after another
        await this.#work(calls, left)
      } catch (error) {
        for (const { reject } of calls) reject(error)
      }
    }
    this.#isBusy = false
  }

  #take(): Waiting[] {
    let characters = 0
    let count = 0
    for (const each of this.#waiting.slice(0, MOST_CALLS)) {
      characters += each.characters
      if (count > 0 && characters > MOST_CHARACTERS) break
      count += 1
    }
    return this.#waiting.splice(0, count)
  }
}
