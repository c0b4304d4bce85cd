import { attempt } from '../../hook.js'
import type { CommitLog } from '../records/commit-log.js'
import { NOWHERE, type Position, type StoreEvent, type StoredState } from '../records/store.js'

type Listener = (event: StoreEvent) => void

interface Watcher {
  readonly listener: Listener
  /** What it was told up to. */
  at: Position
  /** Whether it was told that its position is of another history: it hears nothing more. */
  lost: boolean
}

/** Those who watch a store in this process: each is told of what comes after where it stands, once and in order. */
export class Watchers {
  readonly #log: CommitLog
  readonly #state: () => StoredState | null
  readonly #watchers = new Set<Watcher>()

  /** @param state all that is stored, for who missed more than the log holds */
  constructor(log: CommitLog, state: () => StoredState | null) {
    this.#log = log
    this.#state = state
  }

  get count(): number {
    return this.#watchers.size
  }

  add(from: Position | null, listener: Listener): () => void {
    const watcher = { listener, at: from ?? NOWHERE, lost: false }
    this.#watchers.add(watcher)
    // Not before the caller knows how to end it.
    queueMicrotask(() => this.#bring(watcher))
    return () => this.#watchers.delete(watcher)
  }

  /** Brings all of them to what is stored now. */
  tell(): void {
    for (const watcher of this.#watchers) this.#bring(watcher)
  }

  /** Tells all of them of what is no change. */
  emit(event: StoreEvent): void {
    for (const { listener } of this.#watchers) attempt(() => listener(event))
  }

  clear(): void {
    this.#watchers.clear()
  }

  /** A listener may itself make changes: where the watcher stands is said before it is told. */
  #bring(watcher: Watcher): void {
    const { listener } = watcher
    while (this.#watchers.has(watcher) && !watcher.lost) {
      const missed = this.#log.after(watcher.at)
      const { head } = this.#log
      if (missed === 'foreign') {
        const known = watcher.at
        watcher.lost = true
        attempt(() => listener({ kind: 'rewound', known, stored: head }))
      } else if (missed === 'trimmed') {
        const state = this.#state()
        if (state === null) return
        watcher.at = head
        attempt(() => listener({ kind: 'state', state }))
      } else {
        const [commit] = missed
        if (commit === undefined) return
        watcher.at = { epoch: head.epoch, version: commit.version, id: commit.id }
        attempt(() => listener({ kind: 'commit', commit }))
      }
    }
  }
}
