import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { CanaryError } from '../../errors.js'
import { attempt } from '../../hook.js'
import { inRoot } from '../../request-context.js'
import { optionError } from '../../option-error.js'
import type { Logger } from '../../logger.js'
import { FileLock } from './file-lock.js'
import { FileWatch } from './file-watch.js'
import { RunFiles } from './run-files.js'
import { SerialQueue } from '../serial-queue.js'
import { following, stateAfter } from './state-change.js'
import { type FileState, readState, writeState } from './state-file.js'
import { selected } from '../records/audit.js'
import { CommitLog, commitOf } from '../records/commit-log.js'
import type {
  AuditEntry,
  AuditQuery,
  Position,
  Proposal,
  SaveResult,
  Store,
  StoreEvent,
  StoredState,
} from '../records/store.js'
import { Watchers } from './watchers.js'
import { readWhole, signatureOf, unwritable, writeWhole } from './whole-file.js'

/** The options of {@link fileStore}. */
export interface FileStoreOptions {
  /**
   * True never writes and never locks: for processes beside the one that writes.
   *
   * @default false
   */
  readonly readOnly?: boolean | undefined
  /**
   * Where messages go: pino, `console` or an object of your own.
   *
   * @default console
   */
  readonly logger?: Logger | undefined
}

/** Above this, writing the whole file holds up the event loop for more than some milliseconds. */
const RATED_ENTITIES = 2_000
const SETTLE_MS = 200

/** What was last read or written, and what the file looked like then. */
interface Seen {
  readonly signature: string
  readonly text: string
  readonly state: FileState
}

/**
 * A registry in one JSON file: written whole to another name, synced and renamed, so that a crash at any instant leaves
 * the old state or the new one. Rated for 2 000 entities.
 *
 * One process writes: from its first change on it holds `<path>.lock`, and a second writer is refused with its pid.
 * Others may read and watch. An edit by hand is taken, or refused and reported while the last good state stays in force;
 * changes are then refused too, as they would overwrite it. The file is for its owner only (0600).
 *
 * @throws {CanaryError} ERR_CANARY_OPTION where `path` is none: an environment variable that is not set
 */
export function fileStore(path: string, { readOnly = false, logger = console }: FileStoreOptions = {}): Store {
  if (typeof path !== 'string' || path === '') throw optionError('fileStore', 'must get the path of a file', path)
  return new FileStore(resolve(path), readOnly, logger)
}

class FileStore implements Store {
  readonly #path: string
  readonly #readOnly: boolean
  readonly #logger: Logger
  readonly #queue = new SerialQueue()
  readonly #log = new CommitLog({ epoch: randomUUID(), version: 0, id: '' })
  readonly #watchers = new Watchers(this.#log, () => this.#stored())
  readonly shared = null
  readonly runs: RunFiles | null
  #seen: Seen | null = null
  /** What the file looked like when it last could not be taken. */
  #refused: string | null | undefined
  #lock: FileLock | null = null
  #watch: FileWatch | null = null
  #warned = false

  constructor(path: string, readOnly: boolean, logger: Logger) {
    this.#path = path
    this.#readOnly = readOnly
    this.runs = readOnly ? null : new RunFiles(path)
    this.#logger = logger
  }

  load(): Promise<StoredState | null> {
    return this.#queue.run(async () => ((await this.#look()) === null ? null : this.#stored()))
  }

  save(proposal: Proposal, signal?: AbortSignal): Promise<SaveResult> {
    return this.#queue.run(async () => {
      if (signal?.aborted === true) throw this.#refusal(`the change of ${this.#path} was given up`)
      if (this.#readOnly) throw this.#refusal(`${this.#path} is open for reading only`)
      await this.#hold()
      const before = await this.#seenLast()
      const judged = this.#log.judge(proposal)
      if (judged.kind !== 'free') return judged
      const commit = commitOf(proposal, this.#log.head)
      const at = { epoch: this.#log.head.epoch, version: commit.version, id: commit.id }
      const state = stateAfter(before, commit, at)
      const text = writeState(state)
      this.#warnAbove(state.rows.length)
      const signature = await this.#write(text, commit.id)
      this.#seen = { signature, text, state }
      this.#log.append(commit)
      this.#watchers.tell()
      return { kind: 'saved', at, missed: judged.missed }
    })
  }

  watch(from: Position | null, listener: (event: StoreEvent) => void): () => void {
    const leave = this.#watchers.add(from, listener)
    this.#watch ??= inRoot(() => new FileWatch(this.#path, () => void this.#queue.run(() => this.#noticed(false))))
    return () => {
      leave()
      if (this.#watchers.count > 0) return
      this.#watch?.close()
      this.#watch = null
    }
  }

  audit(query: AuditQuery): Promise<readonly AuditEntry[]> {
    return this.#queue.run(async () => selected((await this.#look())?.state.audit ?? [], query))
  }

  close(): Promise<void> {
    return this.#queue.run(async () => {
      this.#watchers.clear()
      this.#watch?.close()
      this.#watch = null
      await this.#lock?.release()
      this.#lock = null
    })
  }

