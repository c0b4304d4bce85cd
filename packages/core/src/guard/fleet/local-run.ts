import type { Delta } from '../delta.js'
import { mergeDeltas } from '../delta.js'
import type { ResolvedGuardOptions } from '../options.js'
import { GuardRun } from '../run.js'
import { neededAlone } from './alpha.js'

/**
 * What one process judges alone while the store is away: a part of α of its own, for each run and member. It is fed
 * only with ticks that began after the outage was noticed.
 */
export class LocalRun {
  readonly #options: ResolvedGuardOptions
  #run: GuardRun | null = null
  #found: string | null = null

  constructor(options: ResolvedGuardOptions) {
    this.#options = options
  }

  /** Takes a tick; says why B is rolled back, once. The member's number in the run decides how much evidence it needs. */
  score(delta: Delta, ordinal: number): string | null {
    if (ordinal === 0 || this.#found !== null) return null
    const run = (this.#run ??= this.#begin(ordinal))
    run.score(mergeDeltas([delta]), delta.tick + 1)
    run.act({ state: 'running', ramping: false, bucketsOnB: 0, steps: 1 }, () => {
      throw new Error('a breach is told in words')
    })
    return this.#found
  }

  #begin(ordinal: number): GuardRun {
    const { alpha } = this.#options
    const nothing = (): void => {}
    const host = {
      now: () => 0,
      standing: () => ({ state: 'running', ramping: false, bucketsOnB: 0, steps: 1 }) as const,
      pause: nothing,
      resume: nothing,
      rollback: (reason: string) => void (this.#found = `${reason}; judged by one process alone, as the store is away`),
      log: nothing,
      onError: nothing,
    }
    const options: ResolvedGuardOptions = { ...this.#options, onBreach: 'rollback' }
    return new GuardRun({ ...options, needed: neededAlone(ordinal, alpha) }, host, 0)
  }
}
