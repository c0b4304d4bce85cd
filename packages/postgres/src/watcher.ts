import type { Commit, Position, StoreEvent, StoredState } from '@canary-release/core/registry'
import type { Session } from './connections.js'
import { readCommit, readPosition, readVersion } from './encoded.js'
import { STANDBY, StoreFault } from './faults.js'
import type { SqlNames } from './migrations.js'
import { EMPTY_HEAD, checkReader } from './opening.js'

/** How many commits are read at a time: each is at most 256 KB. */
const PAGE = 100

/** Where one who watches stands, and what follows on it. */
export class Watcher {
  readonly #names: SqlNames
  readonly #load: (session: Session) => Promise<StoredState | null>
  readonly #listener: (event: StoreEvent) => void
  readonly #onRead: (epoch: string, commit: Commit) => void
  /** `null`: before all. */
  #at: Position | null
  #connected: boolean | null = null
  #told: { readonly epoch: string; readonly id: string } | null = null
  #problem: string | null = null
  #active = true

  constructor(
    names: SqlNames,
    from: Position | null,
    load: (session: Session) => Promise<StoredState | null>,
    listener: (event: StoreEvent) => void,
    onRead: (epoch: string, commit: Commit) => void,
  ) {
    this.#onRead = onRead
    this.#names = names
    this.#at = from === null || from.epoch === '' ? null : from
    this.#load = load
    this.#listener = listener
  }

  /** Whether this version is known already. */
  knows(version: number): boolean {
    return this.#connected === true && this.#at !== null && this.#at.version >= version
  }

  stop(): void {
    this.#active = false
  }

  /**
   * Reads what is newer, whole, and tells of it.
   *
   * @throws where the connection is lost, or this server can no longer be read
   */
  async catchUp(session: Session): Promise<void> {
    while (this.#active && (await this.#readPage(session)));
  }

  /** Takes what a change of this process brought: it need not be read again. */
  learn(epoch: string, commits: readonly Commit[]): void {
    if (this.#connected !== true || this.#told !== null) return
    for (const commit of commits) {
      const at = this.#at
      if (at === null || at.epoch !== epoch) return
      if (commit.version !== at.version + 1 || commit.prev !== at.id) continue
      this.#at = { epoch, version: commit.version, id: commit.id }
      this.#tell({ kind: 'commit', commit })
    }
  }

  /** The connection is gone, or could not be made. */
  lost(error: StoreFault, since: number): void {
    if (this.#connected !== false) {
      this.#connected = false
      this.#tell({ kind: 'disconnected', since })
    }
    if (error.lasting) this.#report(error)
  }

  /** @returns whether there may be more */
  async #readPage(session: Session): Promise<boolean> {
    const { head, commit } = this.#names
    const known = this.#at
    // One statement, so that all is of one instant.
    const rows = await session.query(
      `SELECT pg_is_in_recovery(), h.min_reader, h.epoch, h.version, h.id,
         (SELECT m.id FROM ${commit} AS m WHERE m.version = $1), c.version, c.id, c.prev, c.body::text
       FROM ${head} AS h LEFT JOIN LATERAL (
         SELECT * FROM ${commit} AS n WHERE n.version > $1 ORDER BY n.version LIMIT ${PAGE}
       ) AS c ON true ORDER BY c.version`,
      [known?.version ?? 0],
    )
    if (!this.#active) return false
    const [first] = rows
    if (first === undefined) throw new StoreFault(EMPTY_HEAD)
    const [standby, minReader, epoch, version, id, mine] = first
    // A primary that became a standby may lag behind the new one.
    if (standby === true) throw new StoreFault(STANDBY, { lasting: false })
    checkReader(minReader)
    const stored = readPosition(epoch, version, id)
    if (!follows(stored, known, mine)) {
      this.#rewound(known, stored)
      return false
    }
    this.#told = null
    if (this.#connected !== true) {
      this.#connected = true
      this.#tell({ kind: 'connected' })
    }
    const at = this.#at ?? { epoch: stored.epoch, version: 0, id: '' }
    this.#at = at
    if (stored.version <= at.version) {
      this.#problem = null
      return false
    }
    try {
      if (!this.#takeEntries(at, rows)) await this.#loadAnew(session)
    } catch (error) {
      if (!(error instanceof StoreFault)) throw error
      // What is stored cannot be taken: the last good state stays, and it is looked at again with the next change.
      this.#report(error)
      return false
    }
    this.#problem = null
    return true
  }

  /** @returns false where the log does not go on from here: it was trimmed, or an entry is too large for it */
  #takeEntries(from: Position, rows: readonly (readonly unknown[])[]): boolean {
    let at = from
    for (const [, , , , , , version, id, prev, body] of rows) {
      if (!this.#active) return true
      // Learned while it was read.
      if (version !== null && readVersion(version) <= from.version) continue
      if (version === null || body === null || readVersion(version) !== at.version + 1 || prev !== at.id) {
        return at !== from
      }
      const commit = this.#read(at.version + 1, prev, body)
      if (commit === null || commit.id !== id) return at !== from
      at = { epoch: at.epoch, version: commit.version, id: commit.id }
      this.#at = at
      this.#onRead(at.epoch, commit)
      this.#tell({ kind: 'commit', commit })
      // A listener made a change, and this watcher learned of it.
      if (this.#at !== at) return true
    }
    return true
  }

  /** `null`: what is logged cannot be read, but the rows may be. */
  #read(version: number, prev: unknown, body: unknown): Commit | null {
    try {
      return readCommit(version, prev, body)
    } catch (error) {
      if (!(error instanceof StoreFault)) throw error
      this.#report(error)
      return null
    }
  }

  async #loadAnew(session: Session): Promise<void> {
    const state = await this.#load(session)
    if (!this.#active || state === null) return
    this.#at = state.at
    this.#tell({ kind: 'state', state })
  }

  #rewound(known: Position | null, stored: Position): void {
    if (known === null) return
    if (this.#told?.epoch === stored.epoch && this.#told.id === stored.id) return
    this.#told = stored
    this.#tell({ kind: 'rewound', known, stored })
  }

  /** Once for each problem, not every two seconds. */
  #report(error: StoreFault): void {
    if (this.#problem === error.message) return
    this.#problem = error.message
    this.#tell({ kind: 'error', error })
  }

  #tell(event: StoreEvent): void {
    if (!this.#active) return
    try {
      this.#listener(event)
    } catch (error) {
      if (event.kind !== 'error') this.#tell({ kind: 'error', error })
    }
  }
}

/** Whether the stored history is the known one, further on or not. `mine`: the id stored at the known version. */
function follows(stored: Position, known: Position | null, mine: unknown): boolean {
  if (known === null) return true
  if (stored.epoch !== known.epoch || stored.version < known.version) return false
  if (stored.version === known.version) return stored.id === known.id
  // Older than what is kept: nobody knows, and it is loaded anew.
  return known.version === 0 || mine === null || mine === known.id
}
