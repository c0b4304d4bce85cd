import { CAP, ERROR_RATIOS } from './evidence.js'

/** An odds ratio that a ramp must not miss: see {@link requestsToJudge}. */
const WORTH_FINDING = 5

/**
 * About how many requests B needs before failures at rate `pB` instead of A's `pA` are found, at B's share `s`; rates
 * and share above 0 and below 1. The median of simulations lies within 15 % of it where failures are rare.
 * `Infinity` where B does not fail more than A.
 */
export function requestsNeeded(pA: number, pB: number, s: number, alpha = 0.01): number {
  const ratio = pB / (1 - pB) / (pA / (1 - pA))
  if (!(ratio > 1)) return Infinity
  const q0 = s
  const q1 = (s * ratio) / (s * ratio + 1 - s)
  const information = pB * Math.log(q1 / q0) + ((1 - s) / s) * pA * Math.log((1 - q1) / (1 - q0))
  return Math.log((2 * ERROR_RATIOS.length) / alpha) / information
}

/**
 * The requests B must have had before a ramp may leave the share `s`: enough to find that it fails with five times the
 * odds of A. What A itself does is estimated from its `n` requests with `k` failures, beginning with 0.1 %, which it is
 * always taken for at least.
 */
export function requestsToJudge(a: { readonly n: number; readonly k: number }, s: number, alpha: number): number {
  if (s <= 0 || s >= 1) return 0
  const pA = Math.min(0.5, Math.max(0.001, (a.k + 0.5) / (a.n + 500)))
  const odds = (WORTH_FINDING * pA) / (1 - pA)
  return Math.ceil(requestsNeeded(pA, odds / (1 + odds), s, alpha))
}

/**
 * How many identities B must have so that it would be found if all of them failed, and none of A's: of each only the
 * first failure counts. `needed` is the evidence that it takes.
 */
export function identitiesNeeded(
  share: number,
  { tolerate, minFailures }: { readonly tolerate: number; readonly minFailures: number },
  needed: number,
): number {
  if (share <= 0 || share >= 1) return Infinity
  const most = Math.max(...ERROR_RATIOS.map((ratio) => lnOfFailure(share, ratio, tolerate)))
  return Math.max(minFailures, Math.ceil(Math.log(2 * ERROR_RATIOS.length * needed) / most))
}

/** What one identity of B that fails says for odds that are `ratio` times the tolerated ones. */
function lnOfFailure(share: number, ratio: number, tolerate: number): number {
  const expected = Math.log1p(share * (ratio * tolerate - 1)) - Math.log1p(share * (tolerate - 1))
  return Math.min(CAP, Math.log(ratio) - expected)
}
