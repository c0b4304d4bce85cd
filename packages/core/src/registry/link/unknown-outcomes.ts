import { inRoot } from '../../request-context.js'

/** When it is first looked: what a store was still doing has ended by then. */
const FIRST_LOOK_MS = 5_000
const LAST_LOOK_MS = 60_000

/** Changes that ended without an answer of the store: looks later what became of them, and says so. */
export class UnknownOutcomes {
  readonly #isStored: (id: string) => Promise<boolean>
  readonly #say: (message: string) => void
  /** What each of them was, in words. */
  readonly #changes = new Map<string, string>()
  #timer: NodeJS.Timeout | null = null
  #delay = FIRST_LOOK_MS
  #closed = false

  constructor(isStored: (id: string) => Promise<boolean>, say: (message: string) => void) {
    this.#isStored = isStored
    this.#say = say
  }

  add(id: string, words: string): void {
    if (this.#closed) return
    this.#changes.set(id, words)
    this.#lookLater()
  }

  /** A commit was heard of: perhaps one of these. */
  made(id: string): void {
    this.#settle(id, true)
  }

  close(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #lookLater(): void {
    if (this.#timer !== null || this.#closed) return
    this.#timer = inRoot(() => setTimeout(() => void this.#look(), this.#delay).unref())
  }

  async #look(): Promise<void> {
    try {
      const ids = [...this.#changes.keys()]
      const stored = await Promise.all(ids.map((id) => this.#isStored(id)))
      ids.forEach((id, index) => this.#settle(id, stored[index] === true))
      this.#delay = FIRST_LOOK_MS
    } catch {
      // The store is still away, which others tell.
      this.#delay = Math.min(this.#delay * 2, LAST_LOOK_MS)
    }
    this.#timer = null
    if (this.#changes.size > 0) this.#lookLater()
  }

  #settle(id: string, isMade: boolean): void {
    const words = this.#changes.get(id)
    if (words === undefined) return
    this.#changes.delete(id)
    this.#say(
      `the change ${id} (${words}), of which the store did not say whether it was made, ${isMade ? 'was made' : 'was not made'}`,
    )
  }
}
