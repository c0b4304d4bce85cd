import type { Delta } from '../delta.js'
import { mergeDeltas } from '../delta.js'
import type { ResolvedGuardOptions } from '../options.js'
import type { GuardReport } from '../report.js'
import { GuardRun } from '../run.js'
import type { ReleaseView } from '../guard.js'
import { neededAlone } from './alpha.js'

/** A breach that one process found alone. Natural logarithms. */
export interface FoundAlone {
  readonly tick: number
  readonly evidence: number
  readonly needed: number
  readonly reason: string
  readonly report: GuardReport
}

/**
 * What one process judges alone while the store is away: a part of α of its own, for each run and member. It is fed
 * only with ticks that began after the outage was noticed.
 */
export class LocalRun {
  readonly #options: ResolvedGuardOptions
  #run: GuardRun | null = null
  #reason: string | null = null
  #isOver = false

  constructor(options: ResolvedGuardOptions) {
    this.#options = options
  }

  /** Takes a tick; gives a breach once. The member's number in the run decides how much evidence it needs. */
  score(delta: Delta, ordinal: number, view: ReleaseView): FoundAlone | null {
    if (ordinal === 0 || this.#isOver) return null
    const run = (this.#run ??= this.#begin(ordinal))
    run.score(mergeDeltas([delta]), delta.tick + 1)
    const report = (): GuardReport => ({ ...run.report(delta.tick, view), lastFailure: null, hold: null })
    // It pauses nothing on evidence: that needs the record.
    run.act({ ...view, ramping: false }, report)
    if (this.#reason === null) return null
    this.#isOver = true
    const [evidence, needed] = [run.ln.combined, Math.log(run.needed)]
    return { tick: delta.tick, evidence, needed, reason: this.#reason, report: report() }
  }

  #begin(ordinal: number): GuardRun {
    const { alpha } = this.#options
    const nothing = (): void => {}
    const host = {
      now: () => 0,
      view: () => ({ state: 'running', ramping: false, bucketsOnB: 0, steps: 1 }) as const,
      pause: nothing,
      resume: nothing,
      rollback: (reason: string) =>
        void (this.#reason = `${reason}; judged by one process alone, as the store is away`),
      log: nothing,
      onError: nothing,
    }
    const options: ResolvedGuardOptions = { ...this.#options, onBreach: 'rollback' }
    return new GuardRun({ ...options, needed: neededAlone(ordinal, alpha) }, host, 0)
  }
}
