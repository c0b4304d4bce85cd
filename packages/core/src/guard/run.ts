import { disown, isPromise } from '../hook.js'
import type { Delta } from './delta.js'
import type { GuardHost, ReleaseView } from './guard.js'
import { Hold } from './hold/hold.js'
import type { IdentityFilter } from './identity-filter.js'
import { Judge, type LnEvidence } from './judge.js'
import type { ResolvedGuardOptions } from './options.js'
import type { GuardReport } from './report.js'
import type { SavedActs, SavedRun } from './saved/saved-run.js'
import { identitiesNeeded } from './plan.js'
import { Sight, verdictOf } from './verdict.js'
import { countText, evidenceText, findingText, rateText } from './words.js'

/**
 * One run of a guard: from a start, or a change of the upstreams, to the next. Knows the evidence and what was done
 * about it.
 */
export class GuardRun {
  readonly #options: ResolvedGuardOptions
  readonly #host: GuardHost
  #judge: Judge
  #sight = new Sight()
  /** The evidence at which it acts. */
  #needed: number
  readonly hold: Hold
  #breached = false
  /** What the guard paused the release for. */
  #paused: 'evidence' | 'breach' | null = null
  /** A person resumed in spite of the evidence. */
  #overruled = false
  #reason: string | null = null

  constructor(options: ResolvedGuardOptions, host: GuardHost, tick: number) {
    const { needed, tickMs, latency, sticky } = options
    this.#options = options
    this.#host = host
    this.#needed = needed
    this.#judge = new Judge(options)
    // Where latency is watched too, half of α is left for errors.
    this.hold = new Hold(1 / (latency === false ? needed : 2 * needed), tickMs, sticky, tick)
  }

  /** True after a person resumed a release that was paused for a breach: what was judged is not judged again. */
  isOver({ state }: ReleaseView): boolean {
    return this.#paused === 'breach' && (state === 'running' || state === 'complete')
  }

  get ln(): LnEvidence {
    return this.#judge.ln
  }

  get needed(): number {
    return this.#needed
  }

  get breach(): Judge['breach'] {
    return this.#judge.breach
  }

  /** The memories of identities, whose content may be saved apart from the rest. */
  get filters(): readonly IdentityFilter[] {
    return this.#judge.filters
  }

  get acts(): SavedActs {
    return {
      breached: this.#breached,
      paused: this.#paused,
      overruled: this.#overruled,
      reason: this.#reason,
    }
  }

  /** Begins without evidence, of which `needed` is needed from now on. What was done stays done. */
  beginStage(needed: number): void {
    this.#needed = needed
    this.#judge = new Judge({ ...this.#options, needed })
    this.#sight = new Sight()
  }

