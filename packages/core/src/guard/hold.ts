import { requestsToJudge } from './plan.js'
import type { ArmCount, GuardReport } from './report.js'
import { countText, rateText, timeText } from './words.js'

/** How much a tick counts in B's present traffic: about the last twenty matter. */
const FRESH = 0.05

export type HoldState = NonNullable<GuardReport['hold']>

/** Keeps a ramp from advancing before B has had the requests that it takes to judge its present share. */
export class Hold {
  readonly #alpha: number
  readonly #tickMs: number
  #had = 0
  #requests = 0
  #ticks = 0
  #a: ArmCount = { n: 0, k: 0 }
  #share = -1
  #needed = 0

  constructor(alpha: number, tickMs: number) {
    this.#alpha = alpha
    this.#tickMs = tickMs
  }

  /** Takes the counts of the run as of this tick. */
  tick(a: ArmCount, b: ArmCount): void {
    this.#requests = (1 - FRESH) * this.#requests + (b.n - this.#had)
    this.#ticks = (1 - FRESH) * this.#ticks + 1
    this.#had = b.n
    this.#a = a
    this.#share = -1
  }

  /** Requests that B needs in all before a share may be left. */
  needed(share: number): number {
    if (share !== this.#share) {
      this.#share = share
      this.#needed = requestsToJudge(this.#a, share, this.#alpha)
    }
    return this.#needed
  }

  mayAdvance(share: number): boolean {
    return this.#had >= this.needed(share)
  }

  state(share: number): HoldState {
    const needed = this.needed(share)
    const perSecond = this.#ticks === 0 ? 0 : (this.#requests / this.#ticks) * (1000 / this.#tickMs)
    // Below one request an hour there is no telling.
    const seconds = perSecond > 1 / 3600 ? Math.max(0, needed - this.#had) / perSecond : null
    return { needed, had: this.#had, seconds }
  }

  /** `held at 1 %: B has had 120 of the 570 requests …`; `null` where the ramp may advance. */
  words(share: number): string | null {
    if (this.mayAdvance(share)) return null
    const { needed, had, seconds } = this.state(share)
    const time = seconds === null ? 'B has no traffic at present' : `about ${timeText(seconds)} at the present traffic`
    const counts = `B has had ${countText(had)} of the ${countText(needed)} requests that it takes to judge it`
    return `held at ${rateText(share)}: ${counts}; ${time}`
  }
}
