import type { Commit } from '@canary-release/core/registry'
import type { Connections, Session } from './connections.js'
import { storeFault } from './faults.js'
import type { SqlNames } from './migrations.js'
import type { Watcher } from './watcher.js'

/** How often it is looked at without a notification, in milliseconds: a pooler may swallow them. */
const POLL_MS = 2000
/**
 * The pause after a look, in milliseconds, so that several of many changes at once are read at a time: more where the
 * server is so busy that a look takes long.
 */
const LEAST_GAP_MS = 5
const MOST_GAP_MS = 100
const GAP_PER_LOOK = 2
/** The pause before a new connection, in milliseconds: doubled each time, with up to as much again by chance. */
const FIRST_PAUSE_MS = 25
const LAST_PAUSE_MS = 125

/** The one connection that listens, for all who watch. */
export class Feed {
  readonly #connections: Connections
  readonly #names: SqlNames
  readonly #open: (session: Session) => Promise<void>
  readonly #watchers = new Set<Watcher>()
  readonly #ending = new AbortController()
  #running: Promise<void> | null = null
  /** The newest version that is known to be there. */
  #heard = 0
  #due = false
  /** Ends a pause. */
  #wake: () => void = () => undefined
  /** Ends one in which nothing is due. */
  #nudge: () => void = () => undefined
  #since: number | null = null

  constructor(connections: Connections, names: SqlNames, open: (session: Session) => Promise<void>) {
    this.#connections = connections
    this.#names = names
    this.#open = open
  }

  add(watcher: Watcher): void {
    this.#watchers.add(watcher)
    this.#running ??= this.#run()
    this.#due = true
    this.#nudge()
  }

  remove(watcher: Watcher): void {
    this.#watchers.delete(watcher)
  }

  /** What a change of this process brought. */
  learn(epoch: string, commits: readonly Commit[]): void {
    for (const watcher of this.#watchers) watcher.learn(epoch, commits)
  }

  async close(): Promise<void> {
    this.#ending.abort()
    this.#wake()
    this.#watchers.clear()
    await this.#running
  }

  async #run(): Promise<void> {
    let pause = FIRST_PAUSE_MS
    this.#since = Date.now()
    while (!this.#ending.signal.aborted) {
      try {
        await this.#connections.use(this.#ending.signal, async (session) => {
          await this.#open(session)
          await this.#listen(session, () => (pause = FIRST_PAUSE_MS))
        })
      } catch (error) {
        if (this.#ending.signal.aborted) return
        const fault = storeFault(error)
        this.#since ??= Date.now()
        for (const watcher of this.#watchers) watcher.lost(fault, this.#since)
        await this.#sleep(fault.lasting ? POLL_MS : pause * (1 + Math.random()))
        pause = Math.min(pause * 2, LAST_PAUSE_MS)
      }
    }
  }

  async #listen(session: Session, good: () => void): Promise<never> {
    const lost: Error[] = []
    session.onLost((error) => {
      lost.push(error)
      this.#wake()
    })
    session.onNotification((payload) => {
      this.#heard = Math.max(this.#heard, Number(payload) || 0)
      for (const watcher of this.#watchers) {
        if (!watcher.knows(this.#heard)) this.#due = true
      }
      if (this.#due) this.#nudge()
    })
    await session.query(`LISTEN ${this.#names.channel}`)
    for (;;) {
      // Whoever ended it no longer waits for this.
      this.#ending.signal.throwIfAborted()
      this.#due = false
      const begun = performance.now()
      for (const watcher of this.#watchers) await watcher.catchUp(session)
      this.#since = null
      good()
      const gap = Math.min(MOST_GAP_MS, Math.max(LEAST_GAP_MS, GAP_PER_LOOK * (performance.now() - begun)))
      if (lost.length === 0) await this.#sleep(gap)
      if (!this.#due && lost.length === 0) await this.#idle()
      for (const error of lost) throw error
    }
  }

  /** Until something is due. */
  async #idle(): Promise<void> {
    const sleeping = this.#sleep(POLL_MS)
    this.#nudge = this.#wake
    await sleeping
    this.#nudge = () => undefined
  }

  #sleep(ms: number): Promise<void> {
    if (this.#ending.signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
