import type { Commit } from '@canary-release/core/registry'

/** How many are kept: what a change misses is most often what was committed while it was made. */
const KEPT = 128

/** The newest commits that this process has read: they need not be read again. */
export class RecentCommits {
  #epoch = ''
  readonly #commits = new Map<number, Commit>()

  add(epoch: string, commit: Commit): void {
    if (epoch !== this.#epoch) this.#commits.clear()
    this.#epoch = epoch
    this.#commits.set(commit.version, commit)
    this.#commits.delete(commit.version - KEPT)
  }

  /** The chain after one commit up to another; `null` where it is not known whole. */
  between(epoch: string, after: { readonly version: number; readonly id: string }, last: string, to: number) {
    if (epoch !== this.#epoch) return null
    const found: Commit[] = []
    let { id } = after
    for (let version = after.version + 1; version <= to; version += 1) {
      const commit = this.#commits.get(version)
      if (commit?.prev !== id) return null
      found.push(commit)
      id = commit.id
    }
    return id === last ? found : null
  }
}
