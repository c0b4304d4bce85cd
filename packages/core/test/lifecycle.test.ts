import { expect, test } from 'vitest'
import {
  CanaryError,
  type Release,
  type ReleaseOptions,
  type ReleaseState,
  createRelease,
} from '../src/entries/index.js'

type LifeState = Exclude<ReleaseState, 'disabled'>

const upstreams = { A: 'http://a:1', B: 'http://b:1' }
const logger = { info() {}, warn() {}, error() {} }

/** A ramp from 1000 s to 1100 s in 100 steps, at the instant that `now` says, in seconds. */
function rampAt(now: number, options: Partial<ReleaseOptions> = {}) {
  const clock = { now }
  const release = createRelease({
    name: 'r',
    upstreams,
    start: 1000,
    duration: 100,
    steps: 100,
    clock: () => clock.now * 1000,
    logger,
    ...options,
  })
  return { clock, release }
}

const moves = ['pause', 'resume', 'rollback', 'promote', 'update', 'restart'] as const
type Row = (typeof moves)[number]

function make(release: Release, move: Row): void {
  if (move === 'update') release.update({ exposeHeader: 'x-upstream' })
  else if (move === 'restart') release.restart('again')
  else release[move]()
}

/** Each state, reached by moves alone at 1050 s (900 s while scheduled, 1200 s where complete). */
const reach: Record<LifeState, () => Release> = {
  scheduled: () => rampAt(900).release,
  running: () => rampAt(1050).release,
  complete: () => rampAt(1200).release,
  paused: () => {
    const { release } = rampAt(1050)
    release.pause()
    return release
  },
  'rolled-back': () => {
    const { release } = rampAt(1050)
    release.rollback()
    return release
  },
  promoted: () => {
    const { release } = rampAt(1050)
    release.promote()
    return release
  },
}

// The design's table: where a move leads, `no` where it is refused.
const TABLE: Record<LifeState, Record<Row, LifeState | 'no'>> = {
  scheduled: {
    pause: 'paused',
    resume: 'no',
    rollback: 'rolled-back',
    promote: 'promoted',
    update: 'scheduled',
    restart: 'no',
  },
  running: {
    pause: 'paused',
    resume: 'no',
    rollback: 'rolled-back',
    promote: 'promoted',
    update: 'running',
    restart: 'running',
  },
  complete: {
    pause: 'no',
    resume: 'no',
    rollback: 'rolled-back',
    promote: 'promoted',
    update: 'complete',
    restart: 'running',
  },
  paused: {
    pause: 'no',
    resume: 'running',
    rollback: 'rolled-back',
    promote: 'promoted',
    update: 'paused',
    restart: 'running',
  },
  'rolled-back': {
    pause: 'no',
    resume: 'no',
    rollback: 'rolled-back',
    promote: 'no',
    update: 'rolled-back',
    restart: 'running',
  },
  promoted: {
    pause: 'no',
    resume: 'no',
    rollback: 'rolled-back',
    promote: 'promoted',
    update: 'promoted',
    restart: 'running',
  },
}

const rows = Object.entries(reach).flatMap(([state, release]) => moves.map((move) => ({ state, move, release })))

test.each(rows)('$move from $state leads where the table says', ({ state, move, release: build }) => {
  const release = build()
  const before = release.status()
  expect(before.state).toBe(state)
  const to = Object.entries(TABLE).find(([from]) => from === state)?.[1][move]
  if (to !== 'no') {
    make(release, move)
    expect(release.status().state).toBe(to)
    return
  }
  expect(() => make(release, move)).toThrow(
    expect.objectContaining({
      code: 'ERR_CANARY_STATE',
      status: 409,
      message: expect.stringContaining(`that is ${state}`),
    }),
  )
  expect(release.status()).toEqual(before)
})

test('freezes the share while paused and goes on from the elapsed time, while start stays what it was', () => {
  const { clock, release } = rampAt(1030)
  release.pause('lunch', 'ada')
  clock.now = 5000
  expect(release.status()).toMatchObject({
    state: 'paused',
    bucketsOnB: 30,
    start: 1000,
    endsAt: null,
    reason: 'lunch',
    by: 'ada',
    at: 1030,
    elapsed: 30,
  })
  expect(release.decide({ consumer: 'x' }).bucketsOnB).toBe(30)
  release.resume('grace')
  expect(release.status()).toMatchObject({ state: 'running', bucketsOnB: 30, start: 1000, endsAt: 5070, by: 'grace' })
  clock.now = 5020
  expect(release.decide({ consumer: 'x' }).bucketsOnB).toBe(50)
  release.pause()
  clock.now = 9000
  release.resume()
  clock.now = 9050
  expect(release.status()).toMatchObject({ state: 'complete', bucketsOnB: 100 })
})

