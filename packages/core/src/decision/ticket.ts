import type { UpstreamName } from './decision.js'

/** What a guard knows one counted request by, from its decision to its end. The decision only carries it. */
export interface Ticket {
  readonly run: number
  /** The tick in which the request was decided. */
  readonly tick: number
  readonly arm: UpstreamName
  readonly bucketsOnB: number
  /** 0 where the arm was chosen by a group. */
  readonly steps: number
  readonly identity: string | null
  /** Stands for the identity among those of B whose requests are told apart; `null`: it is not among them. */
  readonly key: number | null
  ended: boolean
  failed: boolean
}
