import { NOWHERE, type Position, type Store } from '@canary-release/core/registry'
import { until } from '../../../test/servers/processes.js'
import type { Engine } from '../engines/engine.js'
import { type Measure, never } from './measure.js'
import { proposalOf, serviceChange } from './records.js'

/** How many changes are acknowledged before the next blow. */
const BETWEEN = 50

/** Makes changes one after another, until it is told to stop, and remembers which were acknowledged. */
function write(store: Store, from: Position, acknowledged: Set<string>, over: AbortSignal): Promise<Position> {
  return (async () => {
    let at = from
    while (!over.aborted) {
      const proposal = proposalOf(at, [serviceChange(1, `host-${acknowledged.size}`)], 'bench')
      // oxlint-disable-next-line no-await-in-loop -- each is made on the one before
      const result = await store.save(proposal).catch(() => null)
      if (result?.kind === 'saved') {
        acknowledged.add(proposal.id)
        at = result.at
      } else if (result?.kind === 'conflict') {
        // One of its own whose answer was lost.
        const last = result.missed?.at(-1)
        if (last !== undefined) at = { epoch: at.epoch, version: last.version, id: last.id }
      } else if (result?.kind === 'rewound') {
        return at
      }
    }
    return at
  })()
}

/** Which of some changes a store does not have. The audit trail has the newest 1 000. */
async function missingIn(store: Store, acknowledged: ReadonlySet<string>): Promise<readonly string[]> {
  let entries: Awaited<ReturnType<Store['audit']>> = []
  await until(async () => {
    entries = await store.audit({ limit: 1000 }).catch(() => [])
    return entries.length > 0
  }, 'the audit trail can be read')
  const ids = entries.map(({ id }) => id)
  if (new Set(ids).size !== ids.length) throw new Error('a change was made twice')
  return [...acknowledged].slice(-900).filter((id) => !ids.includes(id))
}

/** Kills a server under writes, again and again: every change that was acknowledged is there. */
export const crashes =
  (kills = 30): Measure =>
  async (engine) => {
    await using server = await engine.start()
    const store = engine.store(server.address)
    let at = NOWHERE
    let lost = 0
    let made = 0
    for (let i = 0; i < kills; i += 1) {
      /* oxlint-disable no-await-in-loop -- one after another */
      const acknowledged = new Set<string>()
      const over = new AbortController()
      const writing = write(store, at, acknowledged, over.signal)
      await until(() => acknowledged.size >= BETWEEN, 'changes are made', 60_000)
      await server.kill()
      over.abort()
      await server.start()
      at = await writing
      lost += (await missingIn(store, acknowledged)).length
      made += acknowledged.size
      const state = await store.load()
      at = state?.at ?? NOWHERE
      /* oxlint-enable no-await-in-loop */
    }
    await store.close()
    return [never(`acknowledged changes lost by kill -9 × ${kills} under writes`, lost, String(made))]
  }

async function failover(engine: Engine): Promise<{ readonly made: number; readonly lost: number }> {
  await using pair = await engine.startPair()
  const [store, successor] = [engine.store(pair.master, { replicas: 1 }), engine.store(pair.replica)]
  const acknowledged = new Set<string>()
  const over = new AbortController()
  const writing = write(store, NOWHERE, acknowledged, over.signal)
  await until(() => acknowledged.size >= BETWEEN, 'changes are made', 60_000)
  pair.cutLink()
  // The master goes on alone for a moment: nothing of that may count as made.
  const before = acknowledged.size
  await Promise.race([writing, new Promise((resolve) => setTimeout(resolve, 300))])
  over.abort()
  await pair.failOver()
  await writing
  const lost = (await missingIn(successor, acknowledged)).length
  await Promise.all([store.close(), successor.close()])
  // At most the one whose answer was on its way as the link was cut.
  if (acknowledged.size > before + 1) throw new Error('changes counted as made that no replica has')
  return { made: acknowledged.size, lost }
}

/** Cuts the link to the replica under writes, then makes it the master: every change that was acknowledged is there. */
export const failovers =
  (count = 10): Measure =>
  async (engine) => {
    const results: Awaited<ReturnType<typeof failover>>[] = []
    // oxlint-disable-next-line no-await-in-loop -- one after another
    for (let i = 0; i < count; i += 1) results.push(await failover(engine))
    const sum = (of: 'made' | 'lost') => results.reduce((all, result) => all + result[of], 0)
    return [never(`acknowledged changes lost by ${count} failovers with a cut link`, sum('lost'), String(sum('made')))]
  }
