import { z } from 'zod'
import { CanaryError } from '../../errors.js'
import {
  type Cell,
  type Delta,
  addFailures,
  addIdentityFailures,
  cellOf,
  createDelta,
  restoreLatencies,
  saveLatencies,
} from '../delta.js'

/** Shares that a delta may hold. */
const MOST_CELLS = 64
/** Characters of a delta as JSON. */
export const MOST_CHARACTERS = 65_536
/** Shares of which latencies are sent. */
const MOST_TIMED = 8
/** Identities of a kind that are sent; of more, those with the lowest hashes, which have nothing to do with the arm. */
const MOST_IDENTITIES = 512
/** Failures of identities, by identity and tick of decision. */
const MOST_FAILURES = 1024
/** Ticks of decision that failures are told apart by. */
const MOST_TICKS = 1000
/** Requests without identity are numbered below this one; of another member they are others. */
const UNNAMED = -(2 ** 40)
const PER_MEMBER = 2 ** 32

const count = z.int().min(0)
const pair = z.tuple([count, count])
const tick = z.int().min(0)
/** Bucket, count, bucket, count, … */
const histogram = z.array(count).max(2 * 288)
const hash = z
  .int()
  .min(-(2 ** 31))
  .max(2 ** 31 - 1)
/** Of an identity: negative beyond 32 bits for requests without one. */
const key = z
  .int()
  .min(-(2 ** 33))
  .max(2 ** 31 - 1)
/** Tick of the decision, failures of A, of B. */
const failures = z.array(z.tuple([tick, count, count])).max(MOST_TICKS)

const cellSchema = z.strictObject({
  share: z.tuple([count, z.int().min(1)]),
  decided: pair,
  ended: pair,
  failures,
  unnamed: pair.optional(),
  latencies: z.strictObject({ A: histogram, B: histogram }).optional(),
  failed: z.strictObject({ A: z.array(hash), B: z.array(hash) }).optional(),
  slowest: z.array(z.tuple([hash, count.max(2 * 288)])).optional(),
})

/** The form of a delta on its way: JSON, whole numbers only. */
export const publishedDeltaSchema = z.strictObject({
  member: z.string().min(1).max(100),
  /** The release's lasting id: the plugin's. */
  release: z.string().min(1).max(200),
  run: z.string().min(1).max(100),
  /** Of what must be equal to be judged together: the guard's options, the release's hash, this wire format. */
  hash: z.string().min(1).max(100),
  /** The tick that is counted. */
  tick,
  /** The member has published all up to this tick: `tick` itself, or a later one where it had nothing between. */
  through: tick,
  /** It counts nothing: from the tick after `through` on, the run waits for this member. */
  enters: z.literal(true).optional(),
  /** It is the member's last one. */
  leaves: z.literal(true).optional(),
  cells: z.array(cellSchema).max(MOST_CELLS),
  /** Requests whose arm a group chose. */
  chosen: z.strictObject({ decided: pair, failures }).optional(),
  /** Sticky hashes, of some identities: requests of theirs that were decided for B. */
  identitiesOfB: z
    .array(z.tuple([key, count]))
    .max(256)
    .optional(),
  /** Their failures: tick of the decision, identity, count. */
  failuresOfIdentities: z
    .array(z.tuple([tick, key, count]))
    .max(MOST_FAILURES)
    .optional(),
})

/** What one member counted of one release's run in a tick. Plain JSON. */
export type PublishedDelta = z.infer<typeof publishedDeltaSchema>
type PublishedCell = z.infer<typeof cellSchema>

/** Who publishes for which run. */
export type Sender = Pick<PublishedDelta, 'member' | 'release' | 'run' | 'hash'>

/** A delta without counts. */
export function emptyDelta(sender: Sender, tick: number, through = tick): PublishedDelta {
  return { ...sender, tick, through, cells: [] }
}

/**
 * The form of what a member counted in a tick. What is more than it holds is left out by totals alone, never by arms or
 * outcomes: `left` remembers the shares of which requests were left out, and leaves out their failures too.
 */
