// What the guard costs a request, in-process: `node bench/dist/guard-cost.js [--rounds 40]`.
import { parseArgs } from 'node:util'
import {
  createGuard,
  createDelta,
  cellOf,
  addFailures,
  Judge,
  resolveGuardOptions,
} from '@canary-release/core/guard/internal'

const REQUESTS = 100_000
const STEPS = 1000

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '40' } } })
const rounds = Number(values.rounds)
if (!Number.isInteger(rounds) || rounds < 1) throw new RangeError('--rounds must be a whole number above 0')

/** Requests as a release sees them: one in ten on B, one in a thousand fails. */
const requests = Array.from({ length: REQUESTS }, (_, i) => {
  const upstream = i % 10 === 0 ? ('B' as const) : ('A' as const)
  const rest = { reason: 'bucket', hashedBy: 'consumer', release: 'bench', origin: null } as const
  return {
    decision: { upstream, bucket: i % STEPS, bucketsOnB: 100, steps: STEPS, ...rest },
    identity: `7b1d9c52-2a4e-4f0e-9c61-${String(i % 20_000).padStart(12, '0')}`,
    status: i % 1000 === 7 ? 500 : 200,
    durationMs: 20 + (i % 97),
  }
})

let sink = 0

/** Nanoseconds of CPU a request for decision and outcome objects alone, or with the guard told of them. */
function round(unit: 'request' | 'identity' | null): number {
  const options = resolveGuardOptions({ unit: unit ?? 'request', onBreach: () => {} }, true)
  const guard = createGuard(options, {
    now: Date.now,
    view: () => ({ state: 'running', ramping: false, bucketsOnB: 100, steps: STEPS }),
    pause() {},
    resume() {},
    rollback() {},
    log() {},
    onError: (error) => console.error(error),
  })
  const before = process.cpuUsage()
  for (const { decision, identity, status, durationMs } of requests) {
    const outcome = { decision, status, durationMs, error: null, aborted: false }
    sink += outcome.durationMs
    if (unit === null) continue
    guard.observe(guard.admit(decision, identity), outcome)
  }
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1000) / REQUESTS
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN
}

/** Nanoseconds that it takes to judge a block of one tick, with failures in it and without latency. */
function block(): number {
  const judge = new Judge(resolveGuardOptions({ latency: false }, false))
  const deltas = Array.from({ length: 2000 }, (_, tick) => {
    const delta = createDelta(1, tick)
    const cell = cellOf(delta, 100, STEPS)
    cell.decided.A = cell.ended.A = 90
    cell.decided.B = cell.ended.B = 10
    addFailures(cell, tick, 1, tick % 10 === 0 ? 1 : 0)
    return delta
  })
  const before = process.cpuUsage()
  for (const delta of deltas) judge.tick(delta)
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1000) / deltas.length
}

// Warm up before what counts; then the arms of each round directly after each other.
for (let i = 0; i < 5; i += 1) for (const unit of [null, 'request', 'identity'] as const) round(unit)
const costs = { request: [] as number[], identity: [] as number[], block: [] as number[] }
for (let i = 0; i < rounds; i += 1) {
  const bare = round(null)
  costs.request.push(round('request') - bare)
  costs.identity.push(round('identity') - bare)
  costs.block.push(block())
}
console.log(`CPU that the guard adds to a request, median of ${rounds} paired rounds of ${REQUESTS} requests:`)
console.log(`  unit request:  ${median(costs.request).toFixed(0)} ns`)
console.log(`  unit identity: ${median(costs.identity).toFixed(0)} ns`)
console.log(`To judge a block of errors: ${median(costs.block).toFixed(0)} ns`)
if (sink === 0) console.error('nothing was measured')
