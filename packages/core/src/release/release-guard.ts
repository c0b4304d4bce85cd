import { isDeepStrictEqual } from 'node:util'
import { DrawnDecision } from '../decision/decide.js'
import type { Decision, Outcome } from '../decision/decision.js'
import { type Hash, isChosen, isSticky } from '../decision/plan.js'
import {
  type Guard,
  type GuardHost,
  type ResolvedGuardOptions,
  createGuard,
  resolveGuardOptions,
} from '../guard/index.js'
import { inRoot } from '../request-context.js'
import type { ReleaseSettings } from './settings.js'
import type { Reports } from './reports.js'
import type { MayReach, Timeline } from './timeline.js'

const CHOSEN =
  'the guard has nothing to compare: with hash allow or deny the callers of B are chosen, not drawn. Only the hard limit looks at B'

/** What a release's guard sees and does of it. */
export interface Guarded {
  readonly timeline: Timeline
  readonly reports: Reports
  /** Makes a move in the guard's name. */
  readonly move: (move: 'pause' | 'resume' | 'rollback', reason: string) => void
}

/**
 * Makes the guard of a release.
 *
 * @param hash what the release hashes, without secrets
 */
export type MakeGuard = (options: ResolvedGuardOptions, hash: Hash, host: GuardHost) => Guard

export const makeOwnGuard: MakeGuard = (options, _hash, host) => createGuard(options, host)

/** The guard of a release, as its present settings ask for it; without one, all of this does nothing. */
export class ReleaseGuard {
  readonly #host: GuardHost
  readonly #make: MakeGuard
  #guard: Guard | null = null
  /** Asked before a ramp advances; `null` where nobody need be. */
  mayReach: MayReach | null = null

  constructor(guarded: Guarded, make: MakeGuard) {
    this.#host = this.#hostFor(guarded)
    this.#make = make
  }

  get guard(): Guard | null {
    return this.#guard
  }

  begin(settings: ReleaseSettings): void {
    this.#use(this.#started(settings))
  }

  /** Another guard where its options changed, a new run where the release begins again or what was judged is no more. */
  replace(before: ReleaseSettings, after: ReleaseSettings, isNewRun: boolean): void {
    if (
      !isDeepStrictEqual(before.guard, after.guard) ||
      !isDeepStrictEqual(unsigned(before.hash), unsigned(after.hash))
    ) {
      this.#guard?.close()
      this.#use(this.#started(after))
    } else if (isNewRun || !isDeepStrictEqual(before.upstreams, after.upstreams)) this.#guard?.reset()
  }

  admit(decision: DrawnDecision): void {
    if (this.#guard === null) return
    DrawnDecision.giveTicket(decision, this.#guard.admit(decision, DrawnDecision.identityOf(decision)))
  }

  observe(outcome: Outcome): void {
    this.#guard?.observe(DrawnDecision.ticketOf(outcome.decision), outcome)
  }

  fail(decision: Decision, reason: string): void {
    this.#guard?.fail(DrawnDecision.ticketOf(decision), reason)
  }

  /** Without effect where B was tried: that counts as B's. */
  withdraw(decision: Decision): void {
    this.#guard?.withdraw(DrawnDecision.ticketOf(decision))
  }

  close(): void {
    this.#guard?.close()
  }

  #hostFor({ timeline, reports, move }: Guarded): GuardHost {
    return {
      now: () => timeline.settings.clock(),
      view: () => {
        const { start, steps } = timeline.settings
        timeline.wait(this.mayReach)
        return { state: timeline.state(), bucketsOnB: timeline.bucketsOnB(), steps, ramping: start !== null }
      },
      pause: (reason) => move('pause', reason),
      resume: (reason) => move('resume', reason),
      rollback: (reason) => move('rollback', reason),
      log: (message) => reports.warn(message),
      onError: (error) => reports.reportOnce('guard', error),
    }
  }

  #started({ guard, hash }: ReleaseSettings): Guard | null {
    if (guard === false) return null
    const chosen = isChosen(hash)
    const options = resolveGuardOptions(guard, isSticky(hash), chosen)
    if (chosen) this.#host.log(options.hardLimit === false ? `${CHOSEN}, and it is off` : CHOSEN)
    const created = this.#make(options, unsigned(hash), this.#host)
    inRoot(() => created.start())
    return created
  }

  #use(guard: Guard | null): void {
    this.#guard = guard
    this.mayReach = guard === null ? null : (from, to, steps) => guard.mayReach(from, to, steps)
  }
}

/** Other secrets make nobody another. */
export function unsigned(hash: Hash): Hash {
  return typeof hash === 'object' && 'cookie' in hash ? { cookie: hash.cookie } : hash
}
