import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { CanaryError } from '../../errors.js'
import { attempt as tryTo, errorText } from '../../hook.js'
import { inRoot } from '../../request-context.js'
import { optionError } from '../../option-error.js'
import type { Logger } from '../../logger.js'
import { replaceFenced } from './fenced-write.js'
import { type Attempt, type Turn, inTurn } from './file-turn.js'
import { FileWatch } from './file-watch.js'
import { RunFiles } from './run-files.js'
import { SerialQueue } from '../serial-queue.js'
import { followed, stateAfter } from './state-change.js'
import { type FileState, type ReadState, readState, writeState } from './state-file.js'
import { MAX_VERSION } from './state-row.js'
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
import { readWhole, signatureOf } from './whole-file.js'

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
/** When a file that cannot be read is looked at again. */
const AGAIN_MS = 1_000
const SETTLE_MS = 200
const ADOPT_MS = 1_000
/** Times of files are coarse: of several writings within some milliseconds, all may have the same. */
const COARSE_MS = 100

/** What was last read or written, and what the file looked like then. */
interface Seen {
  readonly signature: string
  readonly text: string
  readonly state: FileState
  /** Whether a file that looks like that is this one. One that was just written may look like its successor. */
  readonly isSettled: boolean
  /** The text was edited by hand: it has neither the state's version nor its audit entry. */
  readonly isEdited: boolean
  readonly isNewer: boolean
}

