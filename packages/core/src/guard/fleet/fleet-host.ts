import type { ReleaseView } from '../guard.js'

/** Where a release stands by its stored record: equal in all processes. */
export interface FleetView extends ReleaseView {
  /** Who made the last move; `null` before the first. */
  readonly by: 'guard' | 'person' | null
  /** How many buckets the record lets the ramp reach; `null` where it does not hold. */
  readonly gate: number | null
  readonly enabled: boolean
}

export type FleetMove = 'pause' | 'resume' | 'rollback'

/** A move that guards make together. */
export interface GuardMove {
  readonly move: FleetMove
  /** A whole sentence for people. */
  readonly reason: string
  /** The run that it is made on. */
  readonly run: string
  /** Whether it is for a breach: after such a pause, another run begins with a resume. */
  readonly breach: boolean
}

/**
 * What the guard of a release asks and tells the release, where several processes judge together. Moves and gates are
 * made on a run: where the stored record is in another one, or the move is not legal any more, they are dropped and the
 * record stands.
 */
export interface FleetHost {
  /** The run that the release is in, by its record: the UUID of the commit that began it. */
  run(): string
  view(): FleetView
  /** Resolves when the move is stored, or dropped; then `view()` says what became of it. Rejects where the store is away. */
  move(move: GuardMove): Promise<void>
  /** For a breach: in force in this process at once, and made on the run when the store is back. */
  moveLocally(move: FleetMove, reason: string, run: string): void
  /** Lets the ramp reach so many buckets. As `move`. */
  openGate(bucketsOnB: number, run: string): Promise<void>
  log(message: string): void
  onError(error: unknown): void
}
