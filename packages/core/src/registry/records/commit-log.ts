import { WHOLE } from './conflict-keys.js'
import type { Commit, Position, Proposal, SaveResult } from './store.js'

/** How many commits are kept at least for those who stand on an older version. */
const KEPT = 1000

/** The newest commits of a history: they say what a change or a watcher missed, and whether a position is of it. */
export class CommitLog {
  #commits: Commit[] = []
  readonly #byId = new Map<string, Commit>()
  #head: Position

  /** @param at where the history stands */
  constructor(at: Position) {
    this.#head = at
  }

  get head(): Position {
    return this.#head
  }

  append(commit: Commit): void {
    this.#commits.push(commit)
    this.#byId.set(commit.id, commit)
    // In one go now and then, which is cheaper than one by one.
    if (this.#commits.length >= 2 * KEPT) {
      for (const { id } of this.#commits.splice(0, KEPT)) this.#byId.delete(id)
    }
    this.#head = { epoch: this.#head.epoch, version: commit.version, id: commit.id }
  }

  /** Something else is stored than what is known: what was before is no more, but for the commits that lead up to it. */
  restart(at: Position, commits: readonly Commit[] = []): void {
    this.#commits = [...commits]
    this.#byId.clear()
    for (const commit of commits) this.#byId.set(commit.id, commit)
    this.#head = at
  }

  /** What came after a position: `trimmed` where that is not known any more, `foreign` where it is of another history. */
  after(at: Position): readonly Commit[] | 'trimmed' | 'foreign' {
    const { epoch, version, id } = this.#head
    const isNowhere = at.epoch === '' && at.version === 0
    if ((at.epoch !== epoch && !isNowhere) || at.version > version) return 'foreign'
    if (at.version === version) return at.id === id ? [] : 'foreign'
    const index = this.#commits.length - (version - at.version)
    const next = this.#commits[index]
    if (index < 0 || next === undefined) return 'trimmed'
    return next.prev === at.id ? this.#commits.slice(index) : 'foreign'
  }

  /** What becomes of a proposal; `missed` alone where it may be committed now. */
  judge(proposal: Proposal): SaveResult | { readonly kind: 'free'; readonly missed: readonly Commit[] } {
    const { id, base, reads } = proposal
    const own = this.#byId.get(id)
    if (own !== undefined) {
      const missed = this.#commits.filter(({ version }) => version > base.version && version < own.version)
      return { kind: 'saved', at: { epoch: this.#head.epoch, version: own.version, id }, missed }
    }
    // The last of a history whose other commits are not known here.
    if (this.#head.id === id) return { kind: 'saved', at: this.#head, missed: [] }
    if (base.epoch === '' && this.#head.version > 0) return { kind: 'conflict', missed: null }
    const missed = this.after(base)
    if (missed === 'foreign') return { kind: 'rewound', stored: this.#head }
    if (missed === 'trimmed') return { kind: 'conflict', missed: null }
    if (missed.length === 0) return { kind: 'free', missed }
    const wanted = new Set(reads)
    const isInTheWay = ({ writes }: Commit) => wanted.has(WHOLE) || writes.some((key) => wanted.has(key))
    return { kind: missed.some(isInTheWay) ? 'conflict' : 'free', missed }
  }
}

/** A proposal as it is committed after a position. */
export function commitOf({ id, writes, changes, audit }: Proposal, after: Position): Commit {
  const version = after.version + 1
  return { id, prev: after.id, version, writes, changes, audit: { ...audit, version } }
}
