import type { Hash } from '../../decision/plan.js'
import {
  FleetGuard,
  type FleetHost,
  FleetMember,
  type FleetReport,
  type Guard,
  type GuardHost,
  type GuardMove,
  type KnownMember,
  type MemberAbout,
  type ResolvedGuardOptions,
  type Shared,
} from '../../guard/index.js'
import { inRoot } from '../../request-context.js'
import type { GuardedPlugin } from '../live/live-guards.js'
import { nameOfRun } from '../records/made-move.js'
import { lifeStateOf } from '../records/record-release.js'
import type { StoredRecord } from '../records/rows.js'
import type { FleetMembership, RegistryGuards } from './registry-guards.js'

/** The changes that guards make together. They reject where the store is away. */
export interface FleetMoves {
  move(plugin: string, move: GuardMove): Promise<void>
  openGate(plugin: string, gate: number, run: string): Promise<void>
}

/** The guards of a process that shares its store with others: they judge together. */
export class FleetGuards implements RegistryGuards {
  readonly #shared: Shared
  readonly #member: FleetMember
  readonly #moves: FleetMoves
  readonly #guards = new WeakMap<GuardedPlugin, FleetGuard>()

  constructor(shared: Shared, about: MemberAbout, moves: FleetMoves, report: (error: unknown) => void) {
    this.#shared = shared
    this.#moves = moves
    this.#member = new FleetMember(shared, about, report)
  }

  /** Joins, so that the store's clock is known before the first request. Without the store it goes on by its own. */
  async open(): Promise<void> {
    await this.#member.step()
    inRoot(() => this.#member.start())
  }

  make(plugin: GuardedPlugin, options: ResolvedGuardOptions, hash: Hash, host: GuardHost): Guard {
    const release = plugin.row.entity.id
    const guard = new FleetGuard(options, { release, hash }, this.#hostOf(plugin, host), this.#member.register)
    this.#guards.set(plugin, guard)
    return guard
  }

  gone(): void {}

  fleetReport(plugin: GuardedPlugin): FleetReport | null {
    const report = this.#guards.get(plugin)?.fleet ?? null
    return report?.run === nameOfRun(plugin.row) ? report : null
  }

  async members(): Promise<readonly FleetMembership[]> {
    const { name } = this.#member
    return (await this.#member.members()).map((known) => membershipOf(known, known.member === name))
  }

  close(): Promise<void> {
    return this.#member.close()
  }

  #hostOf(plugin: GuardedPlugin, host: GuardHost): FleetHost {
    const { id } = plugin.row.entity
    return {
      run: () => nameOfRun(plugin.row),
      view: () => {
        const { entity, release } = plugin.row
        const view = host.view()
        const state = plugin.isAhead ? lifeStateOf(entity, release, this.#shared.now()) : view.state
        return { ...view, state, by: moverOf(release), gate: release?.gate ?? null, enabled: entity.enabled }
      },
      move: (move) => this.#moves.move(id, move),
      moveLocally: (move, reason, run) => {
        if (nameOfRun(plugin.row) === run) plugin.breach(() => host[move](reason))
      },
      openGate: (gate, run) => this.#moves.openGate(id, gate, run),
      log: (message) => host.log(message),
      onError: (error) => host.onError(error),
    }
  }
}

function membershipOf(known: KnownMember, self: boolean): FleetMembership {
  const { member, host, pid, version, ageMs, tickedAt, refused, expired } = known
  return { id: member, self, host, pid, version, ageMs, tickedAt, refused, expired }
}

function moverOf(record: StoredRecord | null): 'guard' | 'person' | null {
  const by = record?.by ?? null
  return by === null || by === 'guard' ? by : 'person'
}
