/**
 * What a registry of 10 000 releases and 100 000 consumers costs: to find the release of a request, and to have a change
 * in force: `node bench/dist/registry.js`.
 */
import { randomUUID } from 'node:crypto'
import {
  type Commit,
  type Draft,
  type Registry,
  type Row,
  type Store,
  createRegistry,
  memoryStore,
} from '@canary-release/core/registry'
import { bench, do_not_optimize, group, run } from 'mitata'

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
  // As they come out of a parsed request: flat strings of their own, whose hash nobody knows yet.
  return names
}

/** Copies, so that no string is the one that the registry holds; more than any cache does. */
function callers(names: readonly string[]): () => string {
  const copies: readonly string[] = JSON.parse(JSON.stringify(names))
  let i = 0
  return () => {
    // A stride that visits them in no order.
    i = (i + 7919) % copies.length
    return copies[i] ?? ''
  }
}

function benchFinding(registry: Registry, names: readonly string[]): void {
  const mounts = Array.from({ length: SERVICES }, (_, i) => registry.mount({ service: `service-${i}` }))
  const [first] = mounts
  if (first === undefined) return
  let at = 0
  const anyMount = () => {
    at = (at + 17) % SERVICES
    return mounts[at] ?? first
  }
  const ids = names.map((name) => registry.findConsumer(name)?.id ?? '')
  const byName = callers(names)
  const byId = callers(ids)
  const stranger = callers(ids.map((id) => id.replace('-', '.')))
  const released = callers(names.filter((_, i) => i % 11 === 0 && i / 11 < ON_CONSUMERS))
  group('find, one mount', () => {
    bench('(reading a caller of 100 000)', () => do_not_optimize(byId().charCodeAt(7)))
    bench('nobody', () => do_not_optimize(first.find('')))
    bench('a stranger', () => do_not_optimize(first.find(stranger())))
    bench('a consumer by id', () => do_not_optimize(first.find(byId())))
    bench('a consumer by username', () => do_not_optimize(first.find(byName())))
    bench('a consumer with a release', () => do_not_optimize(first.find(released())))
  })
  group('find, 1000 mounts in turn', () => {
    bench('a consumer by id, any mount', () => do_not_optimize(anyMount().find(byId())))
    bench('a consumer with a release, any mount', () => do_not_optimize(anyMount().find(released())))
  })
}

/** A memory store that says when it acknowledged. */
function timedStore(): Store & { readonly acknowledged: () => number } {
  const store = memoryStore()
  let at = 0
  const save = async (commit: Commit, expected: number) => {
    const saved = await store.save(commit, expected)
    at = performance.now()
    return saved
  }
  return { ...store, save, acknowledged: () => at }
}

/** How long after the store's acknowledgement a mount sees a change, in milliseconds. */
async function measureChanges(registry: Registry, acknowledged: () => number): Promise<void> {
  const mount = registry.mount({ service: 'service-7' })
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
      // oxlint-disable-next-line no-await-in-loop
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
benchFinding(registry, names)
await run()
await registry.close()
