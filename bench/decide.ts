/**
 * What one decision costs, by hash, beside the in-process evaluation of a percentage rollout by three peers:
 * `node bench/dist/decide.js`.
 */
import { randomUUID } from 'node:crypto'
import { type Hash, type ReleaseOptions, createRelease } from '@canary-release/core'
import { GrowthBookClient } from '@growthbook/growthbook'
import { FlagdCore } from '@openfeature/flagd-core'
import { bench, do_not_optimize, group, run } from 'mitata'
import { InMemStorageProvider, Unleash } from 'unleash-client'

const PERCENTAGE = 10
const upstreams = { A: 'http://orders-v1:3000', B: 'http://orders-v2:3000' }

/** As they come out of a parsed request: flat strings, all different, so that no engine remembers the last answer. */
const identities: readonly string[] = JSON.parse(JSON.stringify(Array.from({ length: 1024 }, () => randomUUID())))
const addresses4 = identities.map((_, i) => `203.0.${i >> 8}.${i & 255}`)
const addresses6 = identities.map((_, i) => `2001:db8:${i.toString(16)}:2::7`)

function turn(values: readonly string[]): () => string {
  let i = 0
  return () => {
    i = (i + 1) & 1023
    return values[i] ?? ''
  }
}

function releaseBy(hash: Hash, share: Partial<ReleaseOptions> = { percentage: PERCENTAGE }) {
  return createRelease({ name: 'orders-v2', upstreams, hash, ...share })
}

function benchOurs(): void {
  const next = turn(identities)
  const next4 = turn(addresses4)
  const next6 = turn(addresses6)
  const consumer = releaseBy('consumer')
  bench('consumer, UUID', () => do_not_optimize(consumer.decide({ consumer: next() })))
  const none = releaseBy('none')
  bench('none', () => do_not_optimize(none.decide({})))
  const timed = releaseBy('consumer', { start: Date.now() / 1000 - 60, duration: '1d' })
  bench('consumer, UUID, timed', () => do_not_optimize(timed.decide({ consumer: next() })))
  bench('(one reading of the clock)', () => do_not_optimize(Date.now()))
  const ip = releaseBy('ip')
  bench('ip, IPv4', () => do_not_optimize(ip.decide({ ip: next4() })))
  bench('ip, IPv6', () => do_not_optimize(ip.decide({ ip: next6() })))
  const header = releaseBy({ header: 'x-tenant' })
  bench('header, UUID', () => do_not_optimize(header.decide({ headers: { 'x-tenant': next() } })))
  const cookie = releaseBy({ cookie: 'canary_id' })
  bench('cookie, UUID', () => do_not_optimize(cookie.decide({ cookies: { canary_id: next() } })))
  bench('cookie, first visit', () => do_not_optimize(cookie.decide({ cookies: {} })))
  const allow = releaseBy({ allow: ['staff', 'beta'] })
  const groups = ['users', 'beta']
  bench('allow', () => do_not_optimize(allow.decide({ groups })))
}

async function unleash(): Promise<() => boolean> {
  const feature = {
    name: 'orders-v2',
    type: 'release',
    enabled: true,
    project: 'default',
    stale: false,
    impressionData: false,
    strategies: [
      {
        name: 'flexibleRollout',
        parameters: { rollout: String(PERCENTAGE), stickiness: 'userId', groupId: 'orders-v2' },
        constraints: [],
      },
    ],
    variants: [],
  }
  const client = new Unleash({
    appName: 'bench',
    // Nobody listens there: the features come with the bootstrap, and asking for newer ones fails once.
    url: 'http://127.0.0.1:1/api',
    refreshInterval: 0,
    disableMetrics: true,
    storageProvider: new InMemStorageProvider(),
    bootstrap: { data: [feature] },
  })
  client.on('error', () => {})
  client.on('warn', () => {})
  await new Promise((resolve) => client.once('ready', resolve))
  const next = turn(identities)
  return () => client.isEnabled('orders-v2', { userId: next() })
}

function growthbook(): () => boolean {
  const client = new GrowthBookClient().initSync({
    payload: {
      features: {
        'orders-v2': { defaultValue: false, rules: [{ force: true, coverage: PERCENTAGE / 100, hashAttribute: 'id' }] },
      },
    },
  })
  const next = turn(identities)
  return () => client.isOn('orders-v2', { attributes: { id: next() } })
}

function flagd(): () => string {
  const core = new FlagdCore()
  const fractional = [{ var: 'targetingKey' }, ['B', PERCENTAGE], ['A', 100 - PERCENTAGE]]
  const flag = { state: 'ENABLED', variants: { A: 'A', B: 'B' }, defaultVariant: 'A', targeting: { fractional } }
  core.setConfigurations(JSON.stringify({ flags: { 'orders-v2': flag } }))
  const silent = { error() {}, warn() {}, info() {}, debug() {} }
  const next = turn(identities)
  return () => core.resolveStringEvaluation('orders-v2', 'A', { targetingKey: next() }, silent).value
}

/** A peer that sent nobody, or everybody, to B would have been set up wrongly. */
function shareOf(decide: () => unknown): number {
  let onB = 0
  for (let i = 0; i < 1024; i += 1) {
    const side = decide()
    if (side === true || side === 'B') onB += 1
  }
  return onB / 1024
}

const peers: Record<string, () => unknown> = {
  'unleash-client': await unleash(),
  '@growthbook/growthbook': growthbook(),
  '@openfeature/flagd-core': flagd(),
}
for (const [name, decide] of Object.entries(peers)) {
  const share = shareOf(decide)
  if (share < 0.05 || share > 0.15) throw new Error(`${name} sent ${share * 100} % to B instead of ${PERCENTAGE} %`)
}

type Rounds = Awaited<ReturnType<typeof run>>['benchmarks'][]

function measure(format: 'mitata' | 'quiet') {
  group('ours', benchOurs)
  group('peers, consumer, UUID', () => {
    for (const [name, decide] of Object.entries(peers)) bench(name, () => do_not_optimize(decide()))
  })
  return run({ format })
}

/** The least median of the rounds: what else runs on the machine only ever adds. */
function medianOf(rounds: Rounds, name: string): number {
  const medians = rounds.flat().filter(({ alias }) => alias === name)
  return Math.min(...medians.map(({ runs }) => runs[0]?.stats?.p50 ?? Number.NaN))
}

// Ours and the peers by turns, so that a busy moment of the machine meets all of them.
const rounds: Rounds = []
for (const format of ['mitata', 'quiet', 'quiet'] as const) rounds.push((await measure(format)).benchmarks)

const consumer = medianOf(rounds, 'consumer, UUID')
const fastest = Math.min(...Object.keys(peers).map((name) => medianOf(rounds, name)))
const timed = medianOf(rounds, 'consumer, UUID, timed') - consumer
const clock = medianOf(rounds, '(one reading of the clock)')
console.log(`
least median of ${rounds.length} rounds
consumer  ${consumer.toFixed(1)} ns (at most 125); fastest peer ${fastest.toFixed(1)} ns: 1/${(fastest / consumer).toFixed(1)} of it (at most 1/5)
none      ${medianOf(rounds, 'none').toFixed(1)} ns (at most 60)
timed     ${timed.toFixed(1)} ns more; one reading of the clock ${clock.toFixed(1)} ns`)
process.exit(0)
