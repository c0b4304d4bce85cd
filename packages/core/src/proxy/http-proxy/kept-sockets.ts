import type { Agent } from 'node:http'
import { Socket } from 'node:net'
import { inRoot } from '../../request-context.js'
import type { TransportSettings } from '../forwarder.js'
import { KeepsConnections, SPARE_MS, UNSAID_KEEP_ALIVE_MS, saidKeepAliveMs } from '../connections/reuse.js'

/** What is known of a socket that an agent keeps. */
interface Kept {
  readonly openedAt: number
  uses: number
  freeAt: number
  isFree: boolean
  /** It was free for a whole turn of the event loop: that its upstream closed it would have been seen. */
  hasRested: boolean
  keepAliveMs: number
}

type SocketOptions = Parameters<Agent['getName']>[0]

/**
 * The sockets that an agent keeps: what may not be sent twice gets one that has rested since its last answer, or a new
 * one, and none is used beyond its age.
 *
 * Node gives a socket to the next request when it emits `free`, so that is put off for two turns of the event loop: from
 * the first request on for which it matters.
 */
export class KeptSockets {
  readonly agent: Agent
  #maxAgeMs = Infinity
  readonly #emit: Agent['emit']
  readonly #kept = new WeakMap<Socket, Kept>()
  readonly #careful = new WeakSet<object>()
  readonly #keeps = new Map<string, KeepsConnections>()
  readonly #resting = new Map<string, number>()
  #isAsked = false

