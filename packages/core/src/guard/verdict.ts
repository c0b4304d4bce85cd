import type { Delta } from './delta.js'
import type { Verdict } from './report.js'
import type { SavedSight } from './saved/saved-run.js'

/** Ticks without an outcome after which an arm counts as unseen. */
const SILENCE = 60

/** Knows whether both arms can be seen at all. */
export class Sight {
  #lastOfA = -Infinity
  #lastOfB = -Infinity

  tick(delta: Delta): void {
    for (const { ended } of delta.cells.values()) {
      if (ended.A > 0) this.#lastOfA = delta.tick
      if (ended.B > 0) this.#lastOfB = delta.tick
    }
  }

  save(): SavedSight {
    const finite = (tick: number) => (Number.isFinite(tick) ? tick : null)
    return { lastOfA: finite(this.#lastOfA), lastOfB: finite(this.#lastOfB) }
  }

  restore({ lastOfA, lastOfB }: SavedSight): void {
    this.#lastOfA = lastOfA ?? -Infinity
    this.#lastOfB = lastOfB ?? -Infinity
  }

  blindAt(tick: number, share: number): boolean {
    return share <= 0 || share >= 1 || tick - Math.min(this.#lastOfA, this.#lastOfB) > SILENCE
  }
}

/** A breach outlasts everything, then a pause; what is not seen is not healthy. */
export function verdictOf(is: {
  readonly breach: boolean
  readonly paused: boolean
  readonly blind: boolean
}): Verdict {
  if (is.breach) return 'breach'
  if (is.paused) return 'paused'
  return is.blind ? 'blind' : 'ok'
}
