import * as fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import type { Decision, Outcome, ReleaseOptions } from '../src/entries/index.js'
import { Release } from '../src/release/release.js'

const upstreams = { A: 'http://a:1', B: 'http://b:1' }
const logger = { info() {}, warn() {}, error() {} }

function releaseWith(options: Partial<ReleaseOptions> = {}) {
  const share = options.start === undefined ? { percentage: 50 } : {}
  return new Release({ name: 'orders-v2', upstreams, logger, ...share, ...options })
}

const outcomeOf = (decision: Decision, rest: Partial<Outcome> = {}): Outcome => ({
  decision,
  status: 200,
  durationMs: 5,
  error: null,
  aborted: false,
  ...rest,
})

test('says what it is at any instant, as JSON', () => {
  const release = releaseWith({ start: 1000, duration: '50s', clock: () => 1_025_000 })
  const status = release.status()
  expect(status).toEqual({
    name: 'orders-v2',
    state: 'running',
    percentage: null,
    bucketsOnB: 500,
    steps: 1000,
    start: 1000,
    duration: 50,
    endsAt: 1050,
    counts: { A: { requests: 0, failures: 0 }, B: { requests: 0, failures: 0 }, fallback: 0 },
    reason: null,
    by: null,
    at: null,
    elapsed: null,
  })
  expect(JSON.parse(JSON.stringify(status))).toEqual(status)
  expect(releaseWith().status()).toMatchObject({ percentage: 50, start: null, duration: null, endsAt: null })
})

test('counts requests by upstream, failures of the upstream itself, and fallbacks', () => {
  const release = releaseWith({ hash: { header: 'x' }, override: { header: 'to' } })
  const onA = release.decide({ headers: { to: 'never' } })
  const onB = release.decide({ headers: { to: 'always' } })
  for (const outcome of [
    outcomeOf(onA),
    outcomeOf(onA, { status: 404 }),
    outcomeOf(onB, { status: 500 }),
    outcomeOf(release.decide({ headers: { to: 'always' } }), { status: null, error: new Error('reset') }),
    // The client went away: no failure of B.
    outcomeOf(release.decide({ headers: { to: 'always' } }), { status: null, error: new Error('gone'), aborted: true }),
  ]) {
    release.record(outcome)
  }
  const served = release.fallback(onB)
  expect(served).toMatchObject({ upstream: 'A', reason: 'fallback', origin: 'http://a:1' })
  expect(release.status().counts).toEqual({
    A: { requests: 1, failures: 0 },
    B: { requests: 3, failures: 2 },
    fallback: 1,
  })
})

test('tells of each change, decision and outcome once', () => {
  const release = releaseWith()
  const told: string[] = []
  release.on('change', ({ change, status }) => told.push(`${change} ${status.state} ${status.bucketsOnB}`))
  release.on('decision', ({ upstream, reason }) => told.push(`${reason} ${upstream}`))
  release.on('outcome', ({ status }) => told.push(`outcome ${status}`))
  release.update({ percentage: 100 })
  const decision = release.decide({ consumer: 'alice' })
  release.record(outcomeOf(decision))
  release.rollback('errors')
  release.decide({ consumer: 'alice' })
  expect(() => release.pause()).toThrow(/^cannot pause a release that is rolled-back/)
  release.update({ percentage: 10 })
  release.pause()
  release.resume()
  release.promote()
  expect(told).toEqual([
    'update complete 1000',
    'bucket B',
    'outcome 200',
    'rollback rolled-back 0',
    'rolled-back A',
    'update running 100',
    'pause paused 100',
    'resume running 100',
    'promote promoted 1000',
  ])
})