test('does not count time before the start of a release that was paused while scheduled', () => {
  const { clock, release } = rampAt(900)
  release.pause()
  clock.now = 950
  release.resume()
  expect(release.status()).toMatchObject({ state: 'scheduled', endsAt: 1100 })
  release.pause()
  clock.now = 1080
  expect(release.status()).toMatchObject({ state: 'paused', bucketsOnB: 0, elapsed: 0 })
  release.resume()
  expect(release.status()).toMatchObject({ state: 'running', bucketsOnB: 0, start: 1000, endsAt: 1180 })
  clock.now = 1130
  expect(release.status().bucketsOnB).toBe(50)
})

test('freezes what was reached when the clock has stepped back', () => {
  const { clock, release } = rampAt(1050)
  expect(release.decide().bucketsOnB).toBe(50)
  clock.now = 1020
  release.pause()
  expect(release.status()).toMatchObject({ bucketsOnB: 50, elapsed: 50 })
  const { release: later } = rampAt(3000, { state: release.status() })
  expect(later.status().bucketsOnB).toBe(50)
})

test('does not let the guard lift the pause of a person, and lets a person lift that of the guard', () => {
  const { release } = rampAt(1050)
  release.pause('lunch', 'ada')
  const before = release.status()
  expect(() => release.resume('guard')).toThrow(expect.objectContaining({ code: 'ERR_CANARY_STATE' }))
  expect(release.status()).toEqual(before)
  release.resume('ada')
  release.pause('B is slow', 'guard')
  release.resume('guard')
  release.pause('B is slow', 'guard')
  release.resume('ada')
  expect(release.status().state).toBe('running')
})

test('rolls back a release that is disabled, and stays rolled back when it is enabled', () => {
  const { release } = rampAt(1050, { enabled: false })
  expect(release.status()).toMatchObject({ state: 'disabled', bucketsOnB: 0 })
  release.rollback()
  expect(release.status().state).toBe('rolled-back')
  release.update({ enabled: true })
  expect(release.decide()).toMatchObject({ upstream: 'A', reason: 'rolled-back', bucketsOnB: 0 })
})

test('says disabled instead of complete while nothing is on B', () => {
  const release = createRelease({ name: 'r', upstreams, percentage: 100, enabled: false, logger })
  expect(release.status()).toMatchObject({ state: 'disabled', bucketsOnB: 0 })
  release.update({ enabled: true })
  expect(release.status()).toMatchObject({ state: 'complete', bucketsOnB: 1000 })
  release.promote()
  release.update({ enabled: false })
  // What a person or the guard did outlasts it, and is carried over.
  expect(release.status()).toMatchObject({ state: 'promoted', bucketsOnB: 0 })
})

test('keeps the time of a ramp while it is disabled, also in a process that is given its state', () => {
  const { clock, release } = rampAt(1020)
  release.update({ enabled: false })
  expect(release.status()).toMatchObject({ state: 'disabled', at: 1020, elapsed: 20 })
  clock.now = 1080
  const later = rampAt(1080, { enabled: false, state: release.status() })
  for (const one of [release, later.release]) {
    expect(one.decide()).toMatchObject({ upstream: 'A', reason: 'disabled' })
    one.update({ enabled: true })
    expect(one.status()).toMatchObject({ state: 'running', bucketsOnB: 20, at: 1080, elapsed: 20, endsAt: 1160 })
  }
  clock.now = 1090
  expect(release.decide().bucketsOnB).toBe(30)
  const enabled = rampAt(1200, { state: { ...rampAt(1020, { enabled: false }).release.status() } })
  expect(enabled.release.status()).toMatchObject({ state: 'running', bucketsOnB: 20 })
})

test('stays scheduled while it is disabled before its start, and begins at bucket 0 when it is enabled after it', () => {
  const { clock, release } = rampAt(900, { enabled: false })
  expect(() => release.restart()).toThrow(expect.objectContaining({ code: 'ERR_CANARY_STATE' }))
  release.update({ enabled: true })
  expect(release.status()).toMatchObject({ state: 'scheduled', endsAt: 1100 })
  release.update({ enabled: false })
  clock.now = 1070
  release.update({ enabled: true })
  expect(release.status()).toMatchObject({ state: 'running', bucketsOnB: 0, endsAt: 1170 })
})

