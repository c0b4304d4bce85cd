import { isDeepStrictEqual } from 'node:util'
import { DrawnDecision } from '../decision/decide.js'
import type { Decision } from '../decision/decision.js'
import { isSticky } from '../decision/plan.js'
import { type Guard, type GuardHost, type Ticket, createGuard, resolveGuardOptions } from '../guard/index.js'
import type { ReleaseSettings } from './settings.js'

/** The guard that a release's settings ask for, started; `null` for none. */
export function guardOf({ guard, hash }: ReleaseSettings, host: GuardHost): Guard | null {
  if (guard === false) return null
  const created = createGuard(resolveGuardOptions(guard, isSticky(hash)), host)
  created.start()
  return created
}

/** The guard after other settings: another one where its options changed, new evidence where what it judged is no more. */
export function guardAfter(
  present: Guard | null,
  before: ReleaseSettings,
  after: ReleaseSettings,
  host: GuardHost,
): Guard | null {
  if (!isDeepStrictEqual(before.guard, after.guard) || !isDeepStrictEqual(before.hash, after.hash)) {
    present?.close()
    return guardOf(after, host)
  }
  if (!isDeepStrictEqual(before.upstreams, after.upstreams)) present?.reset()
  return present
}

export function admit(guard: Guard, decision: DrawnDecision): void {
  DrawnDecision.giveTicket(decision, guard.admit(decision, DrawnDecision.identityOf(decision)))
}

/** What the guard gave for a decision; `null` where it does not count. */
export function ticketOf(decision: Decision): Ticket | null {
  // Nobody but a release's guard gives tickets, and no other release asks for them.
  return DrawnDecision.ticketOf(decision) as Ticket | null
}
