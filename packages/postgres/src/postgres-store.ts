import { setTimeout as pause } from 'node:timers/promises'
import { CanaryError } from '@canary-release/core'
import type { Shared } from '@canary-release/core/guard/internal'
import { Connections, QUERY_MS, STATEMENT_MS, type Session } from './connections.js'
import type {
  AuditEntry,
  AuditQuery,
  Commit,
  Position,
  Proposal,
  Row,
  SaveResult,
  Store,
  StoreEvent,
  StoredState,
} from '@canary-release/core/registry'
import { comparable, readAudit, readCommit, readPosition, readRow, readVersion, saveArguments } from './encoded.js'
import {
  ConnectionLost,
  FOREIGN,
  STANDBY,
  StoreFault,
  certainlyFailed,
  isPassingConflict,
  storeFault,
} from './faults.js'
import { Feed } from './feed.js'
import { type SqlNames, sqlNames } from './migrations.js'
import { EMPTY_HEAD, checkReader, openSchema } from './opening.js'
import type { ResolvedOptions } from './options.js'
import { RecentCommits } from './recent-commits.js'
import { PostgresShared } from './shared/postgres-shared.js'
import { Watcher } from './watcher.js'

/** How long a change may take, attempts and waiting included, in milliseconds; a large one has more time. */
const SAVE_MS = 2000
const LARGE_ROWS = 500
const MS_PER_ROW = 0.5

/** How many rows are read at a time: parsing more would hold the event loop. */
const PAGE_ROWS = 200

/** A pause between two attempts, in milliseconds, by chance between half of it and all. */
const PAUSE_MS = 50

/** How long a writer waits for the one before it, and how much sooner than its client the server gives up. */
const LOCK_MS = 1000
const MARGIN_MS = 200

export class PostgresStore implements Store {
  readonly shared: Shared
  readonly #schema: string
  readonly #names: SqlNames
  readonly #connections: Connections
  readonly #feed: Feed
  readonly #recent = new RecentCommits()
  readonly #saveText: string
  /** Whether the tables were there once. */
  #known = false

