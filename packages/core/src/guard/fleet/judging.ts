import { disown, isPromise } from '../../hook.js'
import type { ResolvedGuardOptions } from '../options.js'
import type { GuardReport } from '../report.js'
import type { FleetHost } from './fleet-host.js'
import type { FoundAlone } from './local-run.js'
import { type Act, MergedRun } from './merged-run.js'
import type { Participation } from './participation.js'
import { rankedFor } from './rendezvous.js'
import { EXPIRY_MS, type RunPage, type Shared, type StoredVerdict } from './shared.js'

/** Ticks that may stay open before the next in the row takes the turns of the chosen member. */
const LAG = 3

/** What a turn needs. */
export interface Bench {
  readonly shared: Shared
  /** The members that were heard of lately. */
  readonly alive: readonly string[]
  readonly participation: Participation
  readonly member: string
  readonly host: FleetHost
}

/**
 * A process's turns as judge of a run. Which process judges is economy only: two find the same, the verdict that is
 * stored first counts, and whoever reads it makes the move if it is not made yet.
 */
export class Judging {
  readonly #options: ResolvedGuardOptions
  readonly #hash: string
  #merged: MergedRun
  /** What the process found while it judged alone. */
  #alone: FoundAlone | null = null
  /** What was found and is not done yet: the store may be away between any two calls. */
  #verdict: StoredVerdict | null = null
  #acts: Act[] = []
  #enforced = false
  /** Whose turns it takes, as ticks stay open that could be closed. */
  #stoodInFor: string | null = null

  constructor(options: ResolvedGuardOptions, hash: string) {
    this.#options = options
    this.#hash = hash
    this.#merged = new MergedRun(options, hash)
  }

  report(host: FleetHost): GuardReport {
    return this.#merged.report(host.view())
  }

  /** While the store was away, the process found a breach of the run alone; what it did about it stands. */
  foundAlone(found: FoundAlone): void {
    this.#alone = found
  }

  /** Reads on in the log and acts on it, if it is this process's turn: then gives what it knows. */
  async turn(bench: Bench): Promise<GuardReport | null> {
    const { shared, participation, host } = bench
    const { run } = participation
    if (this.#alone !== null) await this.#concludeAlone(this.#alone, bench)
    if (!this.#isTurn(bench)) return null
    const page = await shared.closeTick(run, this.#merged.closed)
    await this.#read(page, host)
    // The store was slow, and the release has begun another run.
    if (host.run() !== run) return null
    const before = JSON.stringify(this.#merged.run.acts)
    if (page.verdict === null) await this.#act(bench)
    else await this.#enforce(page.verdict, bench)
    const view = host.view()
    const gate = this.#merged.nextGate(view)
    if (gate !== null) await host.openGate(gate, run)
    const checkpoint = await this.#merged.checkpoint(before !== JSON.stringify(this.#merged.run.acts))
    if (checkpoint !== null) this.#merged.saved(checkpoint, await shared.checkpoint(run, checkpoint))
    return this.#merged.isOurs ? this.#merged.report(view) : null
  }

  #isTurn({ alive, participation, member }: Bench): boolean {
    const { run, tick, closed, isWaiting } = participation
    const whole = tick - 1 - closed
    // Whose options are not those of the run only sees to it that others can take over.
    if (isWaiting) return whole * this.#options.tickMs > EXPIRY_MS
    const ranked = rankedFor(run, alive)
    const rank = ranked.indexOf(member)
    if (rank === 0) return true
    if (this.#stoodInFor !== null && (this.#stoodInFor !== ranked[0] || closed > this.#merged.closed)) {
      this.#stoodInFor = null
    }
    if (this.#stoodInFor === null && rank > 0 && whole > LAG * (rank + 1)) this.#stoodInFor = ranked[0] ?? null
    return this.#stoodInFor !== null
  }

  async #read(page: RunPage, host: FleetHost): Promise<void> {
    try {
      await this.#merged.read(page)
    } catch (error) {
      // Without what was saved, it can judge no earlier than from the next stage on.
      host.onError(error)
      this.#merged = new MergedRun(this.#options, this.#hash)
      await this.#merged.read({ ...page, checkpoint: null })
    }
  }

  /** Finds what is to be done, and does it; what fails is tried again in the next turn. */
  async #act({ shared, participation, member, host }: Bench): Promise<void> {
    const { run } = participation
    if (this.#acts.length === 0) {
      const known = this.#merged.run.acts.breached
      this.#acts = this.#merged.act(host.view())
      if (!known && this.#merged.run.acts.breached) {
        this.#verdict = this.#merged.verdict(this.#merged.run.breach ?? 'evidence', member)
      }
    }
    if (this.#verdict !== null) {
      const found = this.#verdict
      const answer = await shared.conclude(run, found)
      const acts = this.#acts
      this.#verdict = null
      this.#acts = []
      const isOurs = answer === 'first' || (answer.member === found.member && answer.tick === found.tick)
      if (isOurs) for (const act of acts) this.#tell(act, host)
      return this.#enforce(answer === 'first' ? found : answer, { shared, participation, member, host, alive: [] })
    }
    for (;;) {
      const act = this.#acts[0]
      if (act === undefined) return
      if (act.kind === 'log' || act.kind === 'call') this.#tell(act, host)
      else await host.move({ move: act.kind, reason: act.reason, run, breach: false })
      this.#acts.shift()
    }
  }

  #tell(act: Act, host: FleetHost): void {
    if (act.kind === 'log') host.log(act.reason)
    else if (act.kind === 'call') callBreach(this.#options.onBreach, act.report, host)
  }

  /** Makes the move that a verdict asks for, once, whoever found it. */
  async #enforce({ reason }: StoredVerdict, { participation, host }: Bench): Promise<void> {
    if (this.#enforced) return
    const { state } = host.view()
    const { onBreach } = this.#options
    const isOver = state === 'rolled-back' || state === 'promoted'
    const made = { reason, run: participation.run, breach: true }
    if (onBreach === 'rollback' && !isOver) await host.move({ move: 'rollback', ...made })
    if (onBreach === 'pause' && state === 'running') await host.move({ move: 'pause', ...made })
    this.#enforced = true
  }

  async #concludeAlone(found: FoundAlone, { shared, participation, member }: Bench): Promise<void> {
    const { reason, evidence, needed } = found
    const verdict = {
      kind: 'local',
      stage: this.#merged.stage,
      tick: found.tick,
      evidence,
      needed,
      reason,
      member,
    } as const
    await shared.conclude(participation.run, verdict)
    this.#alone = null
  }
}

/** Calls an application's function for a breach; what it throws is reported. */
export function callBreach(onBreach: ResolvedGuardOptions['onBreach'], report: GuardReport, host: FleetHost): void {
  if (typeof onBreach !== 'function') return
  try {
    const returned: unknown = onBreach(report)
    if (isPromise(returned)) disown(returned, (error) => host.onError(error))
  } catch (error) {
    host.onError(error)
  }
}
