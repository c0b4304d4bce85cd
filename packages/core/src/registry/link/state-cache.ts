import { setImmediate as turn } from 'node:timers/promises'
import { inRoot } from '../../request-context.js'
import { SerialQueue } from '../serial-queue.js'
import type { StoredState } from '../records/store.js'
import { linesOf, readState } from '../stores/state-file.js'
import { readWhole, unreadable, writeWhole } from '../stores/whole-file.js'

/** How many lines are written before other work has its turn. */
const SLICE = 500
/** The least time between two writings. */
const PERIOD_MS = 1_000

/** A file with the last state that was in force. */
export class StateCache {
  readonly #path: string
  readonly #state: () => StoredState
  readonly #report: (error: unknown) => void
  readonly #queue = new SerialQueue()
  #timer: NodeJS.Timeout | null = null
  #told = false

  constructor(path: string, state: () => StoredState, report: (error: unknown) => void) {
    this.#path = path
    this.#state = state
    this.#report = report
  }

  /** @throws {CanaryError} ERR_CANARY_STORE where it cannot be read or is damaged */
  async read(): Promise<StoredState | null> {
    try {
      const file = await readWhole(this.#path)
      if (file === null) return null
      const { at, rows } = readState(file.text)
      return { at, rows }
    } catch (error) {
      throw unreadable(this.#path, error)
    }
  }

  /** Another state is in force: it is written soon. */
  changed(): void {
    this.#timer ??= inRoot(() => setTimeout(() => void this.#write(), PERIOD_MS).unref())
  }

  /** What was not written yet is. */
  async close(): Promise<void> {
    if (this.#timer !== null) await this.#write()
  }

  async #write(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    await this.#queue.run(async () => {
      try {
        await writeWhole(this.#path, await textOf(this.#state()))
        this.#told = false
      } catch (error) {
        // Each change would repeat it.
        if (!this.#told) this.#report(error)
        this.#told = true
      }
    })
  }
}

/** A whole state as text, made bit by bit: a large one must not hold up requests. */
async function textOf({ at, rows }: StoredState): Promise<string> {
  const parts: string[] = []
  for (const line of linesOf({ at, rows, audit: [], log: [] })) {
    parts.push(line)
    // oxlint-disable-next-line no-await-in-loop -- that is the point
    if (parts.length % SLICE === 0) await turn()
  }
  return parts.join('\n')
}