test('tells once that a ramp is complete, and again only for another ramp', () => {
  const clock = { now: 1099 }
  const release = releaseWith({ start: 1000, duration: 100, clock: () => clock.now * 1000 })
  const told: string[] = []
  release.on('change', ({ change, status }) => told.push(`${change} ${status.state}`))
  const decideAt = (now: number) => {
    clock.now = now
    release.decide({ consumer: 'x' })
    release.decide({})
  }
  decideAt(1099)
  expect(told).toEqual([])
  decideAt(1100)
  decideAt(1050)
  decideAt(1200)
  release.update({ exposeHeader: 'x-upstream', steps: 2000 })
  decideAt(1300)
  expect(told).toEqual(['complete complete', 'update complete'])
  // A longer duration of a ramp that is complete takes nobody back: only another start is another ramp.
  release.update({ duration: 400 })
  decideAt(1350)
  release.update({ start: 1350 })
  decideAt(1400)
  decideAt(1750)
  decideAt(1800)
  expect(told.slice(2)).toEqual(['update complete', 'update running', 'complete complete'])
})

test('does not call a ramp complete whose time runs out after a rollback or while it is disabled', () => {
  for (const stop of ['rollback', 'disable'] as const) {
    const clock = { now: 1050 }
    const release = releaseWith({ start: 1000, duration: 100, clock: () => clock.now * 1000 })
    if (stop === 'rollback') release.rollback()
    else release.update({ enabled: false })
    const told: unknown[] = []
    release.on('change', (change) => told.push(change))
    clock.now = 1200
    release.decide({ consumer: 'x' })
    expect(told).toEqual([])
  }
})

test('lets a listener move the release: the move holds for the decision that told of it', () => {
  const release = releaseWith({ start: 1000, duration: 100, clock: () => 1_200_000 })
  release.on('change', ({ change }) => {
    if (change === 'complete') release.rollback('not yet')
  })
  expect(release.decide({ consumer: 'x' })).toMatchObject({ upstream: 'A', reason: 'rolled-back', bucketsOnB: 0 })
  expect(release.status()).toMatchObject({ state: 'rolled-back', reason: 'not yet' })
})

test('reports a listener that throws once, and disturbs nobody else', () => {
  const reported: unknown[] = []
  const release = releaseWith({ onError: (error) => reported.push(error) })
  const told: string[] = []
  const broken = new Error('broken listener')
  for (const name of ['decision', 'outcome', 'change'] as const) {
    release.on(name, () => {
      throw broken
    })
    release.on(name, () => told.push(name))
  }
  const decision = release.decide({ consumer: 'x' })
  release.decide({ consumer: 'y' })
  release.record(outcomeOf(decision))
  release.rollback()
  expect(told).toEqual(['decision', 'decision', 'outcome', 'change'])
  expect(reported).toEqual([broken])
  expect(release.status().state).toBe('rolled-back')
})

test('reports a listener that rejects, instead of ending the process', async () => {
  const onError = vi.fn()
  const release = releaseWith({ onError })
  release.on('decision', () => Promise.reject(new Error('late')))
  release.decide({ consumer: 'x' })
  await vi.waitFor(() => expect(onError).toHaveBeenCalledWith(new Error('late')))
})

test('reports to the logger where there is no onError, and survives reporters that fail', async () => {
  const error = vi.fn()
  const logged = releaseWith({ logger: { ...logger, error } })
  logged.reports.reportOnce('consumer', new Error('no user'))
  logged.reports.reportOnce('consumer', new Error('no user'))
  logged.reports.reportOnce('groups', 'nonsense')
  expect(error.mock.calls).toEqual([
    ['canary release orders-v2: consumer: Error: no user'],
    ['canary release orders-v2: groups: nonsense'],
  ])
  const refuse = () => {
    throw new Error('refused')
  }
  const reject = () => Promise.reject(new Error('refused'))
  for (const fail of [refuse, reject]) {
    const release = releaseWith({ onError: fail, logger: { info: fail, warn: fail, error: fail } })
    release.reports.reportOnce('consumer', 'x')
    release.pause('lunch', 'ada')
    expect(release.status().state).toBe('paused')
  }
  // An unhandled rejection would fail this run.
  await new Promise((resolve) => setImmediate(resolve))
})

