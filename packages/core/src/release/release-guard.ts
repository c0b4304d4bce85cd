import { isDeepStrictEqual } from 'node:util'
import { DrawnDecision } from '../decision/decide.js'
import type { Decision, Outcome } from '../decision/decision.js'
import { isSticky } from '../decision/plan.js'
import { type Guard, type GuardHost, type Ticket, createGuard, resolveGuardOptions } from '../guard/index.js'
import { inRoot } from '../request-context.js'
import type { ReleaseSettings } from './settings.js'
import type { MayAdvance } from './timeline.js'

/** The guard of a release, as its present settings ask for it; without one, all of this does nothing. */
export class ReleaseGuard {
  readonly #host: GuardHost
  #guard: Guard | null = null
  /** Asked before a ramp advances; `null` where nobody need be. */
  mayAdvance: MayAdvance | null = null

  constructor(host: GuardHost) {
    this.#host = host
  }

  get guard(): Guard | null {
    return this.#guard
  }

  begin(settings: ReleaseSettings): void {
    this.#use(this.#started(settings))
  }

  /** Another guard where its options changed, new evidence where what it judged is no more. */
  replace(before: ReleaseSettings, after: ReleaseSettings): void {
    if (!isDeepStrictEqual(before.guard, after.guard) || !isDeepStrictEqual(before.hash, after.hash)) {
      this.#guard?.close()
      this.#use(this.#started(after))
    } else if (!isDeepStrictEqual(before.upstreams, after.upstreams)) this.#guard?.reset()
  }

  admit(decision: DrawnDecision): void {
    if (this.#guard === null) return
    DrawnDecision.giveTicket(decision, this.#guard.admit(decision, DrawnDecision.identityOf(decision)))
  }

  observe(outcome: Outcome): void {
    this.#guard?.observe(ticketOf(outcome.decision), outcome)
  }

  fail(decision: Decision, reason: string): void {
    this.#guard?.fail(ticketOf(decision), reason)
  }

  /** Without effect where B was tried: that counts as B's. */
  withdraw(decision: Decision): void {
    this.#guard?.withdraw(ticketOf(decision))
  }

  close(): void {
    this.#guard?.close()
  }

  #started({ guard, hash }: ReleaseSettings): Guard | null {
    if (guard === false) return null
    const created = createGuard(resolveGuardOptions(guard, isSticky(hash)), this.#host)
    inRoot(() => created.start())
    return created
  }

  #use(guard: Guard | null): void {
    this.#guard = guard
    this.mayAdvance = guard === null ? null : (bucketsOnB, steps) => guard.mayAdvance(bucketsOnB, steps)
  }
}

/** What the guard gave for a decision; `null` where it does not count. */
function ticketOf(decision: Decision): Ticket | null {
  // Nobody but a release's guard gives tickets, and no other release asks for them.
  return DrawnDecision.ticketOf(decision) as Ticket | null
}
