// A process that writes a registry's file as fast as it can, until it is killed. Run on the built package.
import { randomUUID } from 'node:crypto'
import { NOWHERE, fileStore } from '@canary-release/core/registry'

const [, , file = ''] = process.argv
const store = fileStore(file)
const id = '11111111-2222-3333-4444-555555555555'
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

let at = (await store.load())?.at ?? NOWHERE
for (;;) {
  const next = at.version + 1
  const consumers = at.version > 0 ? [] : Array.from({ length: CONSUMERS }, (_, i) => change('consumers', consumer(i)))
  const commit = randomUUID()
  const audit = { id: commit, at: 0, by: 'writer', what: `update services ${id}`, changes: [], more: 0 }
  const keys = [`services/${id}`]
  const changes = [change('services', serviceAt(next)), ...consumers]
  // oxlint-disable-next-line no-await-in-loop
  const result = await store.save({ id: commit, base: at, reads: keys, writes: keys, changes, audit })
  if (result.kind !== 'saved') throw new Error(`version ${at.version} is not there any more: ${result.kind}`)
  at = result.at
  process.stdout.write(`${at.version}\n`)
}
