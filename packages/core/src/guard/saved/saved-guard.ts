import { z } from 'zod'
import type { ResolvedGuardOptions } from '../options.js'
import type { GuardRun } from '../run.js'
import { hashOf } from '../fleet/options-hash.js'
import { openCheckpoint, sealCheckpoint } from './checkpoint.js'
import type { SavedRun } from './saved-run.js'

/** What names a run of a guard: only the same one goes on. */
export interface RunName {
  readonly run: string
  readonly options: ResolvedGuardOptions
  /** What the release hashes, as JSON. */
  readonly hash: unknown
}

/** A run as one process left it, for its successor. */
export interface SavedGuard {
  /** The last tick that it has scored. */
  readonly tick: number
  readonly saved: SavedRun
  readonly filters: readonly Uint8Array[]
  /**
   * Whether everything it had counted is in it. The process that died otherwise may have died because A failed: then the
   * evidence that is left says nothing, and only what the guard did is kept.
   */
  readonly whole: boolean
}

const schema = z.strictObject({
  format: z.literal(1),
  run: z.string(),
  options: z.string(),
  whole: z.boolean(),
  tick: z.int(),
  state: z.string(),
  identities: z.string().nullable(),
})

/** A run as text: some KB, and up to half a megabyte where it knows many identities. */
export async function sealGuard(
  { run, options, hash }: RunName,
  guard: GuardRun,
  tick: number,
  whole: boolean,
): Promise<string> {
  const of = hashOf(options, hash)
  const outgrown = guard.filters.some(({ isOutgrown }) => isOutgrown)
  const stage = { format: 1, stage: 1, begun: 0, hash: of, why: 'start', tick, run: guard.save() } as const
  const { state, identities } = await sealCheckpoint(tick, stage, outgrown ? guard.filters : null)
  return JSON.stringify({ format: 1, run, options: of, whole, tick, state, identities } satisfies z.infer<
    typeof schema
  >)
}

/**
 * Reads what {@link sealGuard} wrote; `null` where it is of another run or other options.
 *
 * @throws {Error} for anything else
 */
export async function openGuard(text: string, { run, options, hash }: RunName): Promise<SavedGuard | null> {
  const stored = schema.parse(JSON.parse(text))
  if (stored.run !== run || stored.options !== hashOf(options, hash)) return null
  const { saved, filters } = await openCheckpoint(stored)
  return saved.run === null ? null : { tick: stored.tick, saved: saved.run, filters, whole: stored.whole }
}

/** The same run as its next process must leave it behind if it dies. */
export function asUnfinished(text: string): string {
  return JSON.stringify({ ...schema.parse(JSON.parse(text)), whole: false })
}
