import type { Decision, Outcome } from '../decision/decision.js'
import { Collector, type Ticket, isFailure } from './collector.js'
import type { Guard, GuardHost, Standing } from './guard.js'
import { Hold } from './hold.js'
import { Judge } from './judge.js'
import type { ResolvedGuardOptions } from './options.js'
import type { GuardReport } from './report.js'
import { Sight, verdictOf } from './verdict.js'
import { evidenceText, findingText } from './words.js'

/** Ticks between two lines of the log that say that the ramp is held. */
const REPEAT = 300

/** What belongs to one run: from a start, or a change of the upstreams, to the next. */
interface Run {
  readonly judge: Judge
  readonly hold: Hold
  readonly sight: Sight
  /** Why B was found worse; stays until the run ends. */
  breach: string | null
  /** What the guard paused the release for. */
  paused: 'evidence' | 'breach' | null
  /** A person resumed in spite of the evidence. */
  overruled: boolean
  reason: string | null
}

class Watcher implements Guard {
  readonly #options: ResolvedGuardOptions
  readonly #host: GuardHost
  readonly #collector: Collector
  #run: Run
  #runs = 0
  #tick: number
  #tickedAt: number
  #timerSaw = Number.NaN
  #ticking = false
  #heldSaid = -Infinity
  #timer: NodeJS.Timeout | null = null

  constructor(options: ResolvedGuardOptions, host: GuardHost) {
    this.#options = options
    this.#host = host
    this.#tickedAt = host.now()
    this.#tick = Math.floor(this.#tickedAt / options.tickMs)
    this.#run = this.#newRun()
    const { unit, latency } = options
    this.#collector = new Collector({ unit, latency, isFailure: this.#isFailure }, this.#runs, this.#tick)
  }

  admit(decision: Decision, identity: string | null): Ticket | null {
    // The release's clock may run faster than the timer, and is the one that counts.
    const elapsed = this.#host.now() - this.#tickedAt
    if (elapsed >= this.#options.tickMs || elapsed < 0) this.tick()
    return this.#collector.admit(decision, identity)
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
      const run = this.#run
      const delta = this.#collector.take(this.#runs, this.#tick)
      run.judge.tick(delta)
      run.sight.tick(delta)
      run.hold.tick(run.judge.a, run.judge.b)
      this.#act(run, this.#host.standing())
    } catch (error) {
      this.#host.onError(error)
    } finally {
      this.#ticking = false
    }
  }

  reset(): void {
    this.#run = this.#newRun()
    this.#collector.take(this.#runs, this.#tick)
  }

