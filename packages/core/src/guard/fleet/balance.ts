import type { PublishedDelta } from './published-delta.js'

/** What a member has decided under each share and not yet reported as failed: more cannot fail. */
export class Balance {
  /** By share; `NaN` would be equal to nothing, so those chosen by a group are under −1. */
  readonly #left: Map<number, readonly [number, number]>

  constructor(saved: readonly (readonly [share: number, A: number, B: number])[] = []) {
    this.#left = new Map(saved.map(([share, A, B]) => [share, [A, B]]))
  }

  /** As plain JSON. */
  save(): [share: number, A: number, B: number][] {
    return [...this.#left].map(([share, [A, B]]) => [share, A, B])
  }

  /** Takes a delta, or nothing of it: then says why. */
  take({ cells, chosen }: PublishedDelta): string | null {
    const counts = cells.map(({ share: [bucketsOnB, steps], ...cell }) => ({ share: bucketsOnB / steps, ...cell }))
    const all = chosen === undefined ? counts : [...counts, { share: -1, ...chosen }]
    const after = all.map(({ share, decided, failures }) => {
      const [A, B] = this.#left.get(share) ?? [0, 0]
      const kA = failures.reduce((sum, [, k]) => sum + k, 0)
      const kB = failures.reduce((sum, [, , k]) => sum + k, 0)
      return [share, [A + decided[0] - kA, B + decided[1] - kB]] as const
    })
    if (after.some(([, [A, B]]) => A < 0 || B < 0)) return 'failures must not be more than the requests decided'
    for (const [share, left] of after) this.#left.set(share, left)
    return null
  }
}
