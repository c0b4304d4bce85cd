import { requestsToJudge } from '../plan.js'
import { Presence } from './presence.js'
import type { ArmCount, GuardReport } from '../report.js'
import { countText, rateText, timeText } from '../words.js'

/** How much a tick counts in B's present traffic: about the last twenty matter. */
const FRESH = 0.05

export type HoldState = NonNullable<GuardReport['hold']>

/**
 * Keeps a ramp from advancing before B has had the requests that it takes to judge its present share.
 *
 * Identities keep to their buckets. Where no request has fallen into any bucket since the share that was judged last,
 * B serves the same identities as it did then: there is nothing to wait for, up to the next bucket that is used.
 */
export class Hold {
  readonly #alpha: number
  readonly #tickMs: number
  /** `null` where requests are not kept together by what they are. */
  #presence: Presence | null
  /** The tick that is counted now. */
  #open: number
  #had = 0
  #requests = 0
  #ticks = 0
  #a: ArmCount = { n: 0, k: 0 }
  #share = -1
  #needed = 0
  /** The buckets on B that were judged last, out of `#steps`. */
  #judged = 0
  #steps = 0

  constructor(alpha: number, tickMs: number, sticky: boolean, open: number) {
    this.#open = open
    this.#alpha = alpha
    this.#tickMs = tickMs
    this.#presence = sticky ? new Presence(tickMs, open) : null
  }

  /** Takes a request that was decided in the open tick; `bucket` is `null` where it has none. */
  note(bucket: number | null, steps: number): void {
    if (this.#presence === null) return
    if (steps !== this.#steps) this.#rescale(steps)
    this.#presence.note(bucket)
  }

  /** Goes on where a run had these counts: they say nothing of the present traffic. */
  goOn(a: ArmCount, b: ArmCount): void {
    this.#a = a
    this.#had = b.n
    this.#share = -1
  }

  /** Takes the counts of the run; `open` is the tick that begins. */
  tick(a: ArmCount, b: ArmCount, open: number): void {
    this.#requests = (1 - FRESH) * this.#requests + Math.max(0, b.n - this.#had)
    this.#ticks = (1 - FRESH) * this.#ticks + 1
    this.#had = b.n
    this.#a = a
    this.#share = -1
    this.#presence?.tick(open)
    this.#open = open
  }

  /** Requests that B needs in all before a share may be left. */
  needed(share: number): number {
    if (share !== this.#share) {
      this.#share = share
      this.#needed = requestsToJudge(this.#a, share, this.#alpha)
    }
    return this.#needed
  }

  /** How many buckets may be on B where the ramp has `from` of them there and would have `to`: `from` where it is held. */
  mayReach(from: number, to: number, steps: number): number {
    if (steps !== this.#steps) this.#rescale(steps)
    if (this.#had >= this.needed(from / steps)) {
      this.#judged = from
      return to
    }
    if (this.#presence === null) return from
    // A ramp that began anew may stand below what was judged.
    const first = this.#presence.firstUsed(Math.min(this.#judged, from))
    return first < from ? from : Math.max(from, Math.min(to, first + 1))
  }

  /** With other steps identities have other buckets: nothing is known of them. */
  #rescale(steps: number): void {
    this.#steps = steps
    this.#judged = 0
    if (this.#presence !== null) this.#presence = new Presence(this.#tickMs, this.#open)
  }

  state(share: number): HoldState {
    const needed = this.needed(share)
    const perSecond = this.#ticks === 0 ? 0 : (this.#requests / this.#ticks) * (1000 / this.#tickMs)
    // Below one request an hour there is no telling.
    const seconds = perSecond > 1 / 3600 ? Math.max(0, needed - this.#had) / perSecond : null
    return { needed, had: this.#had, seconds }
  }

  /** `held at 1 %: B has had 120 of the 570 requests …`; `null` where the ramp may advance. */
  words(bucketsOnB: number, steps: number): string | null {
    if (this.mayReach(bucketsOnB, bucketsOnB + 1, steps) > bucketsOnB) return null
    const share = bucketsOnB / steps
    const { needed, had, seconds } = this.state(share)
    const time = seconds === null ? 'B has no traffic at present' : `about ${timeText(seconds)} at the present traffic`
    const counts = `B has had ${countText(had)} of the ${countText(needed)} requests that it takes to judge it`
    return `held at ${rateText(share)}: ${counts}; ${time}`
  }
}
