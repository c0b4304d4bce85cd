import type { ArmTotals, BegunStage } from './shared.js'

/** A number, and when it was reached by the store's clock. */
interface Arrival {
  readonly through: number
  readonly at: number
}

/** What is known of a run, apart from its members and the counts of its ticks. Plain JSON. */
export interface RunState {
  /** How many members were numbered. */
  ordinals: number
  /** The stages that are not trimmed. */
  stages: BegunStage[]
  stage: number
  /** Whether any counts were scored in the stage. */
  scored: boolean
  hash: string | null
  closed: number
  closedAt: number
  /** The log reaches back to the tick after this one. */
  trimmed: number
  /** When each tick that is not closed was first published by a member that takes part, ascending. */
  arrivals: Arrival[]
  /** Milliseconds that have passed in the run, however the store's clock was set back. */
  passed: number
  seen: number | null
  requests: number
  unscored: number
  late: number
  readonly totals: Writable<ArmTotals>
}

type Writable<Totals> = { readonly [Arm in keyof Totals]: { n: number; k: number } }

/** Of a run in which nothing was published. */
export function begunState(): RunState {
  return {
    ordinals: 0,
    stages: [],
    stage: 0,
    scored: false,
    hash: null,
    closed: -1,
    closedAt: 0,
    trimmed: -1,
    arrivals: [],
    passed: 0,
    seen: null,
    requests: 0,
    unscored: 0,
    late: 0,
    totals: { A: { n: 0, k: 0 }, B: { n: 0, k: 0 } },
  }
}