  /** @param shift milliseconds that the clock of what guards share is put on: for tests */
  constructor({ source, schema, logger }: ResolvedOptions, shift?: () => number) {
    this.#schema = schema
    this.#names = sqlNames(schema)
    this.#connections = new Connections(source)
    this.#feed = new Feed(this.#connections, this.#names, (session) => this.#reopen(session))
    this.#saveText = `SELECT * FROM ${this.#names.save}($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
    const onJump = (ms: number) =>
      logger.warn(
        `canary store: the clocks of PostgreSQL and of this process moved by ${Math.round(ms)} ms against each other`,
      )
    this.shared = new PostgresShared(this.#names, (ms, work) => this.#ask(ms, work), onJump, shift)
  }

  async load(signal?: AbortSignal): Promise<StoredState | null> {
    try {
      return await this.#connections.use(signal, async (session) => {
        await this.#open(session)
        return this.#load(session)
      })
    } catch (error) {
      throw this.#failure(error, signal)
    }
  }

  async save(proposal: Proposal, signal?: AbortSignal): Promise<SaveResult> {
    const extraMs = proposal.changes.length > LARGE_ROWS ? proposal.changes.length * MS_PER_ROW : 0
    const end = performance.now() + SAVE_MS + extraMs
    const left = (most: number): number => Math.max(1, Math.ceil(Math.min(most, end - performance.now())))
    const values = saveArguments(proposal)
    // Whether an attempt may be under way still, or done: then it is asked again until it is known.
    let doubtful = false
    for (;;) {
      let sent = false
      try {
        return await this.#connections.use(
          signal,
          async (session) => {
            await this.#open(session)
            sent = true
            const lockMs = Math.max(1, left(LOCK_MS + MARGIN_MS) - MARGIN_MS)
            const answer = await this.#commit(session, [...values, lockMs], left(QUERY_MS + extraMs), extraMs)
            const result = await this.#resultOf(session, proposal, answer)
            // Who asked is answered first, and need not ask what it then hears.
            setImmediate(() => this.#learn(proposal, result))
            return result
          },
          left(SAVE_MS),
        )
      } catch (error) {
        if (sent && !certainlyFailed(error)) doubtful = true
        const again = doubtful ? storeFault(error).lasting === false : isPassingConflict(error)
        const over = this.#connections.closed || signal?.aborted === true || left(SAVE_MS) <= 2 * MARGIN_MS
        if (!again || over) throw this.#failure(error, signal, doubtful ? proposal.id : null)
      }
      await pause(PAUSE_MS * (0.5 + Math.random() / 2))
    }
  }

  watch(from: Position | null, listener: (event: StoreEvent) => void): () => void {
    const load = (session: Session) => this.#load(session)
    const onRead = (epoch: string, commit: Commit) => this.#recent.add(epoch, commit)
    const watcher = new Watcher(this.#names, from, load, listener, onRead)
    this.#feed.add(watcher)
    return () => {
      watcher.stop()
      this.#feed.remove(watcher)
    }
  }

  async audit({ limit, before, plugin, by }: AuditQuery): Promise<readonly AuditEntry[]> {
    try {
      const rows = await this.#connections.use(undefined, async (session) => {
        await this.#open(session)
        return session.query(
          `SELECT version, entry::text FROM ${this.#names.audit}
           WHERE ($2::bigint IS NULL OR version < $2) AND ($3::text IS NULL OR $3 = ANY (plugins))
             AND ($4::text IS NULL OR by_whom = $4) ORDER BY version DESC LIMIT $1`,
          [
            limit,
            before ?? null,
            plugin === undefined ? null : comparable(plugin),
            by === undefined ? null : comparable(by),
          ],
        )
      })
      return rows.map(([version, entry]) => readAudit(version, entry))
    } catch (error) {
      throw this.#failure(error, undefined)
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#feed.close(), this.#connections.close()])
  }

  /** Does what guards ask; it may be asked again whatever became of it. */
  async #ask<Answer>(ms: number, work: (session: Session) => Promise<Answer>): Promise<Answer> {
    const signal = AbortSignal.timeout(Math.ceil(ms))
    try {
      return await this.#connections.use(
        signal,
        async (session) => {
          await this.#open(session)
          return work(session)
        },
        ms,
      )
    } catch (error) {
      const failure = this.#failure(error, signal)
      throw failure.code === 'ERR_CANARY_STORE'
        ? new CanaryError(failure.code, failure.message, { cause: failure.cause })
        : failure
    }
  }

  async #open(session: Session): Promise<void> {
    if (this.#known) return
    await openSchema(session, this.#schema, this.#names, false)
    this.#known = true
  }

  /** What `canary_save` answered. What was missed is read after it, so that nobody waits for that. */
  async #resultOf(
    session: Session,
    { base }: Proposal,
    [answer = []]: readonly (readonly unknown[])[],
  ): Promise<SaveResult> {
    const [kind, epoch, version, id, prev] = answer
    const at = readPosition(epoch, version, id)
    if (kind === 'rewound') return { kind, stored: at }
    if (kind === 'anew') return { kind: 'conflict', missed: null }
    if (kind === 'conflict') return { kind, missed: await this.#missed(session, at.epoch, base, at.id, at.version) }
    if (kind !== 'saved' || typeof prev !== 'string') throw new StoreFault(FOREIGN)
    // Where the log has lost it meanwhile, the version says that something was missed.
    return { kind, at, missed: (await this.#missed(session, at.epoch, base, prev, at.version - 1)) ?? [] }
  }

  /** The commits after `base` up to one of them; `null` where they are not all there. */
  async #missed(session: Session, epoch: string, base: Position, last: string, to: number) {
    if (to <= base.version) return []
    const known = this.#recent.between(epoch, base, last, to)
    if (known !== null) return known
    try {
      const rows = await session.query(
        `SELECT version, prev, body::text FROM ${this.#names.commit} WHERE version > $1 AND version <= $2 ORDER BY version`,
        [base.version, to],
      )
      const isWhole = rows.length === to - base.version && rows.every(([, , body]) => body !== null)
      return isWhole ? rows.map(([version, prev, body]) => readCommit(readVersion(version), prev, body)) : null
    } catch (error) {
      // What was answered stands. A connection that is lost: the change is asked for again, and finds itself.
      if (error instanceof StoreFault || certainlyFailed(error)) return null
      throw error
    }
  }

  /** What this process has read need not be read again. */
  #learn({ base, writes, changes, audit, id }: Proposal, result: SaveResult): void {
    if (result.kind === 'rewound') return
    const { epoch } = result.kind === 'saved' ? result.at : base
    const commits = [...(result.missed ?? [])]
    if (result.kind === 'saved' && result.at.version === base.version + commits.length + 1) {
      const { version } = result.at
      commits.push({ id, prev: commits.at(-1)?.id ?? base.id, version, writes, changes, audit: { ...audit, version } })
    }
    for (const commit of commits) this.#recent.add(epoch, commit)
    this.#feed.learn(epoch, commits)
  }

  /** Looks at the server anew: behind the same address may be another one. */
  async #reopen(session: Session): Promise<void> {
    await openSchema(session, this.#schema, this.#names, this.#known)
    this.#known = true
  }

  async #load(session: Session): Promise<StoredState | null> {
    try {
      return await this.#read(session)
    } catch (error) {
      // The connection is good, and goes on without the transaction.
      if (error instanceof StoreFault) await session.query('ROLLBACK')
      throw error
    }
  }

  async #read(session: Session): Promise<StoredState | null> {
    const { head, row } = this.#names
    await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const [first] = await session.query(`SELECT min_reader, epoch, version, id, pg_is_in_recovery() FROM ${head}`)
    if (first === undefined) throw new StoreFault(EMPTY_HEAD)
    const [minReader, epoch, version, id, standby] = first
    checkReader(minReader)
    if (standby === true) throw new StoreFault(STANDBY, { lasting: false })
    const at = readPosition(epoch, version, id)
    const rows: Row[] = []
    await session.query(`DECLARE canary_rows NO SCROLL CURSOR FOR SELECT kind, id, revision, content::text FROM ${row}`)
    for (;;) {
      const page = await session.query(`FETCH ${PAGE_ROWS} FROM canary_rows`)
      for (const [kind, rowId, revision, content] of page) rows.push(readRow(kind, rowId, revision, content))
      if (page.length < PAGE_ROWS) break
    }
    await session.query('COMMIT')
    if (at.version === 0 && rows.length === 0) return null
    return { at, rows }
  }

  /** Calls `canary_save`. A large change gets the time that it takes, on the server too. */
  async #commit(
    session: Session,
    values: readonly unknown[],
    timeoutMs: number,
    extraMs: number,
  ): Promise<readonly (readonly unknown[])[]> {
    if (extraMs === 0) return session.query(this.#saveText, values, timeoutMs)
    await session.query('BEGIN')
    await session.query(`SET LOCAL statement_timeout = ${Math.ceil(STATEMENT_MS + extraMs)}`)
    const rows = await session.query(this.#saveText, values, timeoutMs)
    await session.query('COMMIT', [], timeoutMs)
    return rows
  }

  /** What went wrong, for who asked. `commit`: of a change that may have been written. */
  #failure(error: unknown, signal: AbortSignal | undefined, commit: string | null = null): CanaryError {
    if (commit === null && error instanceof CanaryError && error.code === 'ERR_CANARY_CLOSED') return error
    if (signal?.aborted === true) {
      return storeFault(new ConnectionLost('no answer in time', { cause: signal.reason }), commit)
    }
    return storeFault(error, commit)
  }
}
