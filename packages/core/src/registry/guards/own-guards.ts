import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { type Hash, isChosen, isSticky } from '../../decision/plan.js'
import {
  type Guard,
  type GuardHost,
  type MemberAbout,
  type ResolvedGuardOptions,
  type SavableGuard,
  type SavedGuard,
  createGuard,
  openGuard,
  resolveGuardOptions,
} from '../../guard/index.js'
import { unsigned } from '../../release/release-guard.js'
import { compileSettings } from '../../release/settings.js'
import { inRoot } from '../../request-context.js'
import type { GuardedPlugin } from '../live/live-guards.js'
import { nameOfRun } from '../records/made-move.js'
import { type ReleaseDefaults, optionsOf } from '../records/record-release.js'
import type { Row } from '../records/rows.js'
import type { SavedRuns } from '../records/store.js'
import { SerialQueue } from '../serial-queue.js'
import type { FleetMembership, RegistryGuards } from './registry-guards.js'

/** How often what changed is saved. */
const SAVE_MS = 60_000
/** Runs that are read at once. */
const AT_ONCE = 50

/** A run that an earlier process left. */
interface Left {
  readonly run: string
  readonly hash: Hash
  readonly guard: SavedGuard
}

interface Running {
  readonly plugin: GuardedPlugin
  readonly guard: SavableGuard
  readonly options: ResolvedGuardOptions
  readonly hash: Hash
  /** What it knew when it was saved last. */
  saved: string
}

/** The guards of a process that judges alone. Where the store keeps their runs, these outlive the process. */
export class OwnGuards implements RegistryGuards {
  readonly #runs: SavedRuns | null
  readonly #defaults: ReleaseDefaults
  readonly #about: MemberAbout
  readonly #report: (error: unknown) => void
  readonly #id = randomUUID()
  readonly #queue = new SerialQueue()
  readonly #left = new Map<string, Left>()
  readonly #running = new Map<string, Running>()
  #timer: NodeJS.Timeout | null = null

  constructor(runs: SavedRuns | null, about: MemberAbout, defaults: ReleaseDefaults, report: (error: unknown) => void) {
    this.#runs = runs
    this.#about = about
    this.#defaults = defaults
    this.#report = report
  }

  async open(plugins: readonly Row<'plugins'>[]): Promise<void> {
    const runs = this.#runs
    const { guard } = this.#defaults
    if (runs === null || guard === false || guard === undefined) return
    for (let at = 0; at < plugins.length; at += AT_ONCE) {
      const some = plugins.slice(at, at + AT_ONCE)
      // oxlint-disable-next-line no-await-in-loop -- files are opened some at a time
      await Promise.all(some.map((row) => this.#take(runs, row, guard)))
    }
    this.#timer = inRoot(() => setInterval(() => this.#saveAll(runs, false), SAVE_MS).unref())
  }

  make(plugin: GuardedPlugin, options: ResolvedGuardOptions, hash: Hash, host: GuardHost): Guard {
    const runs = this.#runs
    const { id } = plugin.row.entity
    if (runs === null) return createGuard(options, host)
    const left = this.#left.get(id)
    this.#left.delete(id)
    const goesOn = left?.run === nameOfRun(plugin.row) && isDeepStrictEqual(left.hash, hash)
    const guard = createGuard(options, this.#saving(id, runs, host), goesOn ? left.guard : null)
    this.#running.set(id, { plugin, guard, options, hash, saved: '' })
    return guard
  }

  gone(plugin: string): void {
    this.#running.delete(plugin)
    this.#left.delete(plugin)
    const runs = this.#runs
    if (runs !== null) void this.#queue.run(() => this.#try(() => runs.remove(plugin)))
  }

  fleetReport(): null {
    return null
  }

  async members(): Promise<readonly FleetMembership[]> {
    return [{ id: this.#id, self: true, ...this.#about, ageMs: 0, tickedAt: null, refused: 0, expired: 0 }]
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    const runs = this.#runs
    if (runs !== null) this.#saveAll(runs, true)
    await this.#queue.idle()
  }

  /** What the guard does is saved at once: its successor must know who paused a release, and why. */
  #saving(id: string, runs: SavedRuns, host: GuardHost): GuardHost {
    const after = (move: 'pause' | 'resume' | 'rollback') => (reason: string) => {
      host[move](reason)
      void this.#queue.run(() => this.#save(id, runs, false))
    }
    return { ...host, pause: after('pause'), resume: after('resume'), rollback: after('rollback') }
  }

  #saveAll(runs: SavedRuns, whole: boolean): void {
    for (const id of this.#running.keys()) void this.#queue.run(() => this.#save(id, runs, whole))
  }

  #save(id: string, runs: SavedRuns, whole: boolean): Promise<void> {
    return this.#try(async () => {
      const running = this.#running.get(id)
      if (running === undefined) return
      const { plugin, guard, options, hash } = running
      const { a, b, evidence, verdict, reason } = guard.report()
      const known = JSON.stringify([nameOfRun(plugin.row), a, b, evidence, verdict, reason])
      if (!whole && running.saved === known) return
      const text = await guard.save({ run: nameOfRun(plugin.row), options, hash }, whole)
      await runs.save(id, text)
      running.saved = known
    })
  }

  async #take(runs: SavedRuns, row: Row<'plugins'>, given: NonNullable<ReleaseDefaults['guard']>): Promise<void> {
    const { id } = row.entity
    await this.#try(async () => {
      const text = await runs.take(id)
      if (text === null || given === false) return
      const settings = compileSettings(optionsOf(row.entity, row.release, this.#defaults), () => {}, true)
      const hash = unsigned(settings.hash)
      const options = resolveGuardOptions(given, isSticky(hash), isChosen(hash))
      const run = nameOfRun(row)
      const guard = await openGuard(text, { run, options, hash })
      if (guard !== null) this.#left.set(id, { run, hash, guard })
    })
  }

  /** A run that cannot be saved or read is begun anew by the next process, and that is all. */
  async #try(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#report(error)
    }
  }
}
