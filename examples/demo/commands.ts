import { RELEASE, consumerKey, consumerName } from './releases.js'

const SOMEBODY = 7

/** Lines for a shell. */
export interface Commands {
  readonly try: readonly string[]
  readonly operate: readonly string[]
}

/** What a reader may try while the demo runs; a test runs each line as printed. */
export function commandsOf({ gateway, admin }: { readonly gateway: string; readonly admin: string }): Commands {
  const release = `${admin}/canaries/${RELEASE}`
  return {
    try: [
      `curl -H 'apikey: ${consumerKey(SOMEBODY)}' ${gateway}/orders/1`,
      `curl -H 'x-canary: always' ${gateway}/orders/1`,
      `curl '${release}/explain?consumer=${consumerName(SOMEBODY)}'`,
    ],
    operate: [
      `curl -X PATCH ${admin}/plugins/${RELEASE} --data config.percentage=25`,
      `curl -X POST ${release}/rollback --data 'reason=just trying'`,
      `curl -X PATCH ${admin}/plugins/${RELEASE} --data config.percentage=50`,
      `curl -X POST ${release}/promote`,
    ],
  }
}
