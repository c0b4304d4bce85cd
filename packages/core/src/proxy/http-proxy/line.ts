import type { Agent } from 'node:http'
import type { Socket } from 'node:net'
import { mustWait } from './adjust.js'
import type { Attempt } from '../forwarder.js'

/** Connections whose request waits for its client, and not for the upstream. */
const keptSockets = new WeakSet<Socket>()

/** Says whom the request on a connection waits for. */
export function keptByClient(socket: Socket | null, isKept: boolean): void {
  if (socket === null) return
  if (isKept) keptSockets.add(socket)
  else keptSockets.delete(socket)
}

/** A request's place in the line for a connection of an agent: who is to blame that it waits. */
export class Line {
  readonly #agent: Agent
  readonly #attempt: Attempt
  /** The agent's name for the upstream. */
  upstream = ''
  /** When it began to wait for a connection that clients kept; −1 where it did not. */
  #keptSince = -1

  constructor(agent: Agent, attempt: Attempt) {
    this.#agent = agent
    this.#attempt = attempt
  }

  /** It asks for a connection. */
  entered(upstream: string): void {
    this.upstream = upstream
    if (mustWait(this.#agent, upstream) && this.#isKeptByClients()) this.#keptSince = performance.now()
  }

  /** It has one. */
  left(): void {
    if (this.#keptSince !== -1) this.#attempt.waitedMs += performance.now() - this.#keptSince
    this.#keptSince = -1
  }

  /** What it is that none was free in time. */
  get failure(): 'busy' | 'busy-with-clients' {
    return this.#isKeptByClients() ? 'busy-with-clients' : 'busy'
  }

  /** Whether most connections are kept by clients that send or read slowly. */
  #isKeptByClients(): boolean {
    const sockets = this.#agent.sockets[this.upstream] ?? []
    return sockets.filter((socket) => keptSockets.has(socket)).length * 2 > sockets.length
  }
}
