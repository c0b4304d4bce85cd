import type { Decision, Outcome } from '../decision/decision.js'
import type { Ticket } from '../decision/ticket.js'
import { Collector, compileFailure } from './collector.js'
import type { Guard, GuardHost, ReleaseView } from './guard.js'
import type { ResolvedGuardOptions } from './options.js'
import type { GuardReport } from './report.js'
import { GuardRun } from './run.js'
import { type RunName, type SavedGuard, sealGuard } from './saved/saved-guard.js'

/** Ticks between two lines of the log that say that the ramp is held. */
const REPEAT = 300

const CHOSEN = 'callers of B are chosen by their groups, not drawn: there is nothing to compare it with'

class Watcher implements SavableGuard {
  readonly #options: ResolvedGuardOptions
  readonly #host: GuardHost
  readonly #collector: Collector
  #run: GuardRun
  #runs = 0
  #tick: number
  #tickedAt: number
  #timerSaw: number
  #ticking = false
  #heldSaid = -Infinity
  #timer: NodeJS.Timeout | null = null

  constructor(options: ResolvedGuardOptions, host: GuardHost, saved: SavedGuard | null) {
    this.#options = options
    this.#host = host
    this.#tickedAt = host.now()
    this.#timerSaw = this.#tickedAt
    this.#tick = Math.floor(this.#tickedAt / options.tickMs)
    this.#run = this.#newRun()
    if (saved !== null) this.#goOn(saved)
    const { unit, latency, sticky, errors } = options
    const isFailure = compileFailure(errors.isFailure, (error) => host.onError(error))
    this.#collector = new Collector({ unit, latency, sticky, isFailure }, this.#runs, this.#tick)
  }

  admit(decision: Decision, identity: string | null): Ticket | null {
    // The release's clock may run faster than the timer, and is the one that counts.
    const elapsed = this.#host.now() - this.#tickedAt
    if (elapsed >= this.#options.tickMs || elapsed < 0) this.tick()
    const ticket = this.#collector.admit(decision, identity)
    if (ticket !== null && this.#options.hold) this.#run.hold.note(decision.bucket, decision.steps)
    return ticket
  }

  withdraw(ticket: Ticket | null): void {
    if (ticket !== null) this.#collector.withdraw(ticket)
  }

  observe(ticket: Ticket | null, outcome: Outcome): void {
    if (ticket !== null) this.#collector.observe(ticket, outcome)
  }

  fail(ticket: Ticket | null, reason: string): void {
    if (ticket !== null) this.#collector.fail(ticket, reason)
  }

  tick(): void {
    // A listener of a move that decides requests comes back here.
    if (this.#ticking) return
    this.#ticking = true
    try {
      const now = this.#host.now()
      this.#tickedAt = now
      // Ascends also where the clock stands still or steps back.
      this.#tick = Math.max(this.#tick + 1, Math.floor(now / this.#options.tickMs))
      this.#run.score(this.#collector.take(this.#runs, this.#tick), this.#tick)
      const view = this.#host.view()
      if (this.#run.isOver(view)) this.reset()
      this.#run.act(view, () => this.report())
      this.#sayHeld()
    } catch (error) {
      this.#host.onError(error)
    } finally {
      this.#ticking = false
    }
  }

  reset(): void {
    this.#run = this.#newRun()
    this.#heldSaid = -Infinity
    this.#collector.take(this.#runs, this.#tick)
  }

  report(): GuardReport {
    const view = this.#host.view()
    const report = this.#run.report(this.#tick, view)
    return {
      ...report,
      reason: report.reason ?? this.holding() ?? (this.#options.chosen ? CHOSEN : null),
      lastFailure: this.#collector.lastFailure,
      hold: this.#options.hold ? this.#run.hold.state(shareOf(view)) : null,
    }
  }

  mayReach(from: number, to: number, steps: number): number {
    return this.#options.hold ? this.#run.hold.mayReach(from, to, steps) : to
  }

  holding(): string | null {
    if (!this.#options.hold) return null
    const view = this.#host.view()
    const held = view.ramping && view.state === 'running'
    return held ? this.#run.hold.words(view.bucketsOnB, view.steps) : null
  }

  save(name: RunName, whole: boolean): Promise<string> {
    if (whole) this.tick()
    return sealGuard(name, this.#run, this.#tick, whole)
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#onTimer(), this.#options.tickMs).unref()
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  #goOn({ tick, saved, filters, whole }: SavedGuard): void {
    // A clock may have been set back meanwhile.
    this.#tick = Math.max(this.#tick, tick)
    if (!whole) return this.#run.restoreActs(saved.acts)
    this.#run.restoreFilters(filters)
    this.#run.restore(saved)
  }

  #onTimer(): void {
    const now = this.#host.now()
    // A request may have ticked just before. A clock that stands still must not keep the guard from looking.
    const early = now !== this.#timerSaw && Math.abs(now - this.#tickedAt) < this.#options.tickMs / 2
    this.#timerSaw = now
    if (!early) this.tick()
  }

  #sayHeld(): void {
    const words = this.holding()
    if (words === null || this.#tick - this.#heldSaid < REPEAT) return
    this.#heldSaid = this.#tick
    this.#host.log(words)
  }

  #newRun(): GuardRun {
    this.#runs += 1
    return new GuardRun(this.#options, this.#host, this.#tick)
  }
}

function shareOf({ bucketsOnB, steps }: ReleaseView): number {
  return bucketsOnB / steps
}

/** A guard of one process, whose run may outlive it. */
export interface SavableGuard extends Guard {
  /**
   * The run as text, for the guard of the process that comes next. `whole`: this one ends, and counts nothing after.
   * Otherwise only what was done is taken from it, and evidence begins anew.
   */
  save(name: RunName, whole: boolean): Promise<string>
}

/**
 * Makes the guard of a release. It counts at once, and looks by itself once it is started.
 *
 * @param saved the run that it goes on with, from {@link openGuard}; by default it begins one
 */
export function createGuard(
  options: ResolvedGuardOptions,
  host: GuardHost,
  saved: SavedGuard | null = null,
): SavableGuard {
  return new Watcher(options, host, saved)
}
