import { mergeDeltas } from '../delta.js'
import type { ReleaseView } from '../guard.js'
import type { ResolvedGuardOptions } from '../options.js'
import type { GuardReport } from '../report.js'
import { GuardRun } from '../run.js'
import { neededInStage } from './alpha.js'
import { fromPublished } from './published-delta.js'
import type { FleetView } from './fleet-host.js'
import { type Restored, type SavedStage, openCheckpoint, sealCheckpoint } from '../saved/checkpoint.js'
import type { BegunStage, Checkpoint, ClosedTick, RunPage, StoredVerdict } from './shared.js'

/** What a judgement asks for; it is made by others, who may fail. */
export type Act =
  | { readonly kind: 'pause' | 'resume' | 'rollback' | 'log'; readonly reason: string }
  | { readonly kind: 'call'; readonly report: GuardReport }

/** Ticks between two checkpoints. */
const CHECKPOINT_TICKS = 60
/** Ticks in which the filters of identities are saved at most once. */
const IDENTITIES_TICKS = 600
/** The part of a run's requests that may be missing without being said. */
const UNSCORED = 0.01

/**
 * A run as all processes counted it. What it finds is a function of the run's log alone: whoever reads the same log
 * finds the same, to the bit.
 */
export class MergedRun {
  readonly #options: ResolvedGuardOptions
  readonly #hash: string
  readonly #acts: Act[] = []
  #run: GuardRun
  #stage: BegunStage | null = null
  #tick = -1
  #closed = -1
  #savedAt = -1
  #identitiesAt = -Infinity
  #unscored = 0

  /** @param hash of the options: a stage of others is left alone */
  constructor(options: ResolvedGuardOptions, hash: string) {
    this.#hash = hash
    const { onBreach } = options
    const call = (report: GuardReport) => void this.#acts.push({ kind: 'call', report })
    this.#options = { ...options, onBreach: typeof onBreach === 'function' ? call : onBreach }
    this.#run = this.#newRun()
  }

  /** The last tick that it has seen closed. */
  get closed(): number {
    return this.#closed
  }

  get run(): GuardRun {
    return this.#run
  }

  get stage(): number {
    return this.#stage?.stage ?? 0
  }

  /** Whether the present stage is judged by these options. */
  get isOurs(): boolean {
    return this.#stage?.hash === this.#hash
  }

