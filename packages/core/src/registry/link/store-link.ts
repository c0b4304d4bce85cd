import { disown } from '../../hook.js'
import { inRoot } from '../../request-context.js'
import { commitOf } from '../records/commit-log.js'
import {
  type Commit,
  NOWHERE,
  type Position,
  type Proposal,
  type SaveResult,
  type Store,
  type StoreEvent,
  type StoredState,
} from '../records/store.js'
import { SerialQueue } from '../serial-queue.js'
import { type Deadline, Late, within } from './deadline.js'
import { notStored, notWritten, outcomeOf, rewoundError, unknownOutcome, unread } from './store-errors.js'
import type { StoreStatus } from './store-status.js'

/** What is in force, as far as a store brings it. */
export interface Linked {
  readonly at: Position
  /** Takes the commit that follows. */
  take(commit: Commit, epoch: string): void
  /** Takes another state whole. */
  replace(state: StoredState): void
  /** The store can be reached again. */
  connected(): void
  report(error: unknown): void
}

/** How long a state may take that nobody waits for. */
const LOAD_MS = 30_000
const RETRY_MS = 1_000
const MAX_PAUSE_MS = 100

/** Keeps what is in force in step with a store: takes what follows on it, and nothing of another history. */
export class StoreLink {
  readonly #store: Store
  readonly #linked: Linked
  /** Events wait for loads, and changes do not wait for events. */
  readonly #events = new SerialQueue()
  #stop: () => void = () => undefined
  #retry: NodeJS.Timeout | null = null
  #closed = false
  #lostSince: number | null = null
  #failedSince: number | null = null
  #stale = false
  #rewound: StoreStatus['rewound'] = null

  constructor(store: Store, linked: Linked) {
    this.#store = store
    this.#linked = linked
  }

  status(): StoreStatus {
    const since = this.#lostSince ?? this.#failedSince
    return {
      connected: since === null,
      since,
      stale: this.#stale,
      rewound: this.#rewound,
      position: this.#linked.at,
    }
  }

