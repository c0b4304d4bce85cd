import { CanaryError } from '@canary-release/core'
import {
  type Checkpoint,
  type Published,
  type PublishedDelta,
  type RunPage,
  type StoredVerdict,
  pageOf,
} from '@canary-release/core/guard/internal'
import { comparable } from '../encoded.js'
import { LoadedRun, type Range, type RunChanges } from './loaded-run.js'
import { DAMAGED, type RunTables, type Surroundings } from './run-tables.js'

/** What is asked of a run, and who is to be answered. */
export type RunCall = {
  readonly run: string
  readonly reject: (error: unknown) => void
} & (Publishing | Closing | Concluding | Checkpointing)

export interface Publishing {
  readonly kind: 'publish'
  /** `null`: of no release that can be known. */
  readonly release: string | null
  /** What was counted, or whose delta is refused and why. */
  readonly counted: PublishedDelta | { readonly member: string; readonly refused: string }
  readonly answer: (published: Published) => void
}

interface Closing {
  readonly kind: 'close'
  readonly after: number
  readonly answer: (page: RunPage) => void
}

interface Concluding {
  readonly kind: 'conclude'
  readonly verdict: StoredVerdict
  readonly answer: (told: 'first' | StoredVerdict) => void
}

interface Checkpointing {
  readonly kind: 'checkpoint'
  readonly checkpoint: Checkpoint
  readonly answer: (taken: boolean) => void
}

/** Reads the server's time with all else, and gives that by which ticks expire. */
export type Timed = (ask: () => Promise<Surroundings>) => Promise<Surroundings>

/**
 * Does what is asked of runs in one transaction, in the order of the calls; pages come last, as they are read when all
 * else is written. Nobody is answered before it is committed.
 */
export async function runBatch(tables: RunTables, calls: readonly RunCall[], timed: Timed): Promise<void> {
  const names = [...new Set(calls.map(({ run }) => comparable(run)))]
  const releases = new Set<string>()
  for (const call of calls) {
    if (call.kind === 'publish' && call.release !== null) releases.add(comparable(call.release))
  }
  const stored = await tables.lock(names)
  const around = await timed(() => tables.read(names, [...releases]))
  const runs = new Map<string, LoadedRun>()
  const damaged = new Map<string, unknown>()
  for (const { name, state, verdict } of stored) {
    try {
      runs.set(name, new LoadedRun(state, verdict, around.members.get(name) ?? '[]'))
    } catch (error) {
      // Other runs go on.
      damaged.set(name, error)
    }
  }
  const begun = new Map<string, string>()
  const answers: (() => void)[] = []
  const closing: ClosingRun[] = []
  for (const call of calls) {
    const name = comparable(call.run)
    const loaded = runs.get(name)
    if (loaded === undefined) {
      const cause = damaged.get(name)
      answers.push(() => call.reject(new CanaryError('ERR_CANARY_STORE', DAMAGED, { cause })))
    } else if (call.kind === 'close') closing.push({ ...call, loaded, name })
    else answers.push(done(call, loaded, around, begun))
  }
  for (const { loaded } of closing) loaded.rules.close(around.time)
  const changed: (readonly [string, RunChanges])[] = []
  for (const [name, loaded] of runs) {
    const changes = loaded.changes()
    if (changes !== null) changed.push([name, changes])
  }
  await tables.write(around.time, changed, begun)
  answers.push(...(await pages(tables, closing)))
  await tables.end()
  for (const answer of answers) answer()
}

interface ClosingRun extends Closing {
  readonly name: string
  readonly loaded: LoadedRun
}

/** Reads what is asked of closed ticks; gives what answers it. */
async function pages(tables: RunTables, closing: readonly ClosingRun[]): Promise<(() => void)[]> {
  const ranges = new Map<string, Range>()
  for (const { name, loaded, after } of closing) {
    const { closed, trimmed } = loaded.rules.state
    const from = Math.max(trimmed, Math.min(after, ranges.get(name)?.[0] ?? after))
    if (from < closed) ranges.set(name, [from, closed])
  }
  const ticks = await tables.ticks(ranges)
  const isBefore = closing.filter(({ loaded, after }) => after < loaded.rules.state.trimmed)
  const checkpoints = await tables.checkpoints(isBefore.map(({ name }) => name))
  return closing.map(({ name, loaded, after, answer }) => {
    const ofPage = (ticks.get(name) ?? []).filter(({ tick }) => tick > after)
    const page = pageOf(loaded.rules, after, ofPage, checkpoints.get(name) ?? null, loaded.verdict)
    return () => answer(page)
  })
}

/** Does a call; gives what answers it. */
function done(
  call: Exclude<RunCall, Closing>,
  loaded: LoadedRun,
  around: Surroundings,
  begun: Map<string, string>,
): () => void {
  switch (call.kind) {
    case 'publish': {
      const published = publish(call.run, call, loaded, around, begun)
      return () => call.answer(published)
    }
    case 'conclude': {
      const told = loaded.conclude(call.verdict)
      return () => call.answer(told)
    }
    case 'checkpoint': {
      const taken = loaded.checkpoint(call.checkpoint)
      return () => call.answer(taken)
    }
  }
}

function publish(
  run: string,
  { release, counted }: Publishing,
  { rules }: LoadedRun,
  { time, runsOfRows, runsOfReports }: Surroundings,
  begun: Map<string, string>,
): Published {
  if (release !== null) {
    const key = comparable(release)
    const current = runsOfRows.get(key)
    // A release that has begun another run says so in its row.
    if (typeof current === 'string' && current !== run) {
      return { kind: 'stale-run', ordinal: 0, closed: -1, reason: null }
    }
    if ((begun.get(key) ?? runsOfReports.get(key)) !== comparable(run)) begun.set(key, comparable(run))
  }
  return 'refused' in counted ? rules.refuse(counted.member, counted.refused, time) : rules.publish(counted, time)
}
