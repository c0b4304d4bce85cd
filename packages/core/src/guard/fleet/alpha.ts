/** What of α the merged counts are judged by; the rest is for processes that judge alone while the store is away. */
const MERGED = 0.9

/**
 * How many times more evidence the n-th stage of a run needs than the first would alone: the inverses sum to 1, so that
 * all stages together raise a false alarm with no more than the probability α. The first, which is most often the only
 * one, gets three quarters of it.
 */
export function stageFactor(stage: number): number {
  return stage === 1 ? 4 / 3 : 4 * stage * (stage - 1)
}

/** The evidence that the merged counts need in the n-th stage of a run. */
export function neededInStage(stage: number, alpha: number): number {
  return stageFactor(stage) / (MERGED * alpha)
}

/** The evidence that the j-th member of a run needs alone: the inverses of j(j + 1) sum to 1. */
export function neededAlone(ordinal: number, alpha: number): number {
  return (ordinal * (ordinal + 1)) / ((1 - MERGED) * alpha)
}
