import { expect, test } from 'vitest'
import {
  CanaryError,
  type Release,
  type ReleaseOptions,
  type ReleaseState,
  createRelease,
} from '../src/entries/index.js'

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
  else if (move === 'restart') release.update({ start: 1000 })
  else release[move]()
}

/** Each state, reached by moves alone at 1050 s (900 s while scheduled, 1200 s where complete). */
const reach: Record<ReleaseState, () => Release> = {
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
const TABLE: Record<ReleaseState, Record<Row, ReleaseState | 'no'>> = {
  scheduled: {
    pause: 'paused',
    resume: 'no',
    rollback: 'rolled-back',
    promote: 'promoted',
    update: 'scheduled',
    restart: 'scheduled',
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
    restart: 'complete',
  },
  paused: {
    pause: 'no',
    resume: 'running',
    rollback: 'rolled-back',
    promote: 'promoted',
    update: 'paused',
    restart: 'paused',
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
  expect(release.status()).toMatchObject({ state: 'running', bucketsOnB: 0 })
  release.rollback()
  release.update({ enabled: true })
  expect(release.decide()).toMatchObject({ upstream: 'A', reason: 'rolled-back', bucketsOnB: 0 })
})

test('restarts a rolled-back release only with a percentage or a start', () => {
  const { release } = rampAt(1050)
  release.rollback('errors', 'guard')
  release.update({ duration: 50, steps: 1000, hash: 'ip', upstreams: { A: 'http://a:1', B: 'http://b:9' } })
  expect(release.status()).toMatchObject({ state: 'rolled-back', reason: 'errors', by: 'guard', bucketsOnB: 0 })
  release.update({ percentage: 5 })
  expect(release.status()).toMatchObject({ state: 'running', percentage: 5, start: null, reason: null, by: null })
  release.promote()
  release.update({ start: 1040, duration: 100 })
  expect(release.status()).toMatchObject({ state: 'running', percentage: null, start: 1040, bucketsOnB: 100 })
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

test('does not run a ramp on below a rollback: a restart begins anew', () => {
  const { clock, release } = rampAt(1050)
  expect(release.decide().bucketsOnB).toBe(50)
  release.rollback()
  clock.now = 1500
  expect(release.decide()).toMatchObject({ bucketsOnB: 0, reason: 'rolled-back' })
  release.update({ start: 1490 })
  expect(release.decide().bucketsOnB).toBe(10)
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
