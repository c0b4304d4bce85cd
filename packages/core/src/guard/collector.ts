import type { Decision, Outcome } from '../decision/decision.js'
import type { Ticket } from '../decision/ticket.js'
import { asyncHookError, disown, isPromise } from '../hook.js'
import {
  type Cell,
  type Delta,
  addFailures,
  addIdentityFailures,
  addIdentityLatency,
  addTo,
  cellOf,
  createDelta,
  createLatencies,
  packLatency,
} from './delta.js'
import { hashIdentity } from './identity-filter.js'
import { latencyBucket } from './latency.js'
import type { ResolvedGuardOptions } from './options.js'

/** Identities that one tick tells apart; more would not make its evidence better. */
const MOST_IDENTITIES = 65_536
/** Identities of B of which one tick tells how each fared: the hard limit remembers many ticks. */
const MOST_OF_B = 128
/** Below all hashes: stands for requests that have no identity, each by another number. */
const UNNAMED = -(2 ** 40)

/** What a collector asks about outcomes. */
export interface CollectorOptions extends Pick<ResolvedGuardOptions, 'unit' | 'latency' | 'sticky'> {
  readonly isFailure: (outcome: Outcome) => boolean
}

/** Counts requests of the open tick; a request only increments counters. */
export class Collector {
  readonly #options: CollectorOptions
  readonly #byIdentity: boolean
  readonly #tellsApart: boolean
  #unnamed = 0
  readonly #floor: number
  #delta: Delta
  #last: Cell | null = null
  /** What an application said of B's last failure. */
  lastFailure: string | null = null

  constructor(options: CollectorOptions, run: number, tick: number) {
    this.#options = options
    this.#byIdentity = options.unit === 'identity'
    this.#tellsApart = this.#byIdentity || options.sticky
    this.#floor = options.latency === false ? 0 : latencyBucket(options.latency.floorMs)
    this.#delta = createDelta(run, tick)
  }

  /** Ends the open tick and begins another. */
  take(nextRun: number, nextTick: number): Delta {
    const delta = this.#delta
    if (nextRun !== delta.run) this.lastFailure = null
    this.#delta = createDelta(nextRun, nextTick)
    this.#last = null
    return delta
  }

  /** Counts a decided request, where its arm was left to chance or to a group; `null` for all others. */
  admit(decision: Decision, identity: string | null): Ticket | null {
    const { upstream, bucketsOnB, reason } = decision
    if (reason !== 'bucket' && reason !== 'group') return null
    const steps = reason === 'bucket' ? decision.steps : 0
    this.#countOf(bucketsOnB, steps).decided[upstream] += 1
    const { run, tick } = this.#delta
    const key = upstream === 'B' && this.#tellsApart ? this.#identityKey(identity) : null
    return { run, tick, arm: upstream, bucketsOnB, steps, identity, key, ended: false, failed: false }
  }

  /** Takes back a request that was never tried. Only within its tick: a block that was scored stays. */
  withdraw(ticket: Ticket): void {
    if (ticket.ended || ticket.run !== this.#delta.run) return
    ticket.ended = true
    if (ticket.tick !== this.#delta.tick) return
    this.#countOf(ticket.bucketsOnB, ticket.steps).decided[ticket.arm] -= 1
    const { identitiesOfB } = this.#delta
    if (ticket.key === null) return
    addTo(identitiesOfB, ticket.key, -1)
    if (identitiesOfB.get(ticket.key) === 0) identitiesOfB.delete(ticket.key)
  }

  /** Counts how a request ended. */
  observe(ticket: Ticket, outcome: Outcome): void {
    if (ticket.ended || ticket.run !== this.#delta.run) return
    ticket.ended = true
    if (ticket.steps !== 0) {
      const cell = this.#cell(ticket.bucketsOnB, ticket.steps)
      cell.ended[ticket.arm] += 1
      // A client that left tells how long it waited at least, so that a B nobody waits for is still slow.
      const latencyMs = outcome.latencyMs === undefined ? outcome.durationMs : outcome.latencyMs
      if (this.#options.latency !== false && latencyMs !== null) this.#countLatency(cell, ticket, latencyMs)
    }
    if (!ticket.failed && this.#options.isFailure(outcome)) this.#countFailure(ticket)
  }

  /** Counts a request as failed, once. */
  fail(ticket: Ticket, reason: string): void {
    if (ticket.run !== this.#delta.run) return
    if (ticket.arm === 'B') this.lastFailure = reason.slice(0, 200)
    if (!ticket.failed) this.#countFailure(ticket)
  }

  #countFailure(ticket: Ticket): void {
    ticket.failed = true
    const count = this.#countOf(ticket.bucketsOnB, ticket.steps)
    addFailures(count, ticket.tick, ticket.arm === 'A' ? 1 : 0, ticket.arm === 'B' ? 1 : 0)
    if (ticket.key !== null) addIdentityFailures(this.#delta, ticket.tick, ticket.key)
    if (!this.#byIdentity || ticket.steps === 0) return
    const cell = this.#cell(ticket.bucketsOnB, ticket.steps)
    if (ticket.identity === null) {
      cell.unnamedFailures[ticket.arm] += 1
    } else if (cell.failedIdentities.size < MOST_IDENTITIES) {
      cell.failedIdentities.set(hashIdentity(ticket.identity), ticket.arm)
    }
  }

  #countLatency(cell: Cell, ticket: Ticket, durationMs: number): void {
    const bucket = Math.max(this.#floor, latencyBucket(durationMs))
    if (!this.#byIdentity || ticket.identity === null) {
      const counts = (cell.latencies ??= createLatencies())[ticket.arm]
      counts[bucket] = (counts[bucket] ?? 0) + 1
    } else if (cell.identityLatencies.size < MOST_IDENTITIES) {
      addIdentityLatency(cell, hashIdentity(ticket.identity), packLatency(ticket.arm, bucket))
    }
  }

  /** Counts a request of B's identity; its number, where it is told apart. */
  #identityKey(identity: string | null): number | null {
    const { identitiesOfB } = this.#delta
    const key = identity === null ? UNNAMED - (this.#unnamed += 1) : hashIdentity(identity)
    if (identitiesOfB.size >= MOST_OF_B && !identitiesOfB.has(key)) return null
    addTo(identitiesOfB, key)
    return key
  }

  #countOf(bucketsOnB: number, steps: number): Pick<Cell, 'decided' | 'failures'> {
    return steps === 0 ? this.#delta.chosen : this.#cell(bucketsOnB, steps)
  }

  #cell(bucketsOnB: number, steps: number): Cell {
    const last = this.#last
    if (last !== null && last.bucketsOnB === bucketsOnB && last.steps === steps) return last
    return (this.#last = cellOf(this.#delta, bucketsOnB, steps))
  }
}

/** A 5xx, a connection error or a timeout. A client that went away is none, unless the 5xx was there before. */
export function isFailure({ status, error, aborted }: Outcome): boolean {
  return (status !== null && status >= 500) || (error !== null && !aborted)
}

/** The application's own judgement of outcomes, or {@link isFailure} where it has none, throws or is async. */
export function compileFailure(
  own: ((outcome: Outcome) => unknown) | null,
  onError: (error: unknown) => void,
): (outcome: Outcome) => boolean {
  if (own === null) return isFailure
  return (outcome) => {
    if (outcome.aborted) return isFailure(outcome)
    try {
      const failed = own(outcome)
      if (!isPromise(failed)) return Boolean(failed)
      disown(failed)
      onError(asyncHookError('guard.errors.isFailure'))
    } catch (error) {
      onError(error)
    }
    return isFailure(outcome)
  }
}