/** Each state that a release may begin again from, reached at 1050 s (1200 s where complete). */
const OVER = {
  'rolled-back by a person': () => {
    const made = rampAt(1050)
    made.release.rollback('errors', 'ada')
    return made
  },
  'rolled-back by the guard': () => {
    const made = rampAt(1050)
    made.release.rollback('rolled back: B failed', 'guard')
    return made
  },
  promoted: () => {
    const made = rampAt(1050)
    made.release.promote('fine', 'ada')
    return made
  },
  complete: () => rampAt(1200),
}

/** Updates by which such a release begins again; of the guard's rollback only where it says so. */
const BEGINS: [string, Partial<ReleaseOptions>, after: 'any' | 'not the guard'][] = [
  ['another start that has passed', { start: 1010 }, 'any'],
  ['another start that is yet to come', { start: 5000 }, 'any'],
  ["B's host", { upstreams: { A: 'http://a:1', B: 'http://c:1' } }, 'any'],
  ["B's port", { upstreams: { A: 'http://a:1', B: 'http://b:2' } }, 'any'],
  ["B's path", { upstreams: { A: 'http://a:1', B: 'http://b:1/v2' } }, 'any'],
  ['B as a part of A', { upstreams: { A: 'http://a:1', B: { uri: '/v2' } } }, 'any'],
  ['a percentage instead of the ramp', { percentage: 7 }, 'not the guard'],
]
const STAYS: [string, Partial<ReleaseOptions>][] = [
  ['the same start', { start: new Date(1_000_000) }],
  ['a start that is not said', { start: undefined }],
  ['the same B', { upstreams: { A: 'http://a:1', B: { url: 'http://b:1/' } } }],
  ['another A', { upstreams: { A: 'http://a:9', B: 'http://b:1' } }],
  ['another duration', { duration: 50 }],
  ['other steps', { steps: 7 }],
  ['another hash', { hash: 'ip' }],
  ['enabled', { enabled: true }],
  ['nothing', {}],
]

for (const [state, over] of Object.entries(OVER)) {
  for (const [what, change, after] of BEGINS) {
    const begins = after === 'any' || state !== 'rolled-back by the guard'
    test(`${begins ? 'begins again' : 'stays as it is'} by ${what} where it is ${state}`, () => {
      const { clock, release } = over()
      const before = release.status()
      release.update(change)
      const { percentage, start } = { ...before, ...change }
      if (!begins) return expect(release.status()).toEqual({ ...before, percentage: 7, start: null, duration: null })
      const fixed = percentage === 7
      const ahead = start === 5000
      expect(release.status()).toMatchObject({
        state: ahead ? 'scheduled' : 'running',
        bucketsOnB: fixed ? 7 : 0,
        reason: null,
        by: null,
        at: clock.now,
        elapsed: ahead ? null : 0,
        endsAt: fixed ? null : ahead ? 5100 : clock.now + 100,
      })
    })
  }
  test.each(STAYS)(`stays as it is by %s where it is ${state}`, (_, change) => {
    const { release } = over()
    const { state: was, bucketsOnB, steps, reason, by } = release.status()
    release.update(change)
    const after = release.status()
    expect(after).toMatchObject({ state: was, reason, by })
    expect(after.bucketsOnB / after.steps).toBe(bucketsOnB / steps)
  })
}

test('begins again by another percentage of a fixed one, and by the same one never', () => {
  const release = createRelease({ name: 'r', upstreams, percentage: 10, logger })
  for (const [percentage, state] of [
    [10, 'promoted'],
    [20, 'running'],
  ] as const) {
    release.promote()
    release.update({ percentage })
    expect(release.status().state).toBe(state)
  }
})

test('stores another percentage under the rollback of the guard, says so, and begins with it when it is restarted', () => {
  const warnings: string[] = []
  const release = createRelease({
    name: 'r',
    upstreams,
    percentage: 10,
    logger: { ...logger, warn: (message) => void warnings.push(message) },
  })
  release.rollback('rolled back: B failed', 'guard')
  // A second rollback, by a person, lifts nothing.
  release.rollback('I saw it', 'ada')
  warnings.length = 0
  release.update({ percentage: 20 })
  release.update({ percentage: 20, exposeHeader: 'x-upstream' })
  expect(release.status()).toMatchObject({ state: 'rolled-back', by: 'guard', percentage: 20, bucketsOnB: 0 })
  expect(warnings).toEqual(['canary release r: still rolled back by the guard: begin again by restart()'])
  release.restart('B is repaired', 'ada')
  expect(release.status()).toMatchObject({ state: 'running', bucketsOnB: 200, reason: 'B is repaired', by: 'ada' })
})

