import { isSticky } from '../decision/plan.js'
import { type Guard, type GuardHost, createGuard, resolveGuardOptions } from '../guard/index.js'
import type { ReleaseSettings } from './settings.js'

/** The guard that a release's settings ask for, started; `null` for none. */
export function guardOf({ guard, hash }: ReleaseSettings, host: GuardHost): Guard | null {
  if (guard === false) return null
  const created = createGuard(resolveGuardOptions(guard, isSticky(hash)), host)
  created.start()
  return created
}
