import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import { parseBranch, parseOptions } from '../../option-error.js'
import { functionSchema } from '../../schema.js'

/** A path and all below it, several of them, or what says it of a request. */
export type UpgradeClaims = string | readonly string[] | ((request: IncomingMessage) => boolean)

/** The options of `createServer` and `attachUpgrades`. */
export interface UpgradeOptions {
  /**
   * Which upgrades are the application's alone: a path such as `'/orders'` (and all below it, in either case of its
   * letters), a list of paths, or a function of the request that returns true or false. All others are left to the
   * server's other `upgrade` listeners, as if no canary were there; where there are none, the application answers them.
   *
   * @default all. Where somebody else listens too, the application is asked first, and what it answers 404 is theirs
   */
  readonly upgrades?: UpgradeClaims | undefined
}

const PATH = "must be a path that begins with /, such as '/orders', and has no *, ? or #"
const CLAIMS = "must be a path such as '/orders', a list of one path or more, or a function of the request"
const pathSchema = z.string({ error: CLAIMS }).regex(/^\/[^\s*?#]*$/, { error: PATH })
const pathsSchema = z.array(pathSchema).min(1, { error: CLAIMS })
const optionsSchema = z.strictObject({
  upgrades: z
    .unknown()
    .transform((value, context): UpgradeClaims => parseBranch(value, context, branchOf(value)))
    .optional(),
})

function branchOf(value: unknown): z.ZodType<UpgradeClaims> {
  if (typeof value === 'function') return functionSchema<Claim>()
  return Array.isArray(value) ? pathsSchema : pathSchema
}

/** Says of a request whether its upgrade is claimed. */
export type Claim = (request: IncomingMessage) => boolean

/**
 * Compiles the option `upgrades`; `null` where it is not given.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function compileClaims(options: UpgradeOptions): Claim | null {
  const { upgrades } = parseOptions(optionsSchema, options)
  if (upgrades === undefined) return null
  if (typeof upgrades === 'function') return upgrades
  const prefixes = (typeof upgrades === 'string' ? [upgrades] : upgrades).map(
    // With its slash at the end, so that `/orders` does not claim `/orders-old`.
    (path) => (path.endsWith('/') ? path : `${path}/`).toLowerCase(),
  )
  return ({ url }) => {
    const path = `${pathOf(url)}/`
    return prefixes.some((prefix) => path.startsWith(prefix))
  }
}

/** The path of a request's target, without origin and query. */
function pathOf(url = '/'): string {
  return url
    .replace(/^https?:\/\/[^/?#]*/i, '')
    .replace(/[?#].*/s, '')
    .toLowerCase()
}
