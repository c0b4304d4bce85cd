import type { Socket } from 'node:net'
import { Client } from 'undici'
import type { UrlUpstream } from '../../upstream.js'
import { inRoot } from '../../request-context.js'
import { serverName } from '../upstream-socket.js'
import { createConnector } from './connector.js'
import { ContinueFilter } from './continue-filter.js'
import { HTTP_1_ONLY, ignoreErrors, isClosedByUndici } from './private-hooks.js'
import { KeepsConnections, Rest, SPARE_MS, UNSAID_KEEP_ALIVE_MS } from '../connections/reuse.js'
import { READ_AHEAD, setReadAhead } from './socket.js'

/** One connection to an upstream: opened when it is first used, and again after the upstream closed it. */
export interface Connection {
  readonly client: Client
  /** Requests sent on its present socket. Above 0, that socket may be closing just as it is written to. */
  uses: number
  /** The present socket. */
  socket: Socket | null
  /** What reads the answers on its present socket. */
  filter: ContinueFilter | null
  /** What its client does not take waits in the upstream, not here. */
  readsAhead: boolean
  /** Ends the attempt to connect that is under way, if any. */
  cancel: (() => void) | null
  /** It is a client that its request waits for, and not the upstream. */
  waitsForClient: boolean
  /** How long the upstream keeps its present socket open without a request, in milliseconds. */
  keepAliveMs: number
  /** When its present socket was opened, and when it was last given back: `performance.now()`. */
  openedAt: number
  freeAt: number
}

/** A request that waits for a connection. */
export interface Waiter {
  /** Whether it must not be lost on a connection that the upstream is just closing. */
  readonly careful: boolean
  connected(connection: Connection): void
}

// An idle upstream may close at any moment. Undici takes a shorter time from the upstream's own Keep-Alive header.
const KEEP_ALIVE_MS = 4000

/**
 * The connections to one upstream: each carries one request at a time, and the one used last is used next, so that no
 * more stay open than the traffic needs.
 *
 * An upstream may close a connection right behind its answer, and that is seen a moment later. What may be sent once more
 * takes any; what may not takes one that has rested since its last answer.
 */
export class ConnectionPool {
  readonly #connect: ReturnType<typeof createConnector>
  readonly #origin: string
  readonly #keeps = new KeepsConnections()
  readonly #rest = new Rest<Connection>(() => this.#serve())
  readonly #all = new Set<Connection>()
  readonly #waiting = new Set<Waiter>()
  /** Milliseconds for the next connection to come about. */
  connectTimeoutMs = Infinity
  /** Milliseconds after which a connection is not used again, so that it is seen where a name leads to by now. */
  maxAgeMs = Infinity
  /** How many connections there may be. */
  limit = 1
  /** A constant: undici keeps connections apart by it, and ours all go to one server. */
  readonly servername: string
  /** Whether it was asked for a connection since somebody last looked and set it to false. */
  used = true
  closed = false

  constructor(upstream: UrlUpstream) {
    this.#connect = createConnector(upstream)
    const host = upstream.hostname.includes(':') ? `[${upstream.hostname}]` : upstream.hostname
    this.#origin = `${upstream.scheme}://${host}:${upstream.port}`
    this.servername = serverName(upstream) || upstream.hostname
  }

  /** How many connections carry a request now. */
  get running(): number {
    return this.#all.size - this.#rest.size
  }