test('logs each move with who made it and why', () => {
  const info = vi.fn()
  const release = releaseWith({ logger: { ...logger, info } })
  release.pause('lunch', 'ada')
  release.resume()
  expect(info.mock.calls).toEqual([
    ['canary release orders-v2: pause by ada: lunch'],
    ['canary release orders-v2: resume by code'],
  ])
})

test('tells no more to a listener that was taken off, and to none after close', () => {
  const release = releaseWith()
  const told: string[] = []
  const one = () => told.push('one')
  const two = () => told.push('two')
  const off = [release.on('decision', one), release.on('decision', two), release.on('decision', two)]
  off[0]?.()
  release.decide({})
  expect(told).toEqual(['two', 'two'])
  // Each takes off its own, however often it is called.
  off[1]?.()
  off[1]?.()
  release.decide({})
  expect(told).toEqual(['two', 'two', 'two'])
  release.on('decision', one)
  release.close()
  release.decide({})
  expect(told).toEqual(['two', 'two', 'two'])
})

test('lets percentage and start remove each other', () => {
  const release = releaseWith({ percentage: 10, clock: () => 1_050_000 })
  release.update({ start: 1000 })
  expect(release.status()).toMatchObject({ percentage: null, start: 1000, duration: 3600, state: 'running' })
  expect(release.status().bucketsOnB).toBe(13)
  release.update({ duration: 100 })
  expect(release.status()).toMatchObject({ start: 1000, duration: 100, bucketsOnB: 13 })
  release.update({ percentage: 20 })
  expect(release.status()).toMatchObject({ percentage: 20, start: null, duration: null, bucketsOnB: 200 })
  release.update({ start: 1000 })
  expect(release.status()).toMatchObject({ duration: 3600 })
})

test('keeps counts, the order of none and what it was told of by hand through an update', () => {
  const release = releaseWith({ percentage: 10, hash: 'none', random: () => 0 })
  for (let i = 0; i < 9; i += 1) release.decide({})
  release.update({ exposeHeader: 'x-upstream' })
  expect(release.decide({}).upstream).toBe('B')
  expect(release.status().counts).toMatchObject({ A: { requests: 9 }, B: { requests: 1 } })
})

const goodParts = fc.record(
  {
    percentage: fc.integer({ min: 1, max: 100 }),
    steps: fc.integer({ min: 100, max: 5000 }),
    hash: fc.constantFrom('ip' as const, 'none' as const, { header: 'x-tenant' }),
    ipv6Prefix: fc.integer({ min: 1, max: 128 }),
    exposeHeader: fc.constantFrom('x-upstream', 'x-side'),
    enabled: fc.boolean(),
  },
  { requiredKeys: [] },
)
const badParts = fc.constantFrom<object>(
  { salt: 5 },
  { mode: 'proxy' },
  { upstreams: { A: 'http://a', B: {} } },
  { trustedIps: ['10.0.0.0/99'] },
  { start: 0, duration: 0 },
  { unknown: 1 },
)

test('applies an update whole or not at all', () => {
  fc.assert(
    fc.property(goodParts, fc.option(badParts), (good, bad) => {
      const release = releaseWith()
      const before = [release.options, release.status()]
      if (bad === null) {
        release.update(good)
        expect(release.options).toMatchObject(good)
      } else {
        expect(() => Reflect.apply(release.update, release, [{ ...good, ...bad }])).toThrow(
          expect.objectContaining({ code: 'ERR_CANARY_OPTION' }),
        )
        expect([release.options, release.status()]).toEqual(before)
      }
    }),
    { seed: 71, numRuns: 500 },
  )
})

/** Another process, later, with the options of the first and what it knew. */
function restarted(now: number, state: unknown, options: Partial<ReleaseOptions> = {}) {
  const share = { start: 1000, duration: 100, steps: 100, clock: () => now * 1000 }
  return Reflect.apply(releaseWith, undefined, [{ ...share, ...options, state: JSON.parse(JSON.stringify(state)) }])
}

