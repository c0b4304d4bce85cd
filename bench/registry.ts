/**
 * What a registry of 10 000 releases and 100 000 consumers costs: to find the release of a request, and to have a change
 * in force: `node bench/dist/registry.js`.
 */
import { randomUUID } from 'node:crypto'
import {
  type Draft,
  type Registry,
  type Row,
  type Store,
  createRegistry,
  memoryStore,
} from '@canary-release/core/registry'
import { mountOn } from '@canary-release/core/registry/internal'
import { do_not_optimize } from 'mitata'

const SERVICES = 1_000
const CONSUMERS = 100_000
/** Beside one on each service. */
const ON_CONSUMERS = 8_999
const CHANGES = 500

const silent = { info() {}, warn() {}, error() {} }

async function furnish(registry: Registry): Promise<readonly string[]> {
  const names: string[] = []
  await registry.change('bench', (draft) => {
    for (let i = 0; i < CONSUMERS; i += 1) {
      const username = randomUUID()
      names.push(username)
      draft.create('consumers', { username, custom_id: `crm-${i}` })
      if (i % 10 === 0) draft.create('keyauth_credentials', { key: `key-${i}` }, { kind: 'consumers', key: username })
      if (i % 10 === 0) draft.create('acls', { group: 'testers' }, { kind: 'consumers', key: username })
    }
    const config = { upstream_host: 'canary', percentage: 10 }
    for (let i = 0; i < SERVICES; i += 1) {
      draft.create('services', { name: `service-${i}`, url: `http://service-${i}` })
      draft.create('plugins', { name: 'canary', config }, { kind: 'services', key: `service-${i}` })
    }
    for (let i = 0; i < ON_CONSUMERS; i += 1) {
      const service = { name: `service-${i % SERVICES}` }
      draft.create('plugins', { name: 'canary', config, service, consumer: { username: names[i * 11] ?? '' } })
    }
    draft.create('plugins', { name: 'canary', config })
  })
  return names
}

const BATCH = 1_000
const ROUNDS = 300

/**
 * Nanoseconds of one call. The callers are made anew for each batch, as they are for each request: no string is the one
 * that the registry holds, and nobody knows its hash yet.
 */
function measure(what: string, callers: readonly string[], find: (caller: string, i: number) => unknown): void {
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const from = (round * BATCH) % callers.length
    const batch: readonly string[] = JSON.parse(JSON.stringify(callers.slice(from, from + BATCH)))
    const begun = process.hrtime.bigint()
    for (const [i, caller] of batch.entries()) do_not_optimize(find(caller, i))
    times.push(Number(process.hrtime.bigint() - begun) / batch.length)
  }
  const sorted = times.toSorted((a, b) => a - b)
  const at = (q: number) => `${(sorted[Math.floor(q * (ROUNDS - 1))] ?? 0).toFixed(0)} ns`.padStart(8)
  console.log(`${what.padEnd(52)} best ${at(0)}   median ${at(0.5)}   p90 ${at(0.9)}`)
}

function measureFinding(registry: Registry, names: readonly string[]): void {
  const mounts = Array.from({ length: SERVICES }, (_, i) => mountOn(registry, { service: `service-${i}` }))
  const [first] = mounts
  if (first === undefined) return
  const atFirst = (caller: string) => first.find(caller)
  const atAny = (caller: string, i: number) => (mounts[i % SERVICES] ?? first).find(caller)
  const ids = names.map((name) => registry.findConsumer(name)?.id ?? '')
  const strangers = ids.map((id) => id.replace('-', '.'))
  const released = names.filter((_, i) => i % 11 === 0 && i / 11 < ON_CONSUMERS)
  const few = ids.slice(0, BATCH)
  for (const caller of names)
    for (const mount of [first, mounts[Number.parseInt(caller.slice(0, 6), 16) % SERVICES] ?? first]) mount.find(caller)
  measure(
    'nobody',
    names.map(() => ''),
    atFirst,
  )
  measure('a stranger, of 100 000', strangers, atFirst)
  measure('a consumer by id, of 100 000', ids, atFirst)
  measure('a consumer by username, of 100 000', names, atFirst)
  measure('a consumer with a release of its own, of 8 999', released, atFirst)
  measure('a consumer by id, of 100 000, at any of 1 000 mounts', ids, atAny)
  measure('a consumer by id, of 1 000', few, atFirst)
}

/** A memory store that says when it acknowledged. */
function timedStore(): Store & { readonly acknowledged: () => number } {
  const store = memoryStore()
  let at = 0
  const save = async (...change: Parameters<Store['save']>) => {
    const saved = await store.save(...change)
    at = performance.now()
    return saved
  }
  return { ...store, save, acknowledged: () => at }
}

/** How long after the store's acknowledgement a mount sees a change, in milliseconds. */
async function measureChanges(registry: Registry, acknowledged: () => number): Promise<void> {
  const mount = mountOn(registry, { service: 'service-7' })
  const [plugin] =
    registry.list('plugins', { of: { kind: 'services', key: 'service-7' } })?.rows.filter(isOfEveryone) ?? []
  if (plugin === undefined) throw new Error('no plugin on service-7')
  mount.find('')
  const key = plugin.entity.id
  const service = 'service-7'
  const changes: readonly (readonly [string, (draft: Draft, i: number) => void])[] = [
    ['percentage', (draft, i) => draft.patch('plugins', key, { config: { percentage: 10 + (i % 80) } })],
    ['service URL', (draft, i) => draft.patch('services', service, { host: `host-${i}` })],
    ['consumer', (draft, i) => draft.patch('consumers', `crm-${i}`, { tags: [String(i)] })],
  ]
  for (const [what, change] of changes) {
    const visible: number[] = []
    const whole: number[] = []
    for (let i = 0; i < CHANGES; i += 1) {
      const begun = performance.now()
      await registry.change('bench', (draft) => change(draft, i))
      do_not_optimize(mount.find(''))
      visible.push(performance.now() - acknowledged())
      whole.push(performance.now() - begun)
    }
    console.log(`${what.padEnd(12)} in force after ${shown(visible)}; the whole change takes ${shown(whole)}`)
  }
}

function isOfEveryone({ entity }: Row<'plugins'>): boolean {
  return entity.consumer === null
}

function shown(milliseconds: number[]): string {
  const sorted = milliseconds.toSorted((a, b) => a - b)
  const at = (q: number) => (sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0).toFixed(3)
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`
}

const begun = performance.now()
const store = timedStore()
const registry = await createRegistry({ store, logger: silent })
const names = await furnish(registry)
const plugins = registry.snapshot().rows.filter(({ kind }) => kind === 'plugins').length
console.log(
  `${plugins} releases, ${names.length} consumers, made in ${((performance.now() - begun) / 1000).toFixed(1)} s`,
)
await measureChanges(registry, store.acknowledged)
measureFinding(registry, names)
await registry.close()
