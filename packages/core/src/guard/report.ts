/**
 * `blind`: nothing can be concluded, as an arm has no traffic; no evidence is not health. `paused`: the guard holds the
 * ramp, on evidence. `breach`: B was found worse than A; stays until the guard begins anew.
 */
export type Verdict = 'ok' | 'paused' | 'breach' | 'blind'

/** Requests of one arm since the guard began, and the failed ones. */
export interface ArmCount {
  readonly n: number
  readonly k: number
}

/** What the guard knows, as of its last tick. JSON. */
export interface GuardReport {
  readonly verdict: Verdict
  /** 1 is none. `latency` is `null` where it is not watched. */
  readonly evidence: { readonly errors: number; readonly latency: number | null; readonly combined: number }
  /** The combined evidence at which it acts. */
  readonly needed: number
  /** Anytime-valid: the probability of ever having seen as much evidence with a healthy B is at most this. */
  readonly pValue: number
  readonly a: ArmCount
  readonly b: ArmCount
  /** How many times A's odds of failing B's are, as an estimate; `null` without any failure. */
  readonly oddsRatio: number | null
  readonly unit: 'request' | 'identity'
  /** The last thing the guard did or held, in words. */
  readonly reason: string | null
  /** What the application said of B's last failure, where it reports them itself. */
  readonly lastFailure: string | null
  /** With `hold`: how many requests B needs for its present share to be judged, how many it had, and about how long the rest takes (`null`: no traffic). */
  readonly hold: { readonly needed: number; readonly had: number; readonly seconds: number | null } | null
}
