import { Blocks } from './block.js'
import { type Delta, type Pair, addPair, failedOf } from './delta.js'
import { ErrorEvidence } from './error-evidence.js'
import { HardLimit, type Reached } from './hard-limit.js'
import { IdentityFilter } from './identity-filter.js'
import { LatencyEvidence, type SlowRequests } from './latency-evidence.js'
import type { ResolvedGuardOptions } from './options.js'
import type { ArmCount } from './report.js'
import type { SavedJudge } from './saved/saved-run.js'

/** What a judge looks at. */
export type JudgeOptions = Pick<ResolvedGuardOptions, 'unit' | 'sticky' | 'errors' | 'latency' | 'hardLimit' | 'needed'>

/** Evidence, in natural logarithms. `latency` is `null` where it is not watched. */
export interface LnEvidence {
  readonly errors: number
  readonly latency: number | null
  readonly combined: number
}

/** What speaks against B, for people to read. */
export type Finding =
  | { readonly kind: 'errors'; readonly a: ArmCount; readonly b: ArmCount; readonly ticks: number | null }
  | ({ readonly kind: 'latency' } & SlowRequests)
  | { readonly kind: 'hard-limit'; readonly b: Reached; readonly failureRate: number }

/** After as many requests that B should have had, or ticks, those that it has had are taken for all its identities. */
const ENOUGH_OF_B = 200
const ENOUGH_TICKS = 300

/** Judges a run of ticks, one after the other. Without clock or I/O: what it knows are the deltas. */
export class Judge {
  readonly #options: JudgeOptions
  readonly #blocks = new Blocks()
  readonly #errors: ErrorEvidence
  readonly #latency: LatencyEvidence | null
  readonly #hardLimit: HardLimit | null
  readonly #tellsApart: boolean
  readonly #identitiesOfB = new IdentityFilter()
  #identities = 0
  /** Requests that B would have had, were identities spread evenly. */
  #expectedOfB = 0
  #first = Infinity
  readonly #decided: Pair = { A: 0, B: 0 }
  readonly #failed: Pair = { A: 0, B: 0 }
  /** The same since the evidence of errors began to grow. */
  readonly #lately = { decided: { A: 0, B: 0 }, failed: { A: 0, B: 0 } }
  /** The tick after which they count; `null`: the whole run. */
  #since: number | null = null
  #tick = 0
  #lnHighest = 0

  constructor(options: JudgeOptions) {
    this.#options = options
    this.#errors = new ErrorEvidence(options.errors)
    this.#latency = options.latency === false ? null : new LatencyEvidence(options.latency)
    this.#tellsApart = options.unit === 'identity' || options.sticky
    this.#hardLimit = options.hardLimit === false ? null : new HardLimit(options.hardLimit, this.#tellsApart)
  }

