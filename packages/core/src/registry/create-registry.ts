import { z } from 'zod'
import { parseOptions } from '../option-error.js'
import { attempt, errorText } from '../hook.js'
import type { Logger } from '../logger.js'
import { givenNumber } from '../release/given-number.js'
import { type GuardOptions, optionsHash, resolveGuardOptions } from '../guard/index.js'
import { functionSchema } from '../schema.js'
import { guardSchema, hasFunctions, loggerSchema } from '../release/options-schema.js'
import type { DeclaredRecords } from './change/declared.js'
import { describeDifference } from './declarative/declarative-difference.js'
import type { Registry } from './registry.js'
import { StoredRegistry } from './stored-registry.js'
import type { Store } from './records/store.js'

/** The options of {@link createRegistry}. */
export interface RegistryOptions {
  /** Required. Where records are kept: `memoryStore()`, `fileStore(path)` or a store of your own. */
  readonly store: Store
  /**
   * What the registry begins with if the store holds nothing yet: what `parseDeclarative` made. Later the store's records
   * count; if they differ from these, a warning says how.
   *
   * @default no records
   */
  readonly initial?: DeclaredRecords | undefined
  /**
   * How long a change may take, waiting for others and for the store included: milliseconds, 10 … 60 000. Then it is
   * refused with ERR_CANARY_STORE (503). @default 2000
   */
  readonly changeTimeoutMs?: number | undefined
  /**
   * A file that keeps the last state that was in force, so that a process can begin while the store is away: with what was
   * known, and without changes. It holds consumers' keys, and is for its owner only (0600). @default none
   */
  readonly cache?: string | undefined
  /**
   * Guards every release: `true`, or the guard's options. With a store that has `shared`, the processes on it judge
   * together: `judges` must be 1 then, and `errors.isFailure` needs `version`.
   *
   * @default false
   */
  readonly guard?: boolean | GuardOptions | undefined
  /**
   * Where messages go: pino, `console` or an object of your own.
   *
   * @default console
   */
  readonly logger?: Logger | undefined
  /**
   * Called with problems that no caller waits for: a store that stopped, a file that cannot be taken.
   *
   * @default the logger's `error`
   */
  readonly onError?: ((error: unknown) => void) | undefined
  /**
   * The time, in milliseconds since the epoch. Without effect with a store that has `shared`: its own clock counts then,
   * so that the processes on it show the same share.
   *
   * @default Date.now
   */
  readonly clock?: (() => number) | undefined
  /**
   * A random number n, 0 ≤ n < 1.
   *
   * @default Math.random
   */
  readonly random?: (() => number) | undefined
}

const isStore = (value: unknown): value is Store => hasFunctions(value, ['load', 'save', 'watch', 'audit', 'close'])
const isDeclarative = (value: unknown): value is DeclaredRecords =>
  typeof value === 'object' && value !== null && 'bodies' in value && Array.isArray(value.bodies)

const WANTED_TIMEOUT = 'must be a whole number of milliseconds, 10 … 60000'
const WANTED_CACHE = 'must be the path of a file'

const optionsSchema = z.strictObject({
  store: z.custom<Store>(isStore, { error: 'must be a store: memoryStore(), fileStore(path) or one of your own' }),
  initial: z.custom<DeclaredRecords>(isDeclarative, { error: 'must be what parseDeclarative made' }).optional(),
  changeTimeoutMs: z
    .int({ error: WANTED_TIMEOUT })
    .min(10, { error: WANTED_TIMEOUT })
    .max(60_000, { error: WANTED_TIMEOUT })
    .default(2_000),
  cache: z.string({ error: WANTED_CACHE }).min(1, { error: WANTED_CACHE }).optional(),
  guard: guardSchema,
  logger: loggerSchema.default(() => console),
  onError: functionSchema<(error: unknown) => void>().optional(),
  clock: functionSchema<() => number>().default(() => Date.now),
  random: functionSchema<() => number>().optional(),
})

/**
 * Opens a registry on a store.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION; ERR_CANARY_STORE where the store cannot be read or is damaged
 * @throws {ViolationError} where `initial` does not fit
 */
export async function createRegistry(options: RegistryOptions): Promise<Registry> {
  const { store, initial, guard, logger, onError, changeTimeoutMs, cache, ...given } = parseOptions(
    optionsSchema,
    options,
    'registry',
  )
  const report = (error: unknown) =>
    attempt(() => (onError === undefined ? logger.error(`canary registry: ${errorText(error)}`) : onError(error)))
  const shared = store.shared ?? null
  if (shared !== null && guard !== false) optionsHash(resolveGuardOptions(guard, true), null)
  const clock = shared === null ? givenNumber('clock', given.clock, Date.now, once(report)) : () => shared.now()
  const defaults = { guard, logger, onError, clock, random: given.random }
  const registry = new StoredRegistry(store, { defaults, changeTimeoutMs, cache: cache ?? null, report })
  try {
    const present = await registry.open()
    if (present && initial !== undefined) warnOfDifference(registry, initial, logger)
    if (!present && initial !== undefined) {
      await registry.change('initial', (draft) => {
        // Another process that began at the same time may have been faster.
        if (registry.version > 0) return
        for (const { kind, body } of initial.bodies) draft.create(kind, body)
      })
    }
  } catch (error) {
    await registry.close()
    throw error
  }
  return registry
}

/** Each request of a registry reads the clock: that it fails is told the first time. */
function once(report: (error: unknown) => void): (kind: string, error: unknown) => void {
  let told = false
  return (_kind, error) => {
    if (told) return
    told = true
    report(error)
  }
}

/** A file that was changed after the first start would be ignored without a word. */
function warnOfDifference(registry: Registry, initial: DeclaredRecords, logger: Logger): void {
  const difference = describeDifference(registry.diff(initial))
  if (difference === null) return
  logger.warn(
    `canary registry: the store already holds records, so \`initial\` is not taken, and it differs from them (${difference}). ` +
      'Take it with registry.sync or POST /config, or make the change through the Admin API.',
  )
}