/**
 * A registry in one JSON file, for several processes of one host: a crash of any of them, at any instant, leaves the old
 * state or the new one. Rated for 2 000 entities.
 *
 * `<path>.lock` is held for each write, and only then. A holder that dies keeps others from writing for 5 seconds at most;
 * one that was stopped for longer can write nothing any more when it goes on. Links, mode and group of the file are kept;
 * a new one is for its owner only (0600). An edit by hand is taken, or refused and reported while the last good state stays
 * in force; changes are then refused too, as they would overwrite it.
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
  #watch: FileWatch | null = null
  #listening = 0
  #closed = false
  #warned = false

  constructor(path: string, readOnly: boolean, logger: Logger) {
    this.#path = path
    this.#readOnly = readOnly
    this.runs = readOnly ? null : new RunFiles(path)
    this.#logger = logger
  }

  load(): Promise<StoredState | null> {
    return this.#queue.run(async () => {
      this.#checkOpen()
      return (await this.#look()) === null ? null : this.#stored()
    })
  }

  save(proposal: Proposal, signal?: AbortSignal): Promise<SaveResult> {
    const attempt: Attempt = { signal, isWriting: false, waitsFor: null }
    const work = this.#queue.run(async () => {
      this.#checkOpen()
      if (signal?.aborted === true) throw this.#refusal(`the change of ${this.#path} was given up`)
      if (this.#readOnly) throw this.#refusal(`${this.#path} is open for reading only`)
      return inTurn(this.#path, attempt, (turn) => this.#commit(proposal, turn, attempt))
    })
    if (signal === undefined) return work
    return new Promise((resolve, reject) => {
      // Said at once, so that nobody has to take it for a change that may have been made.
      const giveUp = () => {
        if (!attempt.isWriting) reject(this.#refusal(`${this.#path}: ${attempt.waitsFor ?? 'the change was given up'}`))
      }
      signal.addEventListener('abort', giveUp, { once: true })
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
    })
  }

  watch(from: Position | null, listener: (event: StoreEvent) => void): () => void {
    this.#checkOpen()
    let leave: (() => void) | null = null
    let isOn = true
    // Before the file was read, nobody knows whether `from` is of its history.
    const begin = async (): Promise<void> => {
      try {
        if (this.#closed || !isOn) return
        if (this.#seen === null) await this.#look()
        if (isOn) leave = this.#watchers.add(from, listener)
      } catch (error) {
        tryTo(() => listener({ kind: 'error', error }))
        inRoot(() => setTimeout(() => void this.#queue.run(begin), AGAIN_MS).unref())
      }
    }
    if (this.#seen === null) void this.#queue.run(begin)
    else leave = this.#watchers.add(from, listener)
    this.#listening += 1
    this.#watch ??= inRoot(() => new FileWatch(this.#path, () => void this.#queue.run(() => this.#noticed(false))))
    return () => {
      if (!isOn) return
      isOn = false
      leave?.()
      this.#listening -= 1
      if (this.#listening === 0) this.#unwatch()
    }
  }

  audit(query: AuditQuery): Promise<readonly AuditEntry[]> {
    return this.#queue.run(async () => {
      this.#checkOpen()
      return selected((await this.#look())?.state.audit ?? [], query)
    })
  }

  close(): Promise<void> {
    return this.#queue.run(async () => {
      this.#closed = true
      this.#watchers.clear()
      this.#unwatch()
    })
  }

  #checkOpen(): void {
    if (this.#closed) throw new CanaryError('ERR_CANARY_CLOSED', 'the store is closed')
  }

  #unwatch(): void {
    this.#watch?.close()
    this.#watch = null
  }

  #stored(): StoredState | null {
    if (this.#seen === null) return null
    const { at, rows } = this.#seen.state
    return { at, rows }
  }

  async #commit(proposal: Proposal, turn: Turn, attempt: Attempt): Promise<SaveResult | null> {
    const before = await this.#seenLast()
    if (before?.isNewer === true)
      throw this.#refusal(`${this.#path} is of a newer version, and is only read by this one`)
    if (before?.isEdited === true && !(await this.#adopt(before, turn))) return null
    const judged = this.#log.judge(proposal)
    if (judged.kind !== 'free') return judged
    const { epoch, version } = this.#log.head
    if (version >= MAX_VERSION)
      throw this.#refusal(`${this.#path} is at version ${version}, and there is none after it`)
    const commit = commitOf(proposal, this.#log.head)
    const state = stateAfter(before?.state ?? null, commit, epoch)
    this.#warnAbove(state.rows.length)
    if (attempt.signal?.aborted === true) throw this.#refusal(`the change of ${this.#path} was given up`)
    attempt.isWriting = true
    if (!(await this.#write(state, commit.id, turn))) {
      attempt.isWriting = false
      return null
    }
    this.#log.append(commit)
    this.#watchers.tell()
    return { kind: 'saved', at: state.at, missed: judged.missed }
  }

  /** Writes an edit by hand down as what it is: with a version and an audit entry. False where somebody was faster. */
  async #adopt({ state }: Seen, turn: Turn): Promise<boolean> {
    return this.#write(state, state.at.id, turn)
  }

  async #write(state: FileState, commit: string, { lock, target }: Turn): Promise<boolean> {
    const text = writeState(state)
    // A file that is gone is written anew.
    const expected = (await signatureOf(target)) === null ? null : (this.#seen?.signature ?? null)
    const signature = await replaceFenced(lock, target, { text, expected, commit })
    if (signature === null) return false
    this.#seen = { signature, text, state, isSettled: false, isEdited: false, isNewer: false }
    return true
  }

  /** What is to be written over: an edit by hand that nobody has seen yet must not be. */
  async #seenLast(): Promise<Seen | null> {
    const before = this.#seen
    try {
      return (await this.#look(true)) ?? before
    } catch (error) {
      throw error instanceof CanaryError ? this.#refusal(error.message, error.cause) : error
    }
  }

  #refusal(message: string, cause?: unknown): CanaryError {
    return new CanaryError('ERR_CANARY_STORE', message, { cause, outcome: 'not-written' })
  }

  /**
   * The file as it is now; `null` where there is none. What is new is told.
   *
   * @param certainly reads it also where it looks as it did: nothing may rest on clocks when it is to be written over
   * @throws {CanaryError} ERR_CANARY_STORE that names line and reason
   */
  async #look(certainly = false): Promise<Seen | null> {
    const before = this.#seen
    const mayLook = before?.isSettled === true && !certainly
    if (mayLook && (await signatureOf(this.#path)) === before.signature) return before
    const file = await readWhole(this.#path)
    if (file === null) return null
    const { text, signature } = file
    const isSettled = Date.now() - file.modified > COARSE_MS
    if (before?.text === text) return (this.#seen = { ...before, signature, isSettled })
    const read = this.#read(text)
    const { state, commits, isEdited } = followed(before?.state ?? null, read, { text, at: file.modified / 1000 })
    this.#seen = { signature, text, state, isSettled, isEdited, isNewer: read.isNewer }
    this.#warnAbove(state.rows.length)
    if (commits === null) this.#log.restart(state.at, state.log)
    else for (const commit of commits) this.#log.append(commit)
    this.#watchers.tell()
    return this.#seen
  }

  #read(text: string): ReadState {
    try {
      return readState(text)
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
      const seen = await this.#look()
      if (seen === null && this.#seen !== null) throw this.#gone()
      this.#refused = undefined
      if (seen?.isEdited === true && !this.#readOnly && !seen.isNewer) await this.#adoptNoticed()
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

  /** Other processes notice the same edit: one of them adopts it. */
  async #adoptNoticed(): Promise<void> {
    try {
      await inTurn(this.#path, { signal: AbortSignal.timeout(ADOPT_MS), waitsFor: null }, async (turn) => {
        const seen = await this.#seenLast()
        return seen?.isEdited !== true || (await this.#adopt(seen, turn)) || null
      })
    } catch (error) {
      // In force it is all the same, and the next change writes it down.
      tryTo(() => this.#logger.warn(`canary registry: an edit by hand is not in the audit trail: ${errorText(error)}`))
    }
  }

  #warnAbove(count: number): void {
    if (count <= RATED_ENTITIES || this.#warned) return
    this.#warned = true
    const message = `canary registry: ${this.#path} holds ${count} entities and is rated for ${RATED_ENTITIES}: each change reads or writes the whole file`
    tryTo(() => this.#logger.warn(message))
  }
}