  /** Requests of A in the run that were decided, and that failed. */
  get a(): ArmCount {
    return { n: this.#decided.A, k: this.#failed.A }
  }

  get b(): ArmCount {
    return { n: this.#decided.B, k: this.#failed.B }
  }

  /**
   * Half of each test's evidence: a mean of e-processes is one. Of identities, whose requests tell of each other, the
   * larger half alone: then each test keeps to its own half of α.
   */
  get ln(): LnEvidence {
    const errors = this.#errors.ln
    const latency = this.#latency?.ln ?? null
    return { errors, latency, combined: this.#combine(errors, latency) }
  }

  /** Never falls: the anytime-valid p-value is its inverse. */
  get lnHighest(): number {
    return this.#lnHighest
  }

  /** Whether B was found worse than A, at this tick. */
  get breach(): 'evidence' | 'hard-limit' | null {
    if (this.#isConclusive()) return 'evidence'
    return (this.#hardLimit?.reached ?? null) === null ? null : 'hard-limit'
  }

  /** How many identities B has had in the run; a request without one counts as one. */
  get identities(): number {
    return this.#identities
  }

  /** Whether the memory for identities that failed is spent, so that silence means nothing any more. */
  get full(): boolean {
    return this.#errors.full
  }

  get oddsRatio(): number | null {
    const ratio = this.#errors.rateRatio
    if (ratio === null) return null
    const pA = (this.#failed.A + 0.5) / (this.#decided.A + 1)
    const pB = Math.min(ratio * pA, 1 - 0.5 / (this.#decided.B + 1))
    return pB / (1 - pB) / (pA / (1 - pA))
  }

  /** What speaks loudest against B. */
  get finding(): Finding {
    const { errors, latency } = this.ln
    const { hardLimit } = this.#options
    const limit = this.#hardLimit?.reached ?? null
    if (!this.#isConclusive() && hardLimit !== false && limit !== null) {
      return { kind: 'hard-limit', b: limit, failureRate: hardLimit.failureRate }
    }
    if (this.#latency !== null && latency !== null && latency > errors)
      return { kind: 'latency', ...this.#latency.slow }
    const { decided, failed } = this.#lately
    return {
      kind: 'errors',
      a: { n: decided.A, k: failed.A },
      b: { n: decided.B, k: failed.B },
      ticks: this.#since === null ? null : this.#tick - this.#since,
    }
  }

  /** The memories of identities, whose content may be saved apart from the rest. */
  get filters(): readonly IdentityFilter[] {
    const latency = this.#latency === null ? [] : [this.#latency.filter]
    return [this.#identitiesOfB, this.#errors.filter, ...latency]
  }

  save(): SavedJudge {
    return {
      block: this.#blocks.save(),
      errors: this.#errors.save(),
      latency: this.#latency?.save() ?? null,
      hardLimit: this.#hardLimit?.save() ?? null,
      identitiesOfB: this.#identitiesOfB.save(),
      identities: this.#identities,
      expectedOfB: this.#expectedOfB,
      first: this.#first === Infinity ? null : this.#first,
      decided: { ...this.#decided },
      failed: { ...this.#failed },
      lately: { decided: { ...this.#lately.decided }, failed: { ...this.#lately.failed } },
      since: this.#since,
      tick: this.#tick,
      lnHighest: this.#lnHighest,
    }
  }

  /** Before the first tick only: goes on from what a judge with the same options saved. */
  restore(saved: SavedJudge): void {
    this.#blocks.restore(saved.block)
    this.#errors.restore(saved.errors)
    if (saved.latency !== null) this.#latency?.restore(saved.latency)
    if (saved.hardLimit !== null) this.#hardLimit?.restore(saved.hardLimit)
    this.#identitiesOfB.restore(saved.identitiesOfB)
    this.#identities = saved.identities
    this.#expectedOfB = saved.expectedOfB
    this.#first = saved.first ?? Infinity
    addPair(this.#decided, saved.decided)
    addPair(this.#failed, saved.failed)
    addPair(this.#lately.decided, saved.lately.decided)
    addPair(this.#lately.failed, saved.lately.failed)
    this.#since = saved.since
    this.#tick = saved.tick
    this.#lnHighest = saved.lnHighest
  }

  /** Takes the next tick. Ticks ascend; a delta is spent by it. */
  tick(delta: Delta): void {
    const { decided, failures } = delta.chosen
    if (delta.cells.size > 0 || decided.B > 0 || failures.size > 0) this.#watch(delta)
    if (delta.cells.size === 0) return
    this.#tick = delta.tick
    this.#count(delta)
    if (this.#options.unit === 'identity') {
      this.#errors.scoreIdentities(delta)
      this.#latency?.scoreIdentities(delta)
    } else {
      const strata = this.#blocks.take(delta)
      this.#errors.scoreRequests(strata)
      this.#latency?.scoreRequests(strata)
    }
    this.#forget()
    this.#lnHighest = Math.max(this.#lnHighest, this.ln.combined)
  }

  /** Few failures, or no more than B's share of them, conclude nothing: evidence of errors then counts as none. */
  #isConclusive(): boolean {
    const { errors, latency } = this.ln
    const usable = this.#errors.counts ? errors : Math.min(0, errors)
    return this.#combine(usable, latency) >= Math.log(this.#options.needed)
  }

  #combine(errors: number, latency: number | null): number {
    if (latency === null) return errors
    const high = Math.max(errors, latency)
    const rest = this.#options.unit === 'identity' ? 0 : Math.log1p(Math.exp(Math.min(errors, latency) - high))
    return high + rest - Math.LN2
  }

  #count(delta: Delta): void {
    for (const cell of delta.cells.values()) {
      const failed = failedOf(cell)
      addPair(this.#decided, cell.decided)
      addPair(this.#failed, failed)
      addPair(this.#lately.decided, cell.decided)
      addPair(this.#lately.failed, failed)
    }
  }

  /** What no comparison needs. */
  #watch(delta: Delta): void {
    this.#first = Math.min(this.#first, delta.tick)
    for (const { decided, bucketsOnB, steps } of delta.cells.values()) {
      if (bucketsOnB < steps) this.#expectedOfB += (decided.A * bucketsOnB) / (steps - bucketsOnB)
    }
    for (const identity of delta.identitiesOfB.keys()) if (this.#identitiesOfB.add(identity)) this.#identities += 1
    // At first, whoever asks most is all that B has.
    const known = this.#expectedOfB >= ENOUGH_OF_B || delta.tick - this.#first >= ENOUGH_TICKS
    this.#hardLimit?.tick(delta, known ? this.#identities : Infinity)
  }

  /** A regression after a long healthy time is told in its own figures, not in those of the whole run. */
  #forget(): void {
    if (!this.#errors.forgotten) return
    const lately = this.#lately
    for (const pair of [lately.decided, lately.failed]) pair.A = pair.B = 0
    this.#since = this.#tick
  }
}
