import { inRoot } from '../../request-context.js'
import type { MadeMove } from '../records/made-move.js'

type Save = (move: MadeMove) => Promise<void>

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 30_000

/** Moves of live releases on their way to the store. They are in force already, so a store that fails is tried again. */
export class UnsavedMoves {
  readonly #save: Save
  readonly #report: (error: unknown) => void
  /** The latest of each plugin. */
  readonly #moves = new Map<string, MadeMove>()
  #delay = FIRST_RETRY_MS
  #timer: NodeJS.Timeout | null = null
  #closed = false

  constructor(save: Save, report: (error: unknown) => void) {
    this.#save = save
    this.#report = report
  }

  add(move: MadeMove): void {
    this.#moves.set(move.row.entity.id, move)
    void this.#try(move)
  }

  /** The store may take them now. */
  retry(): void {
    if (this.#closed) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#delay = FIRST_RETRY_MS
    for (const move of this.#moves.values()) void this.#try(move)
  }

  close(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  async #try(move: MadeMove): Promise<void> {
    const { id } = move.row.entity
    try {
      await this.#save(move)
      if (this.#moves.get(id) === move) this.#moves.delete(id)
      this.#delay = FIRST_RETRY_MS
    } catch (error) {
      if (this.#closed) return
      this.#report(error)
      this.#retryLater()
    }
  }

  #retryLater(): void {
    if (this.#timer !== null) return
    const again = (): void => {
      const delay = this.#delay
      this.retry()
      this.#delay = delay
    }
    this.#timer = inRoot(() => setTimeout(again, this.#delay).unref())
    this.#delay = Math.min(this.#delay * 2, LAST_RETRY_MS)
  }
}
