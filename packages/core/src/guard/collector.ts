import type { Decision, Outcome, UpstreamName } from '../decision/decision.js'
import {
  type Cell,
  type Delta,
  addFailures,
  addIdentityLatency,
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

/** One counted request, from its decision to its end. Belongs to the guard; others only carry it. */
export interface Ticket {
  readonly run: number
  /** The tick in which the request was decided. */
  readonly tick: number
  readonly arm: UpstreamName
  readonly bucketsOnB: number
  readonly steps: number
  readonly identity: string | null
  ended: boolean
  failed: boolean
}

/** What a collector asks about outcomes. */
export interface CollectorOptions extends Pick<ResolvedGuardOptions, 'unit' | 'latency'> {
  readonly isFailure: (outcome: Outcome) => boolean
}

/** Counts requests of the open tick; a request only increments counters. */
export class Collector {
  readonly #options: CollectorOptions
  readonly #byIdentity: boolean
  readonly #floor: number
  #delta: Delta
  #last: Cell | null = null
  /** What an application said of B's last failure. */
  lastFailure: string | null = null

  constructor(options: CollectorOptions, run: number, tick: number) {
    this.#options = options
    this.#byIdentity = options.unit === 'identity'
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

  /** Counts a decided request, where its arm was left to chance; `null` for all others. */
  admit(decision: Decision, identity: string | null): Ticket | null {
    if (decision.reason !== 'bucket') return null
    const { upstream, bucketsOnB, steps } = decision
    this.#cell(bucketsOnB, steps).decided[upstream] += 1
    const { run, tick } = this.#delta
    return { run, tick, arm: upstream, bucketsOnB, steps, identity, ended: false, failed: false }
  }

  /** Takes back a request that was never tried. Only within its tick: a block that was scored stays. */
  withdraw(ticket: Ticket): void {
    if (ticket.ended || ticket.run !== this.#delta.run) return
    ticket.ended = true
    if (ticket.tick === this.#delta.tick) this.#cell(ticket.bucketsOnB, ticket.steps).decided[ticket.arm] -= 1
  }

  /** Counts how a request ended. */
  observe(ticket: Ticket, outcome: Outcome): void {
    if (ticket.ended || ticket.run !== this.#delta.run) return
    ticket.ended = true
    const cell = this.#cell(ticket.bucketsOnB, ticket.steps)
    cell.ended[ticket.arm] += 1
    // A client that left tells how long it waited at least, so that a B nobody waits for is still slow.
    if (this.#options.latency !== false) this.#countLatency(cell, ticket, outcome.durationMs)
    if (!ticket.failed && this.#options.isFailure(outcome)) this.#countFailure(cell, ticket)
  }

  /** Counts a request as failed, once. */
  fail(ticket: Ticket, reason: string): void {
    if (ticket.run !== this.#delta.run) return
    if (ticket.arm === 'B') this.lastFailure = reason.slice(0, 200)
    if (ticket.failed) return
    this.#countFailure(this.#cell(ticket.bucketsOnB, ticket.steps), ticket)
  }

  #countFailure(cell: Cell, ticket: Ticket): void {
    ticket.failed = true
    addFailures(cell, ticket.tick, ticket.arm === 'A' ? 1 : 0, ticket.arm === 'B' ? 1 : 0)
    if (!this.#byIdentity) return
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
