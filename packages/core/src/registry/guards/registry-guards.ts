import type { FleetReport } from '../../guard/index.js'
import type { GuardedPlugin, LiveGuards } from '../live/live-guards.js'
import type { Row } from '../records/rows.js'

/** A process that has the registry's store open. */
export interface FleetMembership {
  /** A UUID, another one after each start. */
  readonly id: string
  /** Whether it is this process. */
  readonly self: boolean
  /** The host's name. */
  readonly host: string
  /** The process's number on its host. */
  readonly pid: number
  /** The version of canary-release that it runs; `unknown` in a bundle. */
  readonly version: string
  /** Milliseconds since the store heard of it: 10 000 and more means that it is gone, or cannot reach the store. */
  readonly ageMs: number
  /** When the store last took what it had counted, in milliseconds since the epoch; `null` before the first time. */
  readonly tickedAt: number | null
  /** Releases of which nothing counts that it counts, as the store refused it; its log says why. */
  readonly refused: number
  /** Releases that it enters again, as it was too late with what it had counted. */
  readonly expired: number
}

/** What all processes counted of a release in its present run of the guard. */
export interface FleetFigures {
  /** Requests of A and B that were decided, and those of them that failed. */
  readonly counts: FleetReport['totals']
  /** Requests among these that came too late to be judged. */
  readonly late: number
  /** The ids of the processes that take part and are alive, as `members()` lists them. */
  readonly members: readonly string[]
}

/** The guards of a registry, from when it opens to when it closes. */
export interface RegistryGuards extends LiveGuards {
  /** Before the first release is built. Never rejects. */
  open(plugins: readonly Row<'plugins'>[]): Promise<void>
  /** `null` where no other process judges with this one, or nothing is known yet. */
  fleetReport(plugin: GuardedPlugin): FleetReport | null
  /** @throws {CanaryError} ERR_CANARY_STORE */
  members(): Promise<readonly FleetMembership[]>
  /** Never rejects. */
  close(): Promise<void>
}