  constructor(agent: Agent) {
    this.agent = agent
    this.#emit = agent.emit.bind(agent)
    Object.defineProperty(agent, 'emit', { value: this.#emitted, configurable: true, writable: true })
  }

  /** How many sockets there may be to one upstream, and for how long each is used. */
  limit({ connections, connectionMaxAgeMs }: Pick<TransportSettings, 'connections' | 'connectionMaxAgeMs'>): void {
    this.agent.maxSockets = connections
    this.#maxAgeMs = connectionMaxAgeMs
  }

  /** How many sockets to an upstream will be free in a moment. */
  resting(upstream: string): number {
    return this.#resting.get(upstream) ?? 0
  }

  /** Calls `add`, which gives a request to the agent, so that it gets no free socket that it must not have. */
  give(request: object, upstream: string, careful: boolean, add: () => void): void {
    if (careful) {
      this.#careful.add(request)
      this.#ask()
    }
    const now = performance.now()
    const { freeSockets, maxSockets, sockets } = this.agent
    const free = (freeSockets[upstream] ?? []).filter((socket) => this.#isUsable(socket, now))
    const oldest = free[0]
    const mustBeNew =
      careful && !(this.#keepsOf(upstream).isKnown(this.#freeSince(oldest), now) && this.#isSafe(free.at(-1), now))
    // One may be opened in its place.
    if (mustBeNew && free.length > 0 && free.length + (sockets[upstream]?.length ?? 0) >= maxSockets) {
      this.#end(free.pop())
    }
    setFree(freeSockets, upstream, mustBeNew ? [] : free)
    add()
    if (mustBeNew) setFree(freeSockets, upstream, free)
  }

  /** A request goes out on a socket. */
  used(socket: Socket, upstream: string): void {
    const kept = this.#kept.get(socket)
    if (kept !== undefined) {
      kept.uses += 1
      kept.isFree = false
      kept.hasRested = false
      return
    }
    const openedAt = performance.now()
    const first = { uses: 1, freeAt: -Infinity, isFree: false, hasRested: false, keepAliveMs: UNSAID_KEEP_ALIVE_MS }
    const opened: Kept = { openedAt, ...first }
    this.#kept.set(socket, opened)
    inRoot(() =>
      socket.on('close', () => {
        if (opened.isFree) this.#keepsOf(upstream).closed(opened.freeAt, performance.now())
      }),
    )
  }

  /** The head of an answer came: what it says of the connection is said each time. */
  answered(socket: Socket | null, rawHeaders: readonly string[]): void {
    const kept = socket === null ? undefined : this.#kept.get(socket)
    if (kept?.uses === 1) kept.keepAliveMs = saidKeepAliveMs(rawHeaders)
  }

  /** A request was lost on a socket that had carried others. */
  lost(socket: Socket | null, upstream: string): void {
    const kept = socket === null ? undefined : this.#kept.get(socket)
    if (kept !== undefined) this.#keepsOf(upstream).closed(kept.freeAt, performance.now())
  }

  readonly #emitted = (name: string, ...args: unknown[]): boolean => {
    const [socket, options] = args
    const kept = name === 'free' && socket instanceof Socket ? this.#kept.get(socket) : undefined
    if (!(socket instanceof Socket) || kept === undefined) return this.#emit(name, ...args)
    this.#freed(socket, kept, this.agent.getName(options as SocketOptions), args)
    return true
  }

  #freed(socket: Socket, kept: Kept, upstream: string, args: unknown[]): void {
    const now = performance.now()
    kept.freeAt = now
    kept.isFree = true
    if (kept.uses > 1) this.#keepsOf(upstream).reused(now)
    if (now - kept.openedAt > this.#maxAgeMs) this.#end(socket)
    const next = this.agent.requests[upstream]?.[0]
    if (!this.#isAsked || socket.destroyed || (next !== undefined && !this.#careful.has(next))) {
      this.#emit('free', ...args)
      return
    }
    socket.on('error', ignore)
    this.#resting.set(upstream, this.resting(upstream) + 1)
    afterRest(() => {
      socket.off('error', ignore)
      const left = this.resting(upstream) - 1
      if (left > 0) this.#resting.set(upstream, left)
      else this.#resting.delete(upstream)
      kept.hasRested = true
      const waiting = this.agent.requests[upstream]?.[0]
      const isRisky =
        waiting !== undefined &&
        this.#careful.has(waiting) &&
        !this.#keepsOf(upstream).isKnown(kept.freeAt, performance.now())
      // The agent opens another one for the request that waits.
      if (isRisky) this.#end(socket)
      this.#emit('free', ...args)
    })
  }

  #ask(): void {
    if (this.#isAsked) return
    this.#isAsked = true
    const free = Object.values(this.agent.freeSockets).flatMap((sockets) => sockets ?? [])
    afterRest(() => {
      for (const socket of free) {
        const kept = this.#kept.get(socket)
        if (kept?.isFree === true) kept.hasRested = true
      }
    })
  }

  #isUsable(socket: Socket, now: number): boolean {
    const kept = this.#kept.get(socket)
    if (!socket.destroyed && (kept === undefined || now - kept.openedAt <= this.#maxAgeMs)) return true
    this.#end(socket)
    return false
  }

  /** Whether a free socket may be given what must not be lost. */
  #isSafe(socket: Socket | undefined, now: number): boolean {
    const kept = socket === undefined ? undefined : this.#kept.get(socket)
    return kept !== undefined && kept.hasRested && now - kept.freeAt < kept.keepAliveMs - SPARE_MS
  }

  #freeSince(socket: Socket | undefined): number | undefined {
    return socket === undefined ? undefined : this.#kept.get(socket)?.freeAt
  }

  #keepsOf(upstream: string): KeepsConnections {
    let keeps = this.#keeps.get(upstream)
    if (keeps === undefined) {
      keeps = new KeepsConnections()
      this.#keeps.set(upstream, keeps)
    }
    return keeps
  }

  #end(socket: Socket | undefined): void {
    const kept = socket === undefined ? undefined : this.#kept.get(socket)
    if (kept !== undefined) kept.isFree = false
    socket?.destroy()
  }
}

function afterRest(act: () => void): void {
  inRoot(() => setImmediate(() => setImmediate(act)))
}

function setFree(free: Agent['freeSockets'], upstream: string, sockets: Socket[]): void {
  if (sockets.length > 0) Reflect.set(free, upstream, sockets)
  else Reflect.deleteProperty(free, upstream)
}

function ignore(): void {}