test('restarts from bucket 0, with the share that it is told', () => {
  const { clock, release } = rampAt(1050)
  release.restart('again', 'ada')
  const begun = { state: 'running', at: 1050, elapsed: 0, reason: 'again', by: 'ada' }
  expect(release.status()).toMatchObject({ ...begun, bucketsOnB: 0, start: 1000, endsAt: 1150 })
  clock.now = 1080
  expect(release.decide().bucketsOnB).toBe(30)
  release.restart(undefined, undefined, { duration: '10s' })
  expect(release.status()).toMatchObject({ bucketsOnB: 0, duration: 10, endsAt: 1090, reason: null, by: 'code' })
  release.restart('later', 'ada', { start: 2000, duration: 50 })
  expect(release.status()).toMatchObject({ state: 'scheduled', at: 1080, elapsed: null, endsAt: 2050 })
  clock.now = 2025
  expect(release.decide().bucketsOnB).toBe(50)
  release.restart('at once', 'ada', { percentage: 5 })
  expect(release.status()).toMatchObject({ state: 'running', percentage: 5, start: null, bucketsOnB: 5 })
  release.restart('from a start that has passed', 'ada', { start: 1990 })
  expect(release.status()).toMatchObject({ state: 'running', start: 1990, duration: 3600, bucketsOnB: 0, elapsed: 0 })
})

test('restarts a paused and a disabled release, whose time goes on when it is enabled', () => {
  const { clock, release } = rampAt(1050)
  release.pause('wait', 'guard')
  release.restart()
  expect(release.status()).toMatchObject({ state: 'running', bucketsOnB: 0 })
  release.update({ enabled: false })
  release.restart()
  clock.now = 1090
  release.update({ enabled: true })
  clock.now = 1100
  expect(release.status()).toMatchObject({ state: 'running', bucketsOnB: 10 })
})

test.each([
  [{ percentage: 5, start: 1000 }, 'ERR_CANARY_OPTION'],
  [{ percentage: 5, duration: 5 }, 'ERR_CANARY_OPTION'],
  [{ percentage: 101 }, 'ERR_CANARY_OPTION'],
  [{ start: '2026-02-31' }, 'ERR_CANARY_OPTION'],
  [{ steps: 5 }, 'ERR_CANARY_OPTION'],
  [null, 'ERR_CANARY_OPTION'],
])('refuses to restart with %o, and changes nothing', (share, code) => {
  const { release } = rampAt(1050)
  release.rollback('errors')
  const before = release.status()
  expect(() => Reflect.apply(release.restart, release, ['why', 'ada', share])).toThrow(
    expect.objectContaining({ code }),
  )
  expect(release.status()).toEqual(before)
})

test('keeps a pause through an update of its share, which applies', () => {
  const { clock, release } = rampAt(1050)
  release.pause()
  clock.now = 1060
  release.update({ start: 1020 })
  clock.now = 1090
  expect(release.status()).toMatchObject({ state: 'paused', bucketsOnB: 40 })
  release.update({ percentage: 7 })
  expect(release.status()).toMatchObject({ state: 'paused', bucketsOnB: 7 })
  release.resume()
  expect(release.status()).toMatchObject({ state: 'running', bucketsOnB: 7 })
})

test('does not run a ramp on below a rollback: another start begins from bucket 0', () => {
  const { clock, release } = rampAt(1050)
  expect(release.decide().bucketsOnB).toBe(50)
  release.rollback()
  clock.now = 1500
  expect(release.decide()).toMatchObject({ bucketsOnB: 0, reason: 'rolled-back' })
  release.update({ start: 1490 })
  expect(release.decide().bucketsOnB).toBe(0)
  clock.now = 1520
  expect(release.decide().bucketsOnB).toBe(20)
})

test('is in force from the next request on', () => {
  const { release } = rampAt(1050)
  const sides = () => [release.decide({ consumer: 'a' }).reason, release.status().bucketsOnB]
  expect(sides()).toEqual(['bucket', 50])
  release.rollback()
  expect(sides()).toEqual(['rolled-back', 0])
  release.update({ percentage: 100 })
  expect(sides()).toEqual(['bucket', 100])
  release.promote()
  expect(sides()).toEqual(['promoted', 100])
})

test('refuses every change after close, and still decides', () => {
  const { release } = rampAt(1050)
  release.close()
  for (const move of moves) {
    expect(() => make(release, move)).toThrow(expect.objectContaining({ code: 'ERR_CANARY_CLOSED', status: 503 }))
  }
  expect(release.decide({ consumer: 'a' }).reason).toBe('bucket')
  release.close()
})

test('refuses with an error of the one class', () => {
  const { release } = rampAt(1050)
  expect(() => release.resume()).toThrow(CanaryError)
})
