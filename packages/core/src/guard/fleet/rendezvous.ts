import { hashPrefix, hashWithPrefix } from '../../decision/murmur3.js'

/**
 * Members in the order in which they judge a run, by their hashes for it: runs are spread over the members, and few get
 * another judge when one comes or goes.
 */
export function rankedFor(run: string, members: readonly string[]): string[] {
  const prefix = hashPrefix(`judge\u0000${run}\u0000`)
  return members
    .map((member) => ({ member, hash: hashWithPrefix(prefix, member) >>> 0 }))
    .sort((a, b) => b.hash - a.hash || (a.member < b.member ? -1 : 1))
    .map(({ member }) => member)
}