test.each([
  ['rolled back', 'rollback', { state: 'rolled-back', bucketsOnB: 0, reason: 'why', by: 'ada', at: 1040 }],
  ['promoted', 'promote', { state: 'promoted', bucketsOnB: 100, reason: 'why', by: 'ada', at: 1040 }],
  ['paused', 'pause', { state: 'paused', bucketsOnB: 40, reason: 'why', by: 'ada', at: 1040, elapsed: 40 }],
] as const)('takes back the state of a release that was %s', (_, move, expected) => {
  const clock = { now: 1040 }
  const first = releaseWith({ start: 1000, duration: 100, steps: 100, clock: () => clock.now * 1000 })
  first[move]('why', 'ada')
  const later = restarted(1090, first.status())
  expect(later.status()).toMatchObject(expected)
  clock.now = 1090
  expect(later.status()).toEqual(first.status())
  expect(later.decide({ consumer: 'x' })).toEqual(first.decide({ consumer: 'x' }))
})

test('takes back the elapsed time of a release that was paused and resumed', () => {
  const clock = { now: 1040 }
  const first = releaseWith({ start: 1000, duration: 100, steps: 100, clock: () => clock.now * 1000 })
  first.pause()
  clock.now = 1090
  first.resume()
  const later = restarted(1100, first.status())
  expect(later.status()).toMatchObject({ state: 'running', bucketsOnB: 50, start: 1000, endsAt: 1150 })
})

test('takes back a state that says nothing, and follows the options', () => {
  const first = restarted(1030, { state: 'running' })
  expect(first.status()).toMatchObject({ state: 'running', bucketsOnB: 30 })
  for (const now of [900, 1030, 1200])
    expect(restarted(now, first.status()).status().bucketsOnB).toBe(now === 900 ? 0 : now === 1030 ? 30 : 100)
})

test('takes back a pause of which the elapsed time is not known from when it was made', () => {
  expect(restarted(1090, { state: 'paused', at: 1025 }).status()).toMatchObject({ state: 'paused', bucketsOnB: 25 })
  expect(restarted(1090, { state: 'paused' }).status()).toMatchObject({ state: 'paused', bucketsOnB: 0 })
  expect(restarted(1090, { state: 'running', elapsed: 40 }).status()).toMatchObject({
    state: 'running',
    bucketsOnB: 90,
  })
})

test('lets a person move on from a state that was taken back', () => {
  const later = restarted(1090, { state: 'rolled-back', reason: 'errors', by: 'guard', at: 1040 })
  later.update({ percentage: 5 })
  expect(later.status()).toMatchObject({ state: 'rolled-back', percentage: 5, reason: 'errors' })
  later.restart()
  expect(later.status()).toMatchObject({ state: 'running', percentage: 5, reason: null })
  const paused = restarted(1090, { state: 'paused', by: 'guard', at: 1040, elapsed: 40 })
  paused.resume('guard')
  expect(paused.status()).toMatchObject({ state: 'running', bucketsOnB: 40 })
})

test('takes back the share that was reached where its duration or steps are other ones now', () => {
  const clock = { now: 1040 }
  const first = releaseWith({ start: 1000, duration: 100, steps: 100, clock: () => clock.now * 1000 })
  for (const move of ['none', 'pause'] as const) {
    if (move === 'pause') first.pause()
    for (const [options, bucketsOnB] of [
      [{ duration: 1000 }, 40],
      [{ duration: 10 }, 40],
      [{ steps: 1000 }, 400],
      [{ steps: 3 }, 2],
    ] as const) {
      const later = restarted(1040, first.status(), options)
      expect(later.status().bucketsOnB).toBe(bucketsOnB)
      // And once more, as the state is written down again.
      expect(restarted(1040, later.status(), options).status().bucketsOnB).toBe(bucketsOnB)
    }
  }
})