  /** Whether most connections are kept by clients that send or read slowly. */
  get isKeptByClients(): boolean {
    let kept = 0
    for (const { waitsForClient } of this.#all) if (waitsForClient) kept += 1
    return kept * 2 > this.#all.size
  }

  /** A connection for a request, if it need not wait for one. */
  take(careful: boolean): Connection | null {
    this.used = true
    if (careful) this.#rest.ask()
    if (this.#waiting.size > 0) return null
    return this.#takeOrOpen(careful)
  }

  /** Puts a request in the queue; false where that is full. Those do not count who wait for connections to rest. */
  wait(waiter: Waiter, queue: number): boolean {
    if (this.#waiting.size >= queue + this.#rest.size) return false
    this.#waiting.add(waiter)
    return true
  }

  leave(waiter: Waiter): void {
    this.#waiting.delete(waiter)
  }

  /** Gives back a connection that can carry another request: the one that waited longest. */
  release(connection: Connection): void {
    if (!connection.readsAhead) letReadAhead(connection, true)
    const now = performance.now()
    if (connection.uses > 1) this.#keeps.reused(now)
    if (this.#isOld(connection, now)) return this.discard(connection)
    connection.freeAt = now
    if (this.#first()?.careful === false) this.#next()?.connected(connection)
    else this.#rest.add(connection)
  }

  /** Closes the free connections that are too old to be used again. */
  endOld(): void {
    const now = performance.now()
    for (const connection of this.#rest.remove((one) => this.#isOld(one, now))) this.discard(connection)
  }

  /**
   * Closes a connection whose request failed or was given up. Undici would open it again for a request that was
   * aborted, so its client goes with it.
   */
  discard(connection: Connection): void {
    if (!this.#all.delete(connection)) return
    end(connection)
    const waiter = this.#next()
    if (waiter !== undefined) waiter.connected(this.#open())
  }

  /** A new connection in place of one that turned out to be closed. */
  renew(connection: Connection): Connection {
    this.#all.delete(connection)
    end(connection)
    return this.#open()
  }

  /** Closes all connections at once, whatever they carry. */
  destroy(): void {
    this.closed = true
    for (const connection of this.#all) end(connection)
    this.#all.clear()
    this.#rest.clear()
  }

  #takeOrOpen(careful: boolean): Connection | null {
    return this.#takeFree(careful) ?? (this.#all.size < this.limit ? this.#open() : null)
  }

  /** A free connection that the request may go on. */
  #takeFree(careful: boolean): Connection | null {
    const now = performance.now()
    if (careful && !this.#keeps.isKnown(openSince(this.#rest.first()), now)) return this.#takeNew()
    const connection = careful ? this.#rest.takeRested() : this.#rest.takeLast()
    if (connection === undefined) return null
    const isUsable = !this.#isOld(connection, now) && !(careful && isEnding(connection, now))
    return isUsable ? connection : this.renew(connection)
  }

  /** A new connection in place of a free one; the one that is open for longest shows whether the upstream keeps it. */
  #takeNew(): Connection | null {
    const first = this.#rest.first()
    if (first === undefined) return null
    if (openSince(first) === undefined) return this.#rest.takeFirst() ?? null
    if (this.#rest.size === 1 && this.#all.size < this.limit) return null
    const last = this.#rest.takeLast()
    return last === undefined || openSince(last) === undefined ? (last ?? null) : this.renew(last)
  }

  #isOld({ openedAt }: Connection, now: number): boolean {
    return now - openedAt > this.maxAgeMs
  }

  /** Connections have rested: those who waited for that are served. */
  #serve(): void {
    for (let waiter = this.#first(); waiter !== undefined; waiter = this.#first()) {
      const connection = this.#takeOrOpen(waiter.careful)
      if (connection === null) return
      this.#waiting.delete(waiter)
      waiter.connected(connection)
    }
  }

  /** A connection was closed; by the upstream, unless undici says that it had a reason itself. */
  #lost(connection: Connection, error: { readonly code: string }): void {
    if (isClosedByUndici(error) || !this.#all.has(connection)) return
    this.#keeps.closed(connection.freeAt, performance.now())
  }

  #first(): Waiter | undefined {
    return this.#waiting.size === 0 ? undefined : this.#waiting.values().next().value
  }

  #next(): Waiter | undefined {
    const waiter = this.#first()
    if (waiter !== undefined) this.#waiting.delete(waiter)
    return waiter
  }

  #open(): Connection {
    const client = new Client(this.#origin, {
      ...HTTP_1_ONLY,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connect: (_options, callback) => {
        connection.uses = 0
        const connected: typeof callback = (...result) => {
          connection.cancel = null
          if (result[0] === null) {
            connection.socket = result[1]
            connection.openedAt = performance.now()
            connection.keepAliveMs = UNSAID_KEEP_ALIVE_MS
            connection.filter = new ContinueFilter(result[1])
          }
          callback(...result)
        }
        connection.cancel = inRoot(() => this.#connect(this.connectTimeoutMs, connected))
      },
    })
    const connection: Connection = {
      client,
      uses: 0,
      socket: null,
      filter: null,
      readsAhead: true,
      cancel: null,
      waitsForClient: false,
      keepAliveMs: UNSAID_KEEP_ALIVE_MS,
      openedAt: performance.now(),
      freeAt: -Infinity,
    }
    ignoreErrors(client, ignore)
    client.on('disconnect', (_origin, _targets, error) => this.#lost(connection, error))
    this.#all.add(connection)
    return connection
  }
}

/** False for a response whose client is slower than its upstream: of a thousand of them, each would keep 64 KB more. */
export function letReadAhead(connection: Connection, readsAhead: boolean): void {
  connection.readsAhead = readsAhead
  if (connection.socket !== null) setReadAhead(connection.socket, readsAhead ? READ_AHEAD : 0)
}

/** Since when it is open without a request; not where it was closed, and would be opened again. */
function openSince(connection: Connection | undefined): number | undefined {
  return connection === undefined || connection.socket?.destroyed !== false ? undefined : connection.freeAt
}

/** Whether the upstream may close it about now because it was idle for long. */
function isEnding({ freeAt, keepAliveMs }: Connection, now: number): boolean {
  return now - freeAt >= keepAliveMs - SPARE_MS
}

function end({ client, cancel }: Connection): void {
  client.destroy(new Error('the connection was given up'), ignore)
  cancel?.()
}

function ignore(): void {}
