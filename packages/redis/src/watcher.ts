import { NOWHERE, type Position, type StoreEvent } from '@canary-release/core/registry'
import { demandStillMaster } from './demands.js'
import { DataFault, explained, isForPeople } from './faults.js'
import type { Keys } from './keys.js'
import { DEADLINE_MS, type Link, type Reply } from './link.js'
import { LOG_PAGE, loadState, standing } from './loading.js'
import { type Reconnecting, pause, reconnecting } from './reconnecting.js'
import { type LogEntry, type LogReader, listFrom } from './wire.js'

/** How often a watcher looks whether it still stands in the stored history. In milliseconds. */
const LOOK_MS = 2_000

/** Follows the log from a position on, on a connection of its own, and tells one listener. */
export class Watcher {
  readonly #keys: Keys
  readonly #log: LogReader
  readonly #listener: (event: StoreEvent) => void
  readonly #ended = new AbortController()
  readonly #reconnecting: Reconnecting
  /** Where the listener stands. The epoch is `''` as long as nothing was ever stored. */
  #at: Position
  #isConnected: boolean | null = null
  /** What was last said to be wrong: it is said once. */
  #fault: string | null = null
  #lost = false

  constructor(
    dial: () => Promise<Link>,
    keys: Keys,
    log: LogReader,
    from: Position | null,
    listener: (event: StoreEvent) => void,
  ) {
    this.#log = log
    this.#keys = keys
    this.#listener = listener
    this.#at = from ?? NOWHERE
    this.#reconnecting = reconnecting(dial, {
      serve: (link) => this.#serve(link),
      down: (error) => this.#down(error),
    })
  }

  end(): void {
    this.#ended.abort()
    this.#reconnecting.end()
  }

  #tell(event: StoreEvent): void {
    if (this.#ended.signal.aborted) return
    try {
      this.#listener(event)
    } catch {
      // What a listener throws is its own: the others are told all the same.
    }
  }

  #up(): void {
    if (this.#isConnected !== true) this.#tell({ kind: 'connected' })
    this.#isConnected = true
  }

  #down(error: unknown): void {
    if (this.#isConnected !== false) this.#tell({ kind: 'disconnected', since: Date.now() })
    this.#isConnected = false
    // That nobody answers is said by that; what a server answers is for someone to change.
    if (isForPeople(error)) this.#complain(error)
  }

  #complain(failure: unknown): void {
    const error = explained(failure)
    if (this.#fault !== error.message) this.#tell({ kind: 'error', error })
    this.#fault = error.message
  }

  async #serve(link: Link): Promise<void> {
    const { signal } = this.#ended
    let look = performance.now()
    while (!signal.aborted) {
      /* oxlint-disable no-await-in-loop -- each follows on the one before */
      try {
        if (performance.now() >= look) {
          if (this.#isConnected === true) await demandStillMaster(link)
          await this.#look(link)
          look = performance.now() + LOOK_MS
        }
        if (this.#lost) await Promise.race([pause(LOOK_MS, signal), link.gone])
        else await this.#read(link, look - performance.now())
      } catch (error) {
        // What is stored cannot be taken: it is tried again, on this connection.
        if (!(error instanceof DataFault)) throw error
        this.#complain(error)
        await Promise.race([pause(LOOK_MS, signal), link.gone])
      }
      /* oxlint-enable no-await-in-loop */
    }
  }

  /** Whether the position is still in the stored history; where it is so far back that nobody knows, all is loaded. */
  async #look(link: Link): Promise<void> {
    const known = this.#at
    const { stored, idAt } = await standing(link, this.#keys, known.version)
    this.#up()
    if (known.epoch === '') {
      if (stored.epoch !== '') this.#at = { epoch: stored.epoch, version: 0, id: '' }
      return
    }
    const isLost =
      stored.epoch !== known.epoch || stored.version < known.version || (idAt !== null && idAt !== known.id)
    if (isLost && !this.#lost) this.#tell({ kind: 'rewound', known, stored })
    // It may also be back: a server that was not the master for a moment, and is again.
    this.#lost = isLost
    if (!isLost && idAt === null) await this.#loadAnew(link)
  }

  /** Waits for what comes after the position, and takes it. */
  async #read(link: Link, patience: number): Promise<void> {
    const block = String(Math.max(1, Math.floor(patience)))
    const after = `${this.#at.version}-0`
    const command = ['XREAD', 'COUNT', LOG_PAGE, 'BLOCK', block, 'STREAMS', this.#keys.log, after]
    const reply = await link.send(command, DEADLINE_MS + patience)
    if (reply === null) return
    const [stream] = listFrom(reply)
    const [, entries] = listFrom(stream)
    for (const entry of listFrom(entries)) {
      if (this.#ended.signal.aborted) return
      // oxlint-disable-next-line no-await-in-loop -- in order
      if (!(await this.#take(link, entry))) return
    }
  }

  /** Takes an entry of the log; false where those after it are of no use. */
  async #take(link: Link, reply: Reply): Promise<boolean> {
    if (this.#at.epoch === '') await this.#look(link)
    const { epoch, version, id } = this.#at
    const entry = this.#readable(reply)
    if (entry !== null && entry.version <= version) return true
    const follows = entry !== null && entry.version === version + 1 && entry.prev === id
    if (follows && entry.commit !== null) {
      this.#at = { epoch, version: entry.version, id: entry.id }
      this.#fault = null
      this.#tell({ kind: 'commit', commit: entry.commit })
      return true
    }
    // Something is missing between: by trimming, by a commit too large for the log, or because the history is another.
    await this.#look(link)
    if (!this.#lost && this.#at.version === version) await this.#loadAnew(link)
    return false
  }

  #readable(reply: Reply): LogEntry | null {
    try {
      return this.#log.read(reply)
    } catch (error) {
      if (!(error instanceof DataFault)) throw error
      // It is passed over, if the rows are good: the last good state stays in force until then.
      this.#complain(error)
      return null
    }
  }

  async #loadAnew(link: Link): Promise<void> {
    const { epoch, version } = this.#at
    const state = await loadState(link, this.#keys, this.#log, this.#ended.signal)
    if (state === null || state.at.epoch !== epoch || state.at.version < version)
      throw new DataFault('what Redis holds changed while it was read')
    this.#at = state.at
    this.#fault = null
    this.#tell({ kind: 'state', state })
  }
}