  /** Between two ticks: with {@link restore} it goes on to the bit as it would have. */
  save(): SavedRun {
    return { judge: this.#judge.save(), sight: this.#sight.save(), acts: this.acts }
  }

  /** Before {@link restore}: the bits of `filters`, empty where there are none. */
  restoreFilters(bits: readonly Uint8Array[]): void {
    for (const [i, each] of bits.entries()) if (each.length > 0) this.filters[i]?.restoreBits(each)
  }

  /** Before the first tick only. Of a hold it restores no traffic. */
  restore({ judge, sight, acts }: SavedRun): void {
    this.#judge.restore(judge)
    this.#sight.restore(sight)
    this.restoreActs(acts)
    this.hold.goOn(this.#judge.a, this.#judge.b)
  }

  /** What was done stays done, without the evidence for it. */
  restoreActs({ breached, paused, overruled, reason }: SavedActs): void {
    this.#breached = breached
    this.#paused = paused
    this.#overruled = overruled
    this.#reason = reason
  }

  /** The release was paused in the guard's name by a process that ended before it could say so. */
  adoptPause(): void {
    this.#paused ??= 'evidence'
  }

  /** Another process found the breach. */
  concluded(reason: string): void {
    this.#breached = true
    this.#reason = reason
  }

  /** Takes what a tick saw; `open` is the one that begins. */
  score(delta: Delta, open: number): void {
    this.#judge.tick(delta)
    this.#sight.tick(delta)
    this.hold.tick(this.#judge.a, this.#judge.b, open)
  }

  /** Acts on the evidence as it is now. */
  act(view: ReleaseView, report: () => GuardReport): void {
    const { state } = view
    if (this.#breached || state === 'rolled-back' || state === 'promoted') return
    const { breach } = this.#judge
    if (breach === null) this.#pauseOrResume(view)
    else this.#breach(breach, state, report)
  }

  report(tick: number, { state, bucketsOnB, steps }: ReleaseView): Omit<GuardReport, 'hold' | 'lastFailure'> {
    const { errors, latency, combined } = this.#judge.ln
    const { judges, unit } = this.#options
    const needed = this.#needed
    const unseen = this.#judge.full || this.#sight.blindAt(tick, bucketsOnB / steps)
    const few = unseen ? null : this.#tooFew(bucketsOnB / steps)
    const verdict = verdictOf({
      breach: this.#breached,
      paused: this.#paused !== null && state === 'paused',
      blind: unseen || few !== null,
    })
    return {
      verdict,
      evidence: {
        errors: numberOf(errors),
        latency: latency === null ? null : numberOf(latency),
        combined: numberOf(combined),
      },
      needed,
      pValue: Math.min(1, judges * Math.exp(-this.#judge.lnHighest)),
      a: this.#judge.a,
      b: this.#judge.b,
      oddsRatio: this.#judge.oddsRatio,
      unit,
      reason: verdict === 'blind' ? (few ?? this.#reason) : this.#reason,
    }
  }

  /** Why silence of so few identities means nothing; `null` where it does, or where they are not what counts. */
  #tooFew(share: number): string | null {
    const { unit, errors, latency } = this.#options
    const needed = this.#needed
    if (unit !== 'identity') return null
    const wanted = identitiesNeeded(share, errors, latency === false ? needed : 2 * needed)
    const { identities } = this.#judge
    if (identities >= wanted) return null
    return `too few identities to judge: B has had ${countText(identities)}, and at ${rateText(share)} it takes ${countText(wanted)}`
  }

  #breach(kind: 'evidence' | 'hard-limit', state: ReleaseView['state'], report: () => GuardReport): void {
    const { onBreach } = this.#options
    const needed = this.#needed
    const evidence = `; evidence ${evidenceText(this.#judge.ln.combined)} against the ${evidenceText(Math.log(needed))} needed`
    const words = `${this.#finding()}${kind === 'evidence' ? evidence : ''}`
    this.#breached = true
    if (onBreach === 'rollback') {
      this.#host.rollback(this.#because(`rolled back: ${words}`))
    } else if (onBreach === 'pause') {
      this.#pauseForBreach(words, state)
    } else {
      this.#host.log(this.#because(`breach: ${words}`))
      const returned: unknown = onBreach(report())
      if (isPromise(returned)) disown(returned, (error) => this.#host.onError(error))
    }
  }

  #pauseForBreach(words: string, state: ReleaseView['state']): void {
    // A release whose ramp has ended has nothing to pause: a person is told.
    if (state === 'complete') return this.#host.log(this.#because(`breach: ${words}`))
    const reason = this.#because(`paused: ${words}`)
    if (state !== 'paused') this.#host.pause(reason)
    this.#paused = 'breach'
  }

  /** A pause on evidence is lifted by the guard or by a person; what a person lifted, the guard leaves alone. */
  #pauseOrResume({ state, ramping }: ReleaseView): void {
    const { pauseEvidence } = this.#options
    const needed = this.#needed
    const { combined } = this.#judge.ln
    const high = combined >= Math.log(pauseEvidence)
    if (this.#paused === 'evidence' && state !== 'paused') {
      this.#paused = null
      this.#overruled = true
    }
    if (!high) this.#overruled = false
    if (high && this.#paused === null && !this.#overruled && ramping && state === 'running') {
      const limits = `the ${evidenceText(Math.log(pauseEvidence))} that pause and the ${evidenceText(Math.log(needed))} that roll back`
      this.#paused = 'evidence'
      this.#host.pause(
        this.#because(`paused: ${this.#finding()}; evidence ${evidenceText(combined)} against ${limits}`),
      )
    } else if (!high && this.#paused === 'evidence') {
      this.#paused = null
      this.#host.resume(this.#because(`resumed: the evidence against B fell to ${evidenceText(combined)}`))
    }
  }

  #because(reason: string): string {
    this.#reason = reason
    return reason
  }

  #finding(): string {
    return findingText(this.#judge.finding, this.#options.tickMs)
  }
}

/** Evidence for JSON, which has no infinity. */
function numberOf(ln: number): number {
  return Math.min(Number.MAX_VALUE, Math.exp(ln))
}
