import { hashPrefix, hashWithPrefix } from '../../decision/murmur3.js'

/**
 * The member with the highest hash for a run, so that runs are spread over the members and few of them move when one
 * comes or goes; `null` without any.
 */
export function highestFor(run: string, members: readonly string[]): string | null {
  const prefix = hashPrefix(`judge\u0000${run}\u0000`)
  let highest: string | null = null
  let most = -1
  for (const member of members) {
    const hash = hashWithPrefix(prefix, member) >>> 0
    if (hash < most || (hash === most && highest !== null && member < highest)) continue
    highest = member
    most = hash
  }
  return highest
}