export function toPublished(sender: Sender, delta: Delta, through: number, left: Set<number>): PublishedDelta {
  const cells = [...delta.cells]
    .filter(([share, cell]) => !isEmpty(cell) && !left.has(share))
    .sort(([a, one], [b, other]) => sizeOf(other) - sizeOf(one) || a - b)
  for (const [share] of cells.slice(MOST_CELLS)) left.add(share)
  const kept = cells.slice(0, MOST_CELLS).map(([, cell]) => cell)
  const whole = { ...bare(sender, delta, through, kept), ...identitiesIn(delta) }
  if (JSON.stringify(whole).length <= MOST_CHARACTERS) return whole
  return bare(sender, delta, through, kept, 0)
}

function bare(
  sender: Sender,
  { tick: counted, chosen }: Delta,
  through: number,
  cells: readonly Cell[],
  most = MOST_IDENTITIES,
): PublishedDelta {
  const wasChosen = chosen.decided.A + chosen.decided.B + chosen.failures.size > 0
  const each = Math.floor(most / Math.max(1, cells.length))
  return {
    ...emptyDelta(sender, counted, through),
    cells: cells.map((cell, i) => toCell(cell, each, most > 0 && i < MOST_TIMED)),
    ...(wasChosen && {
      chosen: { decided: [chosen.decided.A, chosen.decided.B], failures: toFailures(chosen.failures) },
    }),
  }
}

function identitiesIn({ identitiesOfB, failuresOfIdentities }: Delta): Partial<PublishedDelta> {
  const failed = [...failuresOfIdentities].flatMap(([decided, of]) =>
    [...of].map(([id, k]): [number, number, number] => [decided, shorten(id), k]),
  )
  return {
    ...(identitiesOfB.size > 0 && { identitiesOfB: [...identitiesOfB].map(([id, n]) => [shorten(id), n]) }),
    ...(failed.length > 0 && { failuresOfIdentities: failed.slice(-MOST_FAILURES) }),
  }
}

/**
 * What a member published, checked, as counts to be merged.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION for anything else than whole numbers that can be true
 */
export function checkedDelta(input: unknown): PublishedDelta {
  const checked = publishedDeltaSchema.safeParse(input)
  if (!checked.success) {
    const [issue] = checked.error.issues
    throw invalid(`${issue?.path.join('.') || 'delta'} ${issue?.message ?? 'must be valid'}`)
  }
  const delta = checked.data
  if (delta.through < delta.tick) throw invalid('through must not be before tick')
  const late = [...delta.cells, ...(delta.chosen === undefined ? [] : [delta.chosen])]
  if (late.some(({ failures: each }) => each.some(([decided]) => decided > delta.tick))) {
    throw invalid('failures must be of requests that were decided in this tick or before')
  }
  if (delta.failuresOfIdentities?.some(([decided]) => decided > delta.tick) === true) {
    throw invalid('failuresOfIdentities must be of requests that were decided in this tick or before')
  }
  const shares = new Set(delta.cells.map(({ share: [b, steps] }) => b / steps))
  if (shares.size < delta.cells.length) throw invalid('cells must be of different shares')
  for (const cell of delta.cells) checkCell(cell)
  const counts = delta.cells.length + (delta.chosen === undefined ? 0 : 1) + (delta.identitiesOfB?.length ?? 0)
  if (delta.enters === true && counts > 0) throw invalid('a delta that enters must not count')
  return delta
}

function checkCell({ share: [bucketsOnB, steps], ended, latencies }: PublishedCell): void {
  if (bucketsOnB > steps) throw invalid(`share must be at most ${steps} of ${steps} buckets, got ${bucketsOnB}`)
  for (const [i, arm] of (['A', 'B'] as const).entries()) {
    const timed = (latencies?.[arm] ?? []).reduce((sum, n, at) => (at % 2 === 1 ? sum + n : sum), 0)
    if (timed > (ended[i] ?? 0)) throw invalid('latencies must be of requests that ended')
  }
}

