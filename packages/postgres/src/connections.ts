import { AsyncResource } from 'node:async_hooks'
import { Socket } from 'node:net'
import { type Notification, Pool, type PoolClient } from 'pg'
import { CanaryError } from '@canary-release/core'
import { CarefulClient } from './careful-client.js'
import { ConnectionLost } from './faults.js'

/** How long a connection may take, in milliseconds; a change gives up sooner. */
const CONNECT_MS = 5000
/** How long a statement may take: here, and on the server, which gives up before it is given up. */
export const QUERY_MS = 1500
export const STATEMENT_MS = 1200
/** How long idle connections may take to end by themselves. */
const GOODBYE_MS = 250

/** Of a pool of our own: one listens, the others change and read. */
const POOL_SIZE = 4

/** One connection, for as long as the work with it takes. */
export interface Session {
  /** Rows as arrays. */
  query(text: string, values?: readonly unknown[], timeoutMs?: number): Promise<readonly (readonly unknown[])[]>
  /** Calls for each notification, until the session ends. */
  onNotification(listener: (payload: string) => void): void
  /** Calls once when the connection is lost, while nothing is asked. */
  onLost(listener: (error: Error) => void): void
}

/**
 * The connections to the server. Every wait has an end: none hangs on a server that accepts connections and answers
 * nothing, and a connection on which anything failed is not used again.
 */
export class Connections {
  #pool: Pool
  /** `null`: the pool is the application's. */
  readonly #connectionString: string | null
  #statementTimeout = true
  readonly #sockets = new Set<Socket>()
  readonly #closing = new AbortController()
  readonly #guarded = new WeakSet<PoolClient>()
  // What outlives a request is made outside of its async context.
  readonly #root = new AsyncResource('CANARY_POSTGRES', { requireManualDestroy: true })

  constructor(source: string | Pool) {
    this.#connectionString = typeof source === 'string' ? source : null
    this.#pool = typeof source === 'string' ? this.#createPool(source) : this.#guarding(source)
  }

  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  /**
   * Does work on a connection.
   *
   * @throws what the work throws, what `signal` was aborted with, or {@link ConnectionLost}
   */
  async use<Result>(
    signal: AbortSignal | undefined,
    work: (session: Session) => Promise<Result>,
    connectMs = CONNECT_MS,
  ): Promise<Result> {
    const signals = [this.#closing.signal, ...(signal === undefined ? [] : [signal])]
    const client = await this.#connect(signals, connectMs)
    const ended: (() => void)[] = []
    try {
      const result = await orAborted(work(this.#session(client, ended)), signals)
      for (const end of ended) end()
      client.release()
      return result
    } catch (error) {
      for (const end of ended) end()
      // Nobody knows what it still does or holds.
      client.release(true)
      throw error
    }
  }

  /** Ends what is under way, and our own connections. */
  async close(): Promise<void> {
    if (this.closed) return
    this.#closing.abort(new CanaryError('ERR_CANARY_CLOSED', 'the store is closed'))
    this.#pool.off('connect', this.#guard)
    if (this.#connectionString === null) {
      this.#pool.off('error', ignore)
      return
    }
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, GOODBYE_MS)
    await endPool(this.#pool)
    await Promise.all([...this.#sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    clearTimeout(timer)
  }

  #createPool(connectionString: string): Pool {
    const pool = new Pool({
      Client: CarefulClient,
      connectionString,
      max: POOL_SIZE,
      fallback_application_name: 'canary-release',
      connectionTimeoutMillis: CONNECT_MS,
      ...(this.#statementTimeout ? { statement_timeout: STATEMENT_MS } : {}),
      keepAlive: true,
      stream: () => this.#socket(),
    })
    return this.#guarding(pool)
  }

  #guarding(pool: Pool): Pool {
    return pool.on('connect', this.#guard).on('error', ignore)
  }

  #socket(): Socket {
    const socket = new Socket()
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    return socket
  }

  /** A client that is checked out has no listener: its error would end the process. */
  readonly #guard = (client: PoolClient): void => {
    if (this.#guarded.has(client)) return
    this.#guarded.add(client)
    client.on('error', ignore)
  }

  async #connect(signals: readonly AbortSignal[], connectMs: number): Promise<PoolClient> {
    for (const signal of signals) signal.throwIfAborted()
    const connecting = this.#root.runInAsyncScope(() => this.#pool.connect())
    let late = true
    try {
      const timeout = AbortSignal.timeout(Math.ceil(connectMs))
      const client = await orAborted(connecting, [...signals, timeout])
      late = false
      this.#guard(client)
      return client
    } catch (error) {
      if (isTimeout(error)) throw new ConnectionLost('no connection in time')
      if (!this.#refusedTimeout(error)) throw error
    } finally {
      if (late) connecting.then((client) => client.release(), ignore)
    }
    return this.#connect(signals, connectMs)
  }

  /** PgBouncer takes no statement_timeout where a connection begins: the lock's time-out must do there. */
  #refusedTimeout(error: unknown): boolean {
    const said = error instanceof Error ? error.message : ''
    const isRefused = said.includes('startup parameter') && said.includes('statement_timeout')
    if (!isRefused || this.#connectionString === null) return false
    if (this.#statementTimeout) {
      this.#statementTimeout = false
      const refused = this.#pool
      this.#pool = this.#createPool(this.#connectionString)
      void endPool(refused)
    }
    return true
  }

  #session(client: PoolClient, ended: (() => void)[]): Session {
    return {
      query: async (text, values = [], timeoutMs = QUERY_MS) => {
        const query = { text, values: [...values], rowMode: 'array' as const }
        const { rows } = await inTime(
          this.#root.runInAsyncScope(() => client.query<unknown[]>(query)),
          timeoutMs,
        )
        return rows
      },
      onNotification: (listener) => {
        const heard = ({ payload = '' }: Notification): void => listener(payload)
        client.on('notification', heard)
        ended.push(() => client.off('notification', heard))
      },
      onLost: (listener) => {
        const lost = (error?: Error): void => listener(error ?? new ConnectionLost('the connection ended'))
        client.once('error', lost).once('end', lost)
        ended.push(() => client.off('error', lost).off('end', lost))
      },
    }
  }
}

function ignore(): void {}

async function endPool(pool: Pool): Promise<void> {
  try {
    await pool.end()
  } catch {
    // It has ended.
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}

/**
 * Settles as an answer does, or rejects when it is late. Not by `query_timeout` of `pg`, whose timer fires before an
 * answer is read that has arrived while the event loop was blocked: this one looks once more.
 */
async function inTime<Result>(answer: Promise<Result>, ms: number): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => setImmediate(() => reject(new ConnectionLost('no answer in time'))), ms)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Settles as the promise does, or rejects when a signal is aborted first. */
async function orAborted<Result>(promise: Promise<Result>, signals: readonly AbortSignal[]): Promise<Result> {
  let stop: () => void = ignore
  const aborted = new Promise<never>((_, reject) => {
    const abort = (event: Event): void => {
      const { target } = event
      reject(target instanceof AbortSignal ? target.reason : event)
    }
    for (const signal of signals) {
      if (signal.aborted) reject(signal.reason)
      signal.addEventListener('abort', abort, { once: true })
    }
    stop = () => {
      for (const signal of signals) signal.removeEventListener('abort', abort)
    }
  })
  // Whoever loses the race is heard by nobody.
  promise.catch(ignore)
  try {
    return await Promise.race([promise, aborted])
  } finally {
    stop()
  }
}