  report(): GuardReport {
    const { judge, hold, breach, paused, reason } = this.#run
    const { errors, latency, combined } = judge.ln
    const standing = this.#host.standing()
    const share = shareOf(standing)
    const blind = judge.full || this.#run.sight.blindAt(this.#tick, share)
    return {
      verdict: verdictOf({ breach: breach !== null, paused: paused !== null && standing.state === 'paused', blind }),
      evidence: {
        errors: numberOf(errors),
        latency: latency === null ? null : numberOf(latency),
        combined: numberOf(combined),
      },
      needed: this.#options.needed,
      pValue: Math.min(1, this.#options.judges * Math.exp(-judge.lnHighest)),
      a: judge.a,
      b: judge.b,
      oddsRatio: judge.oddsRatio,
      unit: this.#options.unit,
      reason: reason ?? this.holding(),
      lastFailure: this.#collector.lastFailure,
      hold: this.#options.hold ? hold.state(share) : null,
    }
  }

  mayAdvance(): boolean {
    return !this.#options.hold || this.#run.hold.mayAdvance(shareOf(this.#host.standing()))
  }

  holding(): string | null {
    if (!this.#options.hold) return null
    const standing = this.#host.standing()
    const held = standing.ramping && standing.state === 'running'
    return held ? this.#run.hold.words(shareOf(standing)) : null
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#onTimer(), this.#options.tickMs).unref()
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  #onTimer(): void {
    const now = this.#host.now()
    // A request may have ticked just before. A clock that stands still must not keep the guard from looking.
    const early = now !== this.#timerSaw && Math.abs(now - this.#tickedAt) < this.#options.tickMs / 2
    this.#timerSaw = now
    if (!early) this.tick()
  }

  #act(run: Run, standing: Standing): void {
    const { state } = standing
    if (state === 'rolled-back' || state === 'promoted') return
    if (run.paused === 'breach' && state !== 'paused') {
      // A person looked and goes on: what was judged is not judged again.
      this.reset()
      return
    }
    if (run.breach !== null) return
    const breach = run.judge.breach
    if (breach === null) this.#pauseOrResume(run, standing)
    else this.#breach(run, breach, state)
    this.#sayHeld()
  }

  #breach(run: Run, kind: 'evidence' | 'hard-limit', state: Standing['state']): void {
    const { onBreach, needed } = this.#options
    const evidence = `; evidence ${evidenceText(run.judge.ln.combined)} against the ${evidenceText(Math.log(needed))} needed`
    run.breach = `${this.#finding(run)}${kind === 'evidence' ? evidence : ''}`
    if (onBreach === 'rollback') {
      run.reason = `rolled back: ${run.breach}`
      this.#host.rollback(run.reason)
    } else if (onBreach === 'pause') {
      run.reason = `paused: ${run.breach}`
      if (state === 'running' || state === 'scheduled') this.#host.pause(run.reason)
      else this.#host.log(run.reason)
      run.paused = state === 'complete' ? null : 'breach'
    } else {
      run.reason = `breach: ${run.breach}`
      this.#host.log(run.reason)
      const returned: unknown = onBreach(this.report())
      if (returned instanceof Promise) returned.catch((error: unknown) => this.#host.onError(error))
    }
  }

  /** A pause on evidence is lifted by the guard or by a person; what a person lifted, the guard leaves alone. */
  #pauseOrResume(run: Run, { state, ramping }: Standing): void {
    const { pauseEvidence, needed } = this.#options
    const { combined } = run.judge.ln
    const high = combined >= Math.log(pauseEvidence)
    if (run.paused === 'evidence' && state !== 'paused') {
      run.paused = null
      run.overruled = true
    }
    if (!high) run.overruled = false
    if (high && run.paused === null && !run.overruled && ramping && state === 'running') {
      const limits = `the ${evidenceText(Math.log(pauseEvidence))} that pause and the ${evidenceText(Math.log(needed))} that roll back`
      run.reason = `paused: ${this.#finding(run)}; evidence ${evidenceText(combined)} against ${limits}`
      run.paused = 'evidence'
      this.#host.pause(run.reason)
    } else if (!high && run.paused === 'evidence') {
      run.reason = `resumed: the evidence against B fell to ${evidenceText(combined)}`
      run.paused = null
      this.#host.resume(run.reason)
    }
  }

  #finding(run: Run): string {
    return findingText(run.judge.finding, this.#options.tickMs)
  }

  #sayHeld(): void {
    const words = this.holding()
    if (words === null || this.#tick - this.#heldSaid < REPEAT) return
    this.#heldSaid = this.#tick
    this.#host.log(words)
  }

  readonly #isFailure = (outcome: Outcome): boolean => {
    const own = this.#options.errors.isFailure
    if (own === null || outcome.aborted) return isFailure(outcome)
    try {
      return own(outcome)
    } catch (error) {
      this.#host.onError(error)
      return isFailure(outcome)
    }
  }

  #newRun(): Run {
    this.#runs += 1
    const { needed, tickMs, latency } = this.#options
    return {
      judge: new Judge(this.#options),
      hold: new Hold(1 / (latency === false ? needed : 2 * needed), tickMs),
      sight: new Sight(),
      breach: null,
      paused: null,
      overruled: false,
      reason: null,
    }
  }
}

function shareOf({ bucketsOnB, steps }: Standing): number {
  return bucketsOnB / steps
}

/** Evidence for JSON, which has no infinity. */
function numberOf(ln: number): number {
  return Math.min(Number.MAX_VALUE, Math.exp(ln))
}

/** Makes the guard of a release. It counts at once, and looks by itself once it is started. */
export function createGuard(options: ResolvedGuardOptions, host: GuardHost): Guard {
  return new Watcher(options, host)
}
