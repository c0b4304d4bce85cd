// A process that writes one service of a registry's file as fast as it can, until it is killed. It says how often it was
// written, and the version of that. Run on the built package.
import { randomUUID } from 'node:crypto'
import { NOWHERE, fileStore } from '@canary-release/core/registry'

const [, , file = '', lane = '0'] = process.argv
const store = fileStore(file)
const id = `00000000-0000-4000-8000-${String(1000 + Number(lane)).padStart(12, '0')}`
const CONSUMERS = 50

function serviceAt(version) {
  const times = {
    connect_timeout: 60_000,
    write_timeout: 60_000,
    read_timeout: 60_000,
    created_at: 0,
    updated_at: version,
  }
  const place = { protocol: 'http', host: `host-${version}`, port: 80, path: `/${version}` }
  return { id, name: null, ...place, retries: 5, ...times, enabled: true, tags: null }
}

function consumer(number) {
  const uuid = `00000000-0000-0000-0000-${String(number).padStart(12, '0')}`
  return { id: uuid, username: `consumer-${number}`, custom_id: null, tags: null, created_at: 0, updated_at: 0 }
}

function change(kind, entity) {
  return { kind, id: entity.id, row: { kind, entity, release: null } }
}

const countIn = (state) => Number(state?.rows.find(({ entity }) => entity.id === id)?.entity.host.slice(5) ?? 0)

const found = await store.load()
let at = found?.at ?? NOWHERE
let count = countIn(found)
for (;;) {
  const next = count + 1
  const consumers = at.version > 0 ? [] : Array.from({ length: CONSUMERS }, (_, i) => change('consumers', consumer(i)))
  const commit = randomUUID()
  const audit = { id: commit, at: 0, by: 'writer', what: `update services ${id}`, changes: [], more: 0 }
  const keys = [`services/${id}`]
  const changes = [change('services', serviceAt(next)), ...consumers]
  /* oxlint-disable no-await-in-loop */
  const result = await store.save({ id: commit, base: at, reads: keys, writes: keys, changes, audit })
  if (result.kind === 'saved') {
    at = result.at
    count = next
    process.stdout.write(`${count} ${at.version}\n`)
  } else {
    // Nobody else writes this service, so that others were in the way only if more was made than a file remembers.
    if (result.kind !== 'conflict' || result.missed !== null) throw new Error(`not saved: ${result.kind}`)
    at = (await store.load()).at
  }
  /* oxlint-enable no-await-in-loop */
}