/** The counts of a delta, for merging with those of other members. */
export function fromPublished(delta: PublishedDelta, ordinal: number): Delta {
  // A run is one judge's: its number within this process says nothing.
  const counts = createDelta(0, delta.tick)
  for (const published of delta.cells) addCell(counts, published)
  if (delta.chosen !== undefined) {
    const [A, B] = delta.chosen.decided
    Object.assign(counts.chosen.decided, { A, B })
    for (const [decided, kA, kB] of delta.chosen.failures) addFailures(counts.chosen, decided, kA, kB)
  }
  for (const [id, n] of delta.identitiesOfB ?? []) counts.identitiesOfB.set(lengthen(id, ordinal), n)
  for (const [decided, id, k] of delta.failuresOfIdentities ?? []) {
    addIdentityFailures(counts, decided, lengthen(id, ordinal), k)
  }
  return counts
}

function addCell(counts: Delta, published: PublishedCell): void {
  const cell = cellOf(counts, ...published.share)
  const { decided, ended, unnamed, latencies, failed } = published
  Object.assign(cell.decided, { A: decided[0], B: decided[1] })
  Object.assign(cell.ended, { A: ended[0], B: ended[1] })
  if (unnamed !== undefined) Object.assign(cell.unnamedFailures, { A: unnamed[0], B: unnamed[1] })
  for (const [tick, kA, kB] of published.failures) addFailures(cell, tick, kA, kB)
  if (latencies !== undefined) cell.latencies = restoreLatencies(latencies)
  for (const arm of ['A', 'B'] as const) for (const id of failed?.[arm] ?? []) cell.failedIdentities.set(id, arm)
  for (const [id, packed] of published.slowest ?? []) cell.identityLatencies.set(id, packed)
}

/** How many requests a delta counts as decided. */
export function requestsIn({ cells, chosen }: PublishedDelta): number {
  return [...cells, ...(chosen === undefined ? [] : [chosen])].reduce((sum, { decided: [A, B] }) => sum + A + B, 0)
}

function isEmpty({ decided, ended, failures: failed }: Cell): boolean {
  return decided.A + decided.B + ended.A + ended.B === 0 && failed.size === 0
}

function sizeOf({ decided, ended }: Cell): number {
  return decided.A + decided.B + ended.A + ended.B
}

function toCell(cell: Cell, identities: number, timed: boolean): PublishedCell {
  const { bucketsOnB, steps, decided, ended, unnamedFailures: unnamed, latencies } = cell
  const failed = lowest(cell.failedIdentities, identities)
  const slowest = lowest(cell.identityLatencies, timed ? identities : 0)
  const of = (arm: 'A' | 'B') => failed.filter(([, each]) => each === arm).map(([id]) => id)
  return {
    share: [bucketsOnB, steps],
    decided: [decided.A, decided.B],
    ended: [ended.A, ended.B],
    failures: toFailures(cell.failures),
    ...(unnamed.A + unnamed.B > 0 && { unnamed: [unnamed.A, unnamed.B] }),
    ...(latencies !== null && timed && { latencies: saveLatencies(latencies) }),
    ...(failed.length > 0 && { failed: { A: of('A'), B: of('B') } }),
    ...(slowest.length > 0 && { slowest }),
  }
}

function toFailures(counted: Cell['failures']): [number, number, number][] {
  return [...counted].slice(-MOST_TICKS).map(([decided, { A, B }]) => [decided, A, B])
}

/** The entries with the lowest hashes, so that what is sent does not depend on the arm or on who came first. */
function lowest<Value>(identities: ReadonlyMap<number, Value>, most: number): [number, Value][] {
  return [...identities].sort(([a], [b]) => a - b).slice(0, most)
}

function shorten(id: number): number {
  return id < UNNAMED ? id - UNNAMED - 2 ** 31 : id
}

function lengthen(id: number, ordinal: number): number {
  return id < -(2 ** 31) ? UNNAMED + (id + 2 ** 31) - ordinal * PER_MEMBER : id
}

function invalid(message: string): CanaryError {
  return new CanaryError('ERR_CANARY_OPTION', message)
}
