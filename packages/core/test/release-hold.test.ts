import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ReleaseOptions, ReleaseStatus } from '../src/entries/index.js'
import { UNTOUCHED } from '../src/release/lifecycle.js'
import { Release } from '../src/release/release.js'

const DAY = 86_400_000
const START = 1_700_000_000

/** A ramp of a day, held until B had the requests that it takes; its clock is moved by hand. */
class HeldRamp {
  now = START * 1000
  readonly warnings: string[] = []
  readonly options: ReleaseOptions
  readonly release: Release

  constructor(state?: ReleaseStatus) {
    this.options = {
      name: 'orders-v2',
      upstreams: { A: 'http://a:1', B: 'http://b:1' },
      start: START,
      duration: '1d',
      hash: 'none',
      guard: { hold: true, tickMs: 1000 },
      clock: () => this.now,
      logger: { info() {}, warn: (message) => this.warnings.push(message), error() {} },
    }
    this.release = new Release({ ...this.options, ...(state === undefined ? {} : { state }) })
  }

  /** Requests that end well. */
  send(requests: number): void {
    for (let i = 0; i < requests; i += 1) {
      const decision = this.release.decide()
      this.release.record({ decision, status: 200, durationMs: 5, error: null, aborted: false })
    }
  }

  get onB(): number {
    return this.release.status().bucketsOnB
  }
}

describe('a ramp that is held', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('stays at the share that it has reached, also in what it says of itself, however long nobody comes', () => {
    const held = new HeldRamp()
    held.now += DAY / 100
    held.send(1)
    const reached = held.onB
    expect(reached).toBe(10)
    for (const later of [DAY / 10, DAY, 30 * DAY]) {
      held.now += later
      expect(held.onB).toBe(reached)
      expect(held.release.status().state).toBe('running')
      vi.advanceTimersByTime(1000)
      held.send(1)
      expect(held.onB).toBe(reached)
    }
    expect(held.release.guard?.report().verdict).not.toBe('breach')
    held.release.close()
  })

  test('stays there when other options are changed, and when it is paused and resumed', () => {
    const held = new HeldRamp()
    held.now += DAY / 100
    held.send(1)
    for (const change of [
      () => held.release.update({ upstreamFallback: true }),
      () => held.release.adopt({ ...held.options, upstreamFallback: false, state: UNTOUCHED }),
      () => held.release.pause(),
      () => held.release.resume(),
      () => held.release.update({ override: { header: 'x-canary' } }),
    ]) {
      held.now += DAY / 10
      vi.advanceTimersByTime(1000)
      change()
      held.now += DAY / 10
      held.send(1)
      expect(held.onB).toBe(10)
    }
    held.release.close()
  })

  test('is where it was in a process that is given its state', () => {
    const first = new HeldRamp()
    first.now += DAY / 100
    first.send(1)
    first.now += DAY / 2
    const state = JSON.parse(JSON.stringify(first.release.status()))
    first.release.close()
    const second = new HeldRamp(state)
    second.now = first.now
    expect(second.onB).toBe(10)
    second.send(1)
    second.now += DAY / 2
    second.send(1)
    expect(second.onB).toBe(10)
    second.release.close()
  })

  test('begins anew with another start', () => {
    const held = new HeldRamp()
    held.now += DAY / 100
    held.send(1)
    held.now += DAY / 2
    held.send(1)
    held.release.update({ start: held.now / 1000 - 3600 })
    expect(held.onB).toBe(41)
    held.release.close()
  })

  test('goes on from there, bucket by bucket, once B had its requests', () => {
    const held = new HeldRamp()
    held.now += DAY / 100
    held.send(1)
    held.now += DAY / 2
    for (let second = 0; second < 2000 && held.onB === 10; second += 1) {
      held.now += 1000
      held.send(500)
    }
    expect(held.onB).toBeGreaterThan(10)
    expect(held.onB).toBeLessThan(20)
    expect(held.warnings[0]).toMatch(/^canary release orders-v2: held at 1 %: B has had \d/)
    held.release.close()
  })
})

describe('a ramp that is held, of a hash that keeps identities together', () => {
  const HOUR = 3_600_000

  function stickyRamp() {
    let now = START * 1000
    const release = new Release({
      name: 'orders-v2',
      upstreams: { A: 'http://a:1', B: 'http://b:1' },
      start: START,
      duration: '1h',
      guard: { hold: true, latency: false },
      clock: () => now,
      logger: { info() {}, warn() {}, error() {} },
    })
    const bucketOf = (consumer: string) => release.explain({ consumer }).decision.bucket ?? -1
    return {
      release,
      /** Consumers by their buckets, ascending. */
      consumers: (count: number) =>
        Array.from({ length: count }, (_, i) => `consumer-${i}`).toSorted((a, b) => bucketOf(a) - bucketOf(b)),
      bucketOf,
      /** A second each, in which one of them asks. */
      pass(milliseconds: number, who: readonly string[], perSecond = 1) {
        const end = now + milliseconds
        for (let i = 0; now < end; now += 1000) {
          for (let n = 0; n < perSecond && who.length > 0; n += 1, i += 1) {
            const decision = release.decide({ consumer: who[i % who.length] ?? '' })
            release.record({ decision, status: 200, durationMs: 5, error: null, aborted: false })
          }
        }
      },
      get onB() {
        return release.status().bucketsOnB
      },
    }
  }

  test('goes on past buckets that nobody uses, up to the first that somebody does', () => {
    const ramp = stickyRamp()
    const who = ramp.consumers(3)
    const first = ramp.bucketOf(who[0] ?? '')
    ramp.pass(HOUR * (first / 1000) + 300_000, who)
    // That one is on B now, and has to be judged.
    expect(ramp.onB).toBe(first + 1)
    expect(ramp.release.guard?.report().hold?.had).toBeLessThan(ramp.release.guard?.report().hold?.needed ?? 0)
    ramp.release.close()
  })

  test('goes on past the first once B has had its requests, and past one who left', () => {
    const ramp = stickyRamp()
    const who = ramp.consumers(3)
    const [first, second] = [ramp.bucketOf(who[0] ?? ''), ramp.bucketOf(who[1] ?? '')]
    ramp.pass(HOUR, who, 20)
    expect(ramp.onB).toBeGreaterThan(first + 1)
    const left = stickyRamp()
    left.pass(HOUR * (first / 1000) + 300_000, who)
    expect(left.onB).toBe(first + 1)
    // Nobody asks from there for ten minutes.
    left.pass(580_000, who.slice(1))
    expect(left.onB).toBe(first + 1)
    left.pass(120_000, who.slice(1))
    expect(left.onB).toBeGreaterThan(first + 1)
    expect(left.onB).toBeLessThanOrEqual(second + 1)
    ramp.release.close()
    left.release.close()
  })

  test('stays where it is without traffic, and with too little of it', () => {
    const ramp = stickyRamp()
    const who = ramp.consumers(3)
    ramp.pass(60_000, who.slice(0, 1))
    const { onB } = ramp
    ramp.pass(HOUR, [])
    expect(ramp.onB).toBe(onB)
    for (let i = 0; i < 99; i += 1) ramp.pass(1000, who.slice(2))
    expect(ramp.onB).toBe(onB)
    ramp.pass(120_000, who.slice(2))
    expect(ramp.onB).toBeGreaterThan(onB)
    ramp.release.close()
  })
})