  /** Reads the store and follows it from then on; false where nothing was ever stored. */
  async open(timeoutMs = LOAD_MS): Promise<boolean> {
    const state = await within(timeoutMs, (deadline) => this.#read(deadline))
    if (state !== null) this.#linked.replace(state)
    this.#follow()
    return state !== null
  }

  /** Begins with a state that was known of the store, which cannot be read now. */
  openStale(state: StoredState): void {
    this.#stale = true
    this.#linked.replace(state)
    this.#follow()
  }

  /** @throws {CanaryError} ERR_CANARY_STORE where it is known that no change can be made now */
  refuse(): void {
    if (this.#rewound !== null) throw rewoundError(this.#rewound.known, this.#rewound.stored)
    if (this.#lostSince !== null) throw notWritten("the registry's store is not connected")
  }

  /**
   * Commits what was made on the state in force. In force afterwards, with what others did.
   *
   * @returns where it is; `null` where others were in the way, and what they did is in force
   * @throws {CanaryError} ERR_CANARY_STORE with `outcome`
   */
  async save(proposal: Proposal, deadline: Deadline): Promise<Position | null> {
    const result = await this.#commit(proposal, deadline)
    if (result.kind === 'rewound') {
      this.#rewind(proposal.base, result.stored)
      throw rewoundError(proposal.base, result.stored)
    }
    if (result.kind === 'saved') {
      const commits = [...result.missed, commitOf(proposal, before(result, proposal))]
      await this.#advance(commits, result.at.epoch, deadline).catch((error: unknown) => this.#linked.report(error))
      return result.at
    }
    const { missed } = result
    try {
      if (missed === null || missed.length === 0) await this.#load(deadline)
      else await this.#advance(missed, proposal.base.epoch, deadline)
    } catch (error) {
      throw notWritten("the registry's store was changed by others, and could not be read", error)
    }
    return null
  }

  /**
   * Takes what is stored in place of what was known.
   *
   * @throws {CanaryError} ERR_CANARY_STATE where something else is stored, ERR_CANARY_STORE where nothing can be read
   */
  async accept(stored: Position): Promise<void> {
    const read = await within(LOAD_MS, (deadline) => this.#read(deadline))
    const state = read ?? { at: stored.version === 0 ? stored : NOWHERE, rows: [] }
    const { at } = state
    const isSame =
      at.version === stored.version ? at.id === stored.id : at.version > stored.version && stored.version > 0
    if (at.epoch !== stored.epoch || !isSame) throw notStored(stored, at)
    this.#rewound = null
    this.#stale = false
    this.#stop()
    this.#linked.replace(state)
    this.#follow()
  }

  close(): void {
    this.#closed = true
    this.#stop()
    if (this.#retry !== null) clearTimeout(this.#retry)
  }

  #follow(): void {
    const { at } = this.#linked
    const from = at.version === 0 && at.epoch === '' ? null : at
    let isOn = true
    const stop = this.#store.watch(from, (event) => {
      if (isOn) void this.#events.run(async () => (isOn ? this.#heard(event) : undefined))
    })
    this.#stop = () => {
      isOn = false
      stop()
    }
  }

  async #heard(event: StoreEvent): Promise<void> {
    if (this.#closed) return
    try {
      switch (event.kind) {
        case 'connected':
          this.#lostSince = null
          this.#failedSince = null
          if (this.#stale) await this.#loadSoon()
          return this.#linked.connected()
        case 'disconnected':
          this.#lostSince = event.since
          return
        case 'error':
          this.#failedSince ??= Date.now()
          throw event.error
        case 'rewound':
          return this.#rewind(event.known, event.stored)
        case 'state':
          this.#failedSince = null
          // One that was on its way while a change was made is older.
          return this.#judge(event.state, NOWHERE)
        case 'commit':
          this.#failedSince = null
          await within(LOAD_MS, (deadline) => this.#advance([event.commit], this.#linked.at.epoch, deadline))
      }
    } catch (error) {
      // Reading ended with the store.
      if (this.#closed) return
      this.#linked.report(error)
      if (event.kind === 'commit') this.#loadLater()
    }
  }

  /** Takes commits that follow on what is in force; where one does not, all is read anew. */
  async #advance(commits: readonly Commit[], epoch: string, deadline: Deadline): Promise<void> {
    for (const commit of commits) {
      const { at } = this.#linked
      const { id, prev, version } = commit
      if (version < at.version || (version === at.version && id === at.id)) continue
      const isFork = version === at.version || (version === at.version + 1 && prev !== at.id)
      if (isFork && at.epoch === epoch) return this.#rewind(at, { epoch, version, id })
      // A gap, or the name of the history is not known yet.
      if (version !== at.version + 1 || prev !== at.id || epoch === '') {
        // oxlint-disable-next-line no-await-in-loop -- it ends the loop
        return await this.#load(deadline)
      }
      this.#linked.take(commit, epoch)
      // What is in force is in the stored history after all.
      this.#rewound = null
      this.#stale = false
    }
  }

  async #load(deadline: Deadline): Promise<void> {
    const since = this.#linked.at
    const state = await this.#read(deadline)
    if (state !== null) this.#judge(state, since)
    else if (since.version > 0) this.#rewind(since, NOWHERE)
  }

  /** Takes what was read if it goes on from what is in force. `since`: what was in force when reading began. */
  #judge(state: StoredState, since: Position): void {
    const { at } = this.#linked
    const isOther =
      at.version > 0 &&
      (state.at.epoch !== at.epoch ||
        state.at.version < since.version ||
        (state.at.version === since.version && since.version > 0 && state.at.id !== since.id) ||
        (state.at.version === at.version && state.at.id !== at.id))
    if (isOther) return this.#rewind(at, state.at)
    this.#stale = false
    if (state.at.version > at.version) this.#linked.replace(state)
  }

  #rewind(known: Position, stored: Position): void {
    const isKnown = this.#rewound !== null
    this.#rewound = { known, stored }
    if (!isKnown) this.#linked.report(rewoundError(known, stored))
  }

  async #read(deadline: Deadline): Promise<StoredState | null> {
    try {
      const state = await deadline.wait(this.#store.load(deadline.signal))
      this.#failedSince = null
      return state
    } catch (error) {
      this.#failedSince ??= Date.now()
      throw unread(error)
    }
  }

  /** Commits, and asks again whether it is committed as long as that is unknown and there is time. */
  async #commit(proposal: Proposal, deadline: Deadline): Promise<SaveResult> {
    let unknown: unknown = null
    for (;;) {
      /* oxlint-disable no-await-in-loop -- each attempt follows on the one before */
      try {
        const result = await deadline.wait(this.#store.save(proposal, deadline.signal))
        this.#failedSince = null
        return result
      } catch (error) {
        this.#failedSince ??= Date.now()
        if (unknown === null && outcomeOf(error) === 'not-written') throw error
        unknown ??= error
        await deadline.pause(Math.random() * MAX_PAUSE_MS)
        if (deadline.isOver || error instanceof Late) throw unknownOutcome(proposal.id, unknown)
      }
      /* oxlint-enable no-await-in-loop */
    }
  }

  async #loadSoon(): Promise<void> {
    try {
      await within(LOAD_MS, (deadline) => this.#load(deadline))
    } catch (error) {
      if (this.#closed) return
      this.#linked.report(error)
      this.#loadLater()
    }
  }

  #loadLater(): void {
    if (this.#retry !== null || this.#closed) return
    const again = () => {
      this.#retry = null
      disown(this.#events.run(() => this.#loadSoon()))
    }
    this.#retry = inRoot(() => setTimeout(again, RETRY_MS).unref())
  }
}

/** The position that a saved proposal follows on. */
function before({ at, missed }: SaveResult & { readonly kind: 'saved' }, { base }: Proposal): Position {
  return { epoch: at.epoch, version: at.version - 1, id: missed.at(-1)?.id ?? base.id }
}
