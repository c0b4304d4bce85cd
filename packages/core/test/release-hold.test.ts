import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Release, createRelease } from '../src/index.js'

const DAY = 86_400_000
const START = 1_700_000_000

/** A ramp of a day, held until B had the requests that it takes; its clock is moved by hand. */
class HeldRamp {
  now = START * 1000
  readonly warnings: string[] = []
  readonly release: Release = createRelease({
    name: 'orders-v2',
    upstreams: { A: 'http://a:1', B: 'http://b:1' },
    start: START,
    duration: '1d',
    hash: 'none',
    guard: { hold: true, tickMs: 1000 },
    clock: () => this.now,
    logger: { info() {}, warn: (message) => this.warnings.push(message), error() {} },
  })

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