  /**
   * Reads on in the log.
   *
   * @throws {Error} for a checkpoint that cannot be read
   */
  async read(page: RunPage): Promise<void> {
    if (page.checkpoint !== null) this.#restore(await openCheckpoint(page.checkpoint), page.checkpoint.tick)
    for (const entry of page.entries) {
      if (entry.tick <= this.#closed) continue
      if (entry.kind === 'stage') this.#begin(entry)
      else if (this.isOurs) this.#score(entry)
    }
    this.#closed = Math.max(this.#closed, page.closed)
    this.#unscored = page.requests === 0 ? 0 : page.unscored / page.requests
    const { verdict } = page
    if (verdict !== null && !this.#run.acts.breached) this.#run.concluded(verdict.reason)
  }

  /** What is to be done about the evidence as it is now; nothing where it was judged by other options. */
  act(view: ReleaseView & { readonly by?: FleetView['by'] }): Act[] {
    this.#acts.length = 0
    // The judge that paused it died before it could save that it did.
    if (view.by === 'guard' && view.state === 'paused') this.#run.adoptPause()
    if (this.isOurs) this.#run.act(view, () => this.report(view))
    return this.#acts.splice(0)
  }

  /**
   * How many buckets the ramp may reach now; `null` where that is what its record says already. A record without a gate
   * gets one where the ramp stands; without `hold`, one that has a gate loses it.
   */
  nextGate({ state, ramping, bucketsOnB, steps, gate }: FleetView): number | null {
    if (!this.isOurs || state !== 'running' || !ramping) return null
    if (!this.#options.hold) return gate === null || gate >= steps ? null : steps
    if (gate === null) return Math.max(1, bucketsOnB)
    if (bucketsOnB < gate || gate >= steps) return null
    let next = gate
    while (next < steps && this.#run.hold.mayReach(next, next + 1, steps) > next) next += 1
    return next > gate ? next : null
  }

  /** The verdict of a breach that was just found. */
  verdict(kind: StoredVerdict['kind'], member: string): StoredVerdict {
    const { ln, needed, acts } = this.#run
    return {
      kind,
      tick: this.#tick,
      stage: this.stage,
      evidence: ln.combined,
      needed: Math.log(needed),
      reason: this.#withUnscored(acts.reason ?? 'rolled back'),
      member,
    }
  }

  report(view: ReleaseView): GuardReport {
    const report = this.#run.report(Math.max(0, this.#closed), view)
    const hold = this.#options.hold ? this.#run.hold.state(view.bucketsOnB / view.steps) : null
    const reason = report.reason === null ? null : this.#withUnscored(report.reason)
    return { ...report, reason, lastFailure: null, hold }
  }

  /** The checkpoint that is due; `null`: none. */
  async checkpoint(actsChanged: boolean): Promise<Checkpoint | null> {
    const stage = this.#stage
    if (stage === null || this.#closed <= this.#savedAt) return null
    if (!actsChanged && this.#closed - this.#savedAt < CHECKPOINT_TICKS) return null
    const outgrown = this.#run.filters.some(({ isOutgrown }) => isOutgrown)
    if (outgrown && this.#closed - this.#identitiesAt < IDENTITIES_TICKS) return null
    const { tick, hash, why } = stage
    const saved: SavedStage = { format: 1, stage: stage.stage, begun: tick, hash, why, tick: this.#tick, run: null }
    const run = this.isOurs ? this.#run.save() : null
    return sealCheckpoint(this.#closed, { ...saved, run }, this.isOurs && outgrown ? this.#run.filters : null)
  }

  /** A checkpoint was stored, or a later one was there already. */
  saved({ tick, identities }: Checkpoint, stored: boolean): void {
    this.#savedAt = tick
    if (!stored || identities === null || tick !== this.#closed) return
    this.#identitiesAt = tick
    for (const filter of this.#run.filters) filter.rebase()
  }

  #restore({ saved, filters }: Restored, tick: number): void {
    const { stage, begun, hash, why, run } = saved
    this.#run = this.#newRun()
    this.#begin({ kind: 'stage', stage, tick: begun, hash, why })
    this.#tick = saved.tick
    this.#closed = this.#savedAt = tick
    if (run === null || !this.isOurs) return
    this.#run.restoreFilters(filters)
    this.#run.restore(run)
    if (filters.length > 0) this.#identitiesAt = tick
  }

  #begin(stage: BegunStage): void {
    this.#stage = stage
    this.#run.beginStage(neededInStage(stage.stage, this.#options.alpha))
  }

  #score({ tick, deltas }: ClosedTick): void {
    const counts = deltas.map(({ ordinal, delta }) => fromPublished(delta, ordinal))
    if (counts.length === 0) return
    this.#tick = tick
    this.#run.score(mergeDeltas(counts), tick + 1)
  }

  #withUnscored(reason: string): string {
    if (this.#unscored <= UNSCORED) return reason
    return `${reason}; ${(100 * this.#unscored).toFixed(1)} % of the run's requests were not scored`
  }

  #newRun(): GuardRun {
    const push = (kind: 'pause' | 'resume' | 'rollback' | 'log') => (reason: string) =>
      void this.#acts.push({ kind, reason })
    const host = {
      now: () => 0,
      view: (): ReleaseView => ({ state: 'running', ramping: false, bucketsOnB: 0, steps: 1 }),
      pause: push('pause'),
      resume: push('resume'),
      rollback: push('rollback'),
      log: push('log'),
      onError: () => {},
    }
    return new GuardRun(this.#options, host, 0)
  }
}
