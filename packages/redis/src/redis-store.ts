import type { CanaryError, Logger } from '@canary-release/core'
import type { Shared } from '@canary-release/core/guard/internal'
import { Connection } from './connection.js'
import type {
  AuditEntry,
  AuditQuery,
  Position,
  Proposal,
  SaveResult,
  Store,
  StoreEvent,
  StoredState,
} from '@canary-release/core/registry'
import { demand, demandStillMaster, writesBeforeAnswering } from './demands.js'
import { dialer } from './dialer.js'
import { NotSent, closedError, explained, isForPeople, isRefusal, storeError } from './faults.js'
import { type Keys, keysOf } from './keys.js'
import { DEADLINE_MS, type Link } from './link.js'
import { loadState } from './loading.js'
import { type RedisStoreOptions, resolved } from './options.js'
import { attemptSave, prepared } from './saving.js'
import { RedisShared } from './shared/redis-shared.js'
import { Watcher } from './watcher.js'
import { LogReader, listFrom, readAuditEntry } from './wire.js'

const AUDIT_PAGE = 100

const LATE_WRITES =
  'canary store: Redis acknowledges changes before they are in its file, and a crash may lose those of the last two seconds: set "appendfsync always" there'

/**
 * A registry in Redis or Valkey, for any number of processes: each sees what another one changed within milliseconds.
 *
 * A server that would lose changes is refused, see `durability`. While it cannot be reached, the registry goes on with
 * what it knows, and changes are refused.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION that names the first bad option
 */
export function redisStore(options: RedisStoreOptions): Store {
  const { source, name, replicas, durable, logger } = resolved(options)
  const keys = keysOf(name)
  const dial = dialer(source)
  let isAsked = !durable
  return new RedisStore(keys, replicas, logger, async () => {
    const link = await dial(keys.head)
    try {
      await demand(link, keys, { replicas, durable })
      if (!isAsked && (await writesBeforeAnswering(link)) === false) logger.warn(LATE_WRITES)
      isAsked = true
      return link
    } catch (error) {
      link.destroy(new Error('the server is not fit'))
      throw error
    }
  })
}

class RedisStore implements Store {
  readonly shared: Shared
  readonly #keys: Keys
  readonly #replicas: number
  readonly #dial: () => Promise<Link>
  readonly #connection: Connection
  readonly #log = new LogReader()
  readonly #watchers = new Set<Watcher>()
  #closed = false

  constructor(keys: Keys, replicas: number, logger: Logger, dial: () => Promise<Link>) {
    this.#keys = keys
    this.#replicas = replicas
    this.#dial = dial
    this.#connection = new Connection(dial)
    this.shared = new RedisShared(this.#connection, keys, (ms) =>
      logger.warn(
        `canary store: the clocks of Redis and of this process moved by ${Math.round(ms)} ms against each other`,
      ),
    )
  }

  load(signal?: AbortSignal): Promise<StoredState | null> {
    return this.#asking(signal, async (link) => {
      // A master that was demoted answers as before, with what is no longer so.
      await demandStillMaster(link)
      return loadState(link, this.#keys, this.#log, signal)
    })
  }

  /** Tries until the outcome is known or the time is up: an attempt whose answer got lost finds itself by its id. */
  async save(proposal: Proposal, signal: AbortSignal = AbortSignal.timeout(DEADLINE_MS)): Promise<SaveResult> {
    const attempt = prepared(proposal, this.#log, this.#replicas)
    let unknown: CanaryError | null = null
    for (;;) {
      /* oxlint-disable no-await-in-loop -- one attempt after another */
      let link: Link
      try {
        signal.throwIfAborted()
        link = await (unknown === null ? this.#connection.link(signal) : this.#connection.next(signal))
      } catch (error) {
        if (unknown !== null) throw unknown
        throw signal.aborted
          ? storeError('the change was given up before it was sent', { cause: error, outcome: 'not-written' })
          : explained(error, { outcome: 'not-written' })
      }
      try {
        return await untilAborted(attemptSave(link, this.#keys, this.#log, attempt, this.#replicas), signal)
      } catch (error) {
        if (error instanceof NotSent) continue
        if (unknown === null && isRefusal(error)) throw explained(error, { outcome: 'not-written' })
        unknown = explained(error, { outcome: 'unknown', commit: proposal.id })
        if (isRefusal(error) || isForPeople(error)) throw unknown
      }
      /* oxlint-enable no-await-in-loop */
    }
  }

  watch(from: Position | null, listener: (event: StoreEvent) => void): () => void {
    if (this.#closed) throw closedError()
    const watcher = new Watcher(this.#dial, this.#keys, this.#log, from, (event) => {
      if (event.kind === 'connected') this.#connection.hurry()
      listener(event)
    })
    this.#watchers.add(watcher)
    return () => {
      watcher.end()
      this.#watchers.delete(watcher)
    }
  }

  audit({ limit, before, plugin, by }: AuditQuery): Promise<readonly AuditEntry[]> {
    return this.#asking(undefined, async (link) => {
      const found: AuditEntry[] = []
      let end = before === undefined ? '+' : `(${before}-0`
      while (found.length < limit) {
        // oxlint-disable-next-line no-await-in-loop -- each page follows on the one before
        const page = listFrom(await link.send(['XREVRANGE', this.#keys.audit, end, '-', 'COUNT', String(AUDIT_PAGE)]))
        for (const entry of page.map(readAuditEntry)) {
          if (found.length < limit && isAskedFor(entry, plugin, by)) found.push(entry)
          end = `(${entry.version}-0`
        }
        if (page.length < AUDIT_PAGE) break
      }
      return found
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const watcher of this.#watchers) watcher.end()
    this.#watchers.clear()
    this.#connection.close()
  }

  async #asking<Value>(signal: AbortSignal | undefined, ask: (link: Link) => Promise<Value>): Promise<Value> {
    try {
      signal?.throwIfAborted()
      return await ask(await this.#connection.link(signal))
    } catch (error) {
      if (this.#closed) throw closedError()
      throw signal?.aborted === true ? storeError('reading the store was given up', { cause: error }) : explained(error)
    }
  }
}

function isAskedFor(entry: AuditEntry, plugin: string | undefined, by: string | undefined): boolean {
  if (by !== undefined && entry.by !== by) return false
  return plugin === undefined || entry.changes.some(({ kind, id }) => kind === 'plugins' && id === plugin)
}

/** What is asked for may go on; nobody waits for it any more. */
async function untilAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let abort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
  })
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