  #stored(): StoredState | null {
    if (this.#seen === null) return null
    const { at, rows } = this.#seen.state
    return { at, rows }
  }

  /** What is to be written over: an edit by hand that nobody has seen yet must not be. */
  async #seenLast(): Promise<FileState | null> {
    const before = this.#seen
    try {
      return ((await this.#look()) ?? before)?.state ?? null
    } catch (error) {
      throw error instanceof CanaryError ? this.#refusal(error.message, error.cause) : error
    }
  }

  async #write(text: string, commit: string): Promise<string> {
    try {
      return await writeWhole(this.#path, text)
    } catch (error) {
      // It may be there, though perhaps not for good.
      const isThere = (await readWhole(this.#path).catch(() => null)) === text
      if (!isThere) throw error
      const message = `${this.#path} was written, and perhaps not for good`
      throw new CanaryError('ERR_CANARY_STORE', message, { cause: error, outcome: 'unknown', commit })
    }
  }

  #refusal(message: string, cause?: unknown): CanaryError {
    return new CanaryError('ERR_CANARY_STORE', message, { cause, outcome: 'not-written' })
  }

  /**
   * The file as it is now; `null` where there is none. What is new is told.
   *
   * @throws {CanaryError} ERR_CANARY_STORE that names line and reason
   */
  async #look(): Promise<Seen | null> {
    const signature = await signatureOf(this.#path)
    if (signature === null) return null
    const before = this.#seen
    if (before?.signature === signature) return before
    const text = await readWhole(this.#path)
    if (before?.text === text) return (this.#seen = { ...before, signature })
    const seen = { signature, text, state: this.#read(text, before?.state ?? null) }
    this.#seen = seen
    this.#warnAbove(seen.state.rows.length)
    this.#log.restart(seen.state.at)
    this.#watchers.tell()
    return seen
  }

  #read(text: string, before: FileState | null): FileState {
    try {
      return following(before, readState(text), text)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new CanaryError('ERR_CANARY_STORE', `${this.#path}: ${reason}`, { cause: error })
    }
  }

  /**
   * Looks again when the file may have changed. What cannot be taken is told once, and not at the first sight: an editor
   * may be about to write its second half.
   */
  async #noticed(again: boolean): Promise<void> {
    try {
      if ((await this.#look()) === null && this.#seen !== null) throw this.#gone()
      this.#refused = undefined
    } catch (error) {
      const signature = await signatureOf(this.#path).catch(() => 'unreadable')
      if (signature === this.#refused) {
        if (again) this.#watchers.emit({ kind: 'error', error })
        return
      }
      this.#refused = signature
      setTimeout(() => void this.#queue.run(() => this.#noticed(true)), SETTLE_MS).unref()
    }
  }

  #gone(): CanaryError {
    return new CanaryError('ERR_CANARY_STORE', `${this.#path} is gone: what was last read stays in force`)
  }

  async #hold(): Promise<void> {
    if (this.#lock !== null && (await this.#lock.isHeld())) return
    try {
      await this.#lock?.release()
      this.#lock = await FileLock.acquire(`${this.#path}.lock`)
    } catch (error) {
      throw unwritable(this.#path, error)
    }
  }

  #warnAbove(count: number): void {
    if (count <= RATED_ENTITIES || this.#warned) return
    this.#warned = true
    const message = `canary registry: ${this.#path} holds ${count} entities and is rated for ${RATED_ENTITIES}: each change reads or writes the whole file`
    attempt(() => this.#logger.warn(message))
  }
}
