import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { Client } from 'undici'
import type { UrlUpstream } from '../../upstream.js'
import { inRoot } from '../../request-context.js'
import { serverName } from '../upstream-socket.js'
import { createConnector } from './connector.js'
import { ContinueFilter } from './continue-filter.js'
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
}

/** A request that waits for a connection. */
export interface Waiter {
  connected(connection: Connection): void
}

// An idle upstream may close at any moment. Undici takes a shorter time from the upstream's own Keep-Alive header.
const KEEP_ALIVE_MS = 4000

/**
 * The connections to one upstream: each carries one request at a time, and the one used last is used next, so that no
 * more stay open than the traffic needs.
 */
export class ConnectionPool {
  readonly #connect: ReturnType<typeof createConnector>
  readonly #origin: string
  readonly #free: Connection[] = []
  readonly #all = new Set<Connection>()
  readonly #waiting = new Set<Waiter>()
  /** Milliseconds for the next connection to come about. */
  connectTimeoutMs: number
  /** A constant: undici keeps connections apart by it, and ours all go to one server. */
  readonly servername: string
  /** Whether it was asked for a connection since somebody last looked and set it to false. */
  used = true
  closed = false

  constructor(upstream: UrlUpstream, connectTimeoutMs: number) {
    this.#connect = createConnector(upstream)
    const host = upstream.hostname.includes(':') ? `[${upstream.hostname}]` : upstream.hostname
    this.#origin = `${upstream.scheme}://${host}:${upstream.port}`
    this.connectTimeoutMs = connectTimeoutMs
    this.servername = serverName(upstream) || upstream.hostname
  }

  /** How many connections carry a request now. */
  get running(): number {
    return this.#all.size - this.#free.length
  }

  /** Whether most connections are kept by clients that send or read slowly. */
  get isKeptByClients(): boolean {
    let kept = 0
    for (const { waitsForClient } of this.#all) if (waitsForClient) kept += 1
    return kept * 2 > this.#all.size
  }

  /** A free connection, or a new one where there are fewer than `limit`; else `null`. */
  take(limit: number): Connection | null {
    this.used = true
    return this.#free.pop() ?? (this.#all.size < limit ? this.#open() : null)
  }

  /** Puts a request in the queue; false where that is full. */
  wait(waiter: Waiter, queue: number): boolean {
    if (this.#waiting.size >= queue) return false
    this.#waiting.add(waiter)
    return true
  }

  leave(waiter: Waiter): void {
    this.#waiting.delete(waiter)
  }

  /** Gives back a connection that can carry another request: the one that waited longest. */
  release(connection: Connection): void {
    if (!connection.readsAhead) letReadAhead(connection, true)
    const waiter = this.#next()
    if (waiter === undefined) this.#free.push(connection)
    else waiter.connected(connection)
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
    this.#free.length = 0
  }

  #next(): Waiter | undefined {
    const waiter = this.#waiting.values().next().value
    if (waiter !== undefined) this.#waiting.delete(waiter)
    return waiter
  }

  #open(): Connection {
    const client = new Client(this.#origin, {
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
    }
    // Undici reports here what a handler threw: it must not end the process.
    const events: EventEmitter = client
    events.on('error', ignore)
    this.#all.add(connection)
    return connection
  }
}

/** False for a response whose client is slower than its upstream: of a thousand of them, each would keep 64 KB more. */
export function letReadAhead(connection: Connection, readsAhead: boolean): void {
  connection.readsAhead = readsAhead
  if (connection.socket !== null) setReadAhead(connection.socket, readsAhead ? READ_AHEAD : 0)
}

function end({ client, cancel }: Connection): void {
  client.destroy(new Error('the connection was given up'), ignore)
  cancel?.()
}

function ignore(): void {}
