/**
 * `blind`: nothing can be concluded, as an arm has no traffic; no evidence is not health. `paused`: the guard holds the
 * ramp, on evidence. `breach`: B was found worse than A; stays until the guard begins anew.
 */
export type Verdict = 'ok' | 'paused' | 'breach' | 'blind'

/** Requests of one arm since the guard began, and the failed ones. */
export interface ArmCount {
  /** Requests. */
  readonly n: number
  /** Those of them that failed. */
  readonly k: number
}

/** What the guard knows, as of its last tick. JSON. */
export interface GuardReport {
  /** What it concludes. */
  readonly verdict: Verdict
  /** How much speaks for a B that is worse: 1 is none. */
  readonly evidence: {
    /** From failures. */
    readonly errors: number
    /** From latency; `null` if it is not watched. */
    readonly latency: number | null
    /** From both. */
    readonly combined: number
  }
  /** The combined evidence at which it acts. */
  readonly needed: number
  /** Anytime-valid: the probability of ever having seen as much evidence with a healthy B is at most this. */
  readonly pValue: number
  /** Requests of A. */
  readonly a: ArmCount
  /** Requests of B. */
  readonly b: ArmCount
  /** How many times A's odds of failing B's are, as an estimate; `null` without any failure. */
  readonly oddsRatio: number | null
  /** What counts as independent of each other. */
  readonly unit: 'request' | 'identity'
  /** The last thing the guard did or held, in words. */
  readonly reason: string | null
  /** What the application said of B's last failure, where it reports them itself. */
  readonly lastFailure: string | null
  /** With the option `hold`, why the ramp does not advance; `null` if it may. */
  readonly hold: {
    /** Requests that B needs for its present share to be judged. */
    readonly needed: number
    /** Requests that B had. */
    readonly had: number
    /** About how long the rest takes; `null` without traffic. */
    readonly seconds: number | null
  } | null
}
