import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { GuardReport } from '../../src/guard/index.js'
import { countText } from '../../src/guard/words.js'
import { WatchedRelease } from './harness.js'

function sendUntilMoved(release: WatchedRelease, each: () => void): number {
  let seconds = 0
  for (; release.moves.length === 0 && seconds < 500; seconds += 1) {
    each()
    release.second()
  }
  return seconds
}

describe('a release whose B is worse', () => {
  it('is rolled back for failures, in words', () => {
    const release = new WatchedRelease({ pauseEvidence: 1e9 })
    sendUntilMoved(release, () => {
      release.send('A', 95)
      release.send('B', 5, 1)
    })
    const { evidence, a, b } = release.guard.report()
    const counts = `B failed ${b.k} of ${b.n} requests (20 %), A 0 of ${a.n} (0 %)`
    expect(release.moves).toEqual([
      `rolled back: ${counts}; evidence ${countText(Math.floor(evidence.combined))} against the 100 needed`,
    ])
    expect(b).toEqual({ n: 5 * b.k, k: b.k })
    expect(release.guard.report().verdict).toBe('breach')
  })

  it('is told in the figures of the regression, with spaces between thousands', () => {
    const release = new WatchedRelease({ pauseEvidence: 1e9 })
    for (let second = 0; second < 300; second += 1) {
      release.send('A', 95, second % 5 === 0 ? 1 : 0)
      release.send('B', 5)
      release.second()
    }
    expect(release.moves).toEqual([])
    sendUntilMoved(release, () => {
      release.send('A', 380)
      release.send('B', 20, 1)
    })
    const pattern =
      /^rolled back: B failed (\d+) of (\d+) requests \((\S+) %\), A (\d+) of (\d \d+) \((\S+) %\) in the last (\d+) s; evidence [\d ]+ against the 100 needed$/
    expect(release.moves[0]).toMatch(pattern)
    expect(Number(pattern.exec(release.moves[0] ?? '')?.[3])).toBeGreaterThan(4)
  })

  it('is rolled back for being slow', () => {
    const release = new WatchedRelease({ pauseEvidence: 1e9 })
    sendUntilMoved(release, () => {
      for (let i = 0; i < 95; i += 1) release.send('A', 1, 0, 20 + i)
      for (let i = 0; i < 5; i += 1) release.send('B', 1, 0, 60 + 40 * i)
    })
    expect(release.moves[0]).toMatch(
      /^rolled back: B took longer than \d+ ms for \d+ of \d+ requests \(\S+ %\), A for \d+ of [\d ]+ \(\S+ %\); evidence \d+ against the 100 needed$/,
    )
  })

  it('is rolled back by the hard limit when A fails too', () => {
    const release = new WatchedRelease()
    sendUntilMoved(release, () => {
      release.send('A', 50, 50)
      release.send('B', 50, 50)
    })
    const words = 'B failed 50 of 50 requests in a row (100 %), and the hard limit is 50 %'
    expect(release.moves).toEqual([`rolled back: ${words}`])
  })

  it('is rolled back where clients do not wait for a B that hangs', () => {
    const release = new WatchedRelease({ pauseEvidence: 1e9 })
    sendUntilMoved(release, () => {
      release.send('A', 95)
      for (let i = 0; i < 5; i += 1) {
        const decision = release.decision('B')
        const ticket = release.guard.admit(decision, null)
        const error = new Error('the client left')
        release.guard.observe(ticket, { decision, status: null, durationMs: 9000, error, aborted: true })
      }
    })
    expect(release.moves[0]).toMatch(/^rolled back: B took longer than/)
    expect(release.guard.report().b.k).toBe(0)
  })

  it('is only paused, for good, with onBreach pause', () => {
    const release = new WatchedRelease({ onBreach: 'pause', pauseEvidence: 1e9 })
    const bad = () => {
      release.send('A', 95)
      release.send('B', 5, 2)
    }
    sendUntilMoved(release, bad)
    expect(release.moves[0]).toMatch(/^paused: B failed .* against the 100 needed$/)
    for (let i = 0; i < 200; i += 1) {
      release.send('A', 95, 5)
      release.send('B', 5)
      release.second()
    }
    expect(release.moves).toHaveLength(1)
    expect(release.guard.report().verdict).toBe('breach')
  })

  it('is only told with onBreach pause, once the ramp has ended: nothing is left to pause', () => {
    const release = new WatchedRelease({ onBreach: 'pause', pauseEvidence: 1e9 })
    release.view = { ...release.view, state: 'complete' }
    for (let i = 0; i < 60; i += 1) {
      release.send('A', 95)
      release.send('B', 5, 2)
      release.second()
    }
    expect(release.moves).toEqual([])
    expect(release.lines).toHaveLength(1)
    expect(release.lines[0]).toMatch(/^breach: B failed .* against the 100 needed$/)
    expect(release.guard.report()).toMatchObject({ verdict: 'breach', reason: release.lines[0] })
  })

  it('is judged anew after a person resumed it', () => {
    const release = new WatchedRelease({ onBreach: 'pause', pauseEvidence: 1e9 })
    sendUntilMoved(release, () => {
      release.send('A', 95)
      release.send('B', 5, 2)
    })
    release.view = { ...release.view, state: 'running' }
    release.second()
    expect(release.guard.report()).toMatchObject({ verdict: 'blind', b: { n: 0, k: 0 } })
    release.moves.length = 0
    sendUntilMoved(release, () => {
      release.send('A', 95)
      release.send('B', 5, 2)
    })
    expect(release.moves).toHaveLength(1)
  })

  it('is left to a function, told once, whose failure is reported', async () => {
    const reports: GuardReport[] = []
    const release = new WatchedRelease({
      onBreach: async (report) => {
        reports.push(report)
        throw new Error('pager is down')
      },
    })
    for (let i = 0; i < 60; i += 1) {
      release.send('A', 95)
      release.send('B', 5, 2)
      release.view = { ...release.view, ramping: false }
      release.second()
    }
    await Promise.resolve()
    expect(reports).toHaveLength(1)
    expect(reports[0]).toMatchObject({ verdict: 'breach', needed: 100 })
    expect(release.errors).toEqual([new Error('pager is down')])
    expect(release.moves).toEqual([])
    expect(release.lines[0]).toMatch(/^breach: B failed/)
  })

  it('is not touched again once a person rolled it back or promoted it', () => {
    for (const state of ['rolled-back', 'promoted'] as const) {
      const release = new WatchedRelease()
      release.view = { ...release.view, state }
      for (let i = 0; i < 60; i += 1) {
        release.send('A', 95)
        release.send('B', 5, 3)
        release.second()
      }
      expect(release.moves).toEqual([])
    }
  })
})

describe('a ramp', () => {
  const suspicious = (release: WatchedRelease) => {
    while (release.guard.report().evidence.combined < 10) {
      release.send('A', 95)
      release.send('B', 5, 1)
      release.second()
    }
  }

  it('pauses on some evidence and goes on when it fell', () => {
    const release = new WatchedRelease()
    suspicious(release)
    expect(release.moves).toHaveLength(1)
    expect(release.moves[0]).toMatch(
      /^paused: B failed .*; evidence \d+ against the 10 that pause and the 100 that roll back$/,
    )
    expect(release.guard.report().verdict).toBe('paused')
    for (let i = 0; release.moves.length === 1 && i < 100; i += 1) {
      release.send('A', 95, 1)
      release.send('B', 5)
      release.second()
    }
    expect(release.moves[1]).toMatch(/^resumed: the evidence against B fell to \d/)
    expect(release.guard.report().verdict).toBe('ok')
  })

  it('that a person resumed is not paused again for the same evidence, but rolled back for more', () => {
    const release = new WatchedRelease()
    suspicious(release)
    release.view = { ...release.view, state: 'running' }
    release.send('A', 95)
    release.send('B', 5)
    release.second()
    expect(release.moves).toHaveLength(1)
    for (let i = 0; release.moves.length === 1 && i < 100; i += 1) {
      release.send('A', 95)
      release.send('B', 5, 2)
      release.second()
    }
    expect(release.moves[1]).toMatch(/^rolled back: /)
  })

  it('is not what a fixed percentage is: that is never paused', () => {
    const release = new WatchedRelease()
    release.view = { ...release.view, ramping: false }
    suspicious(release)
    expect(release.moves).toEqual([])
  })

  it('is held until B had the requests that it takes', () => {
    const release = new WatchedRelease({ hold: true })
    release.view = { ...release.view, bucketsOnB: 10 }
    const leaves = (bucketsOnB: number) => release.guard.mayReach(bucketsOnB, bucketsOnB + 5, 1000) === bucketsOnB + 5
    const mayAdvance = () => leaves(release.view.bucketsOnB)
    expect(leaves(0)).toBe(true)
    expect(mayAdvance()).toBe(false)
    expect(release.guard.holding()).toMatch(/B has no traffic at present$/)
    for (let i = 0; i < 10; i += 1) {
      release.send('A', 990, 1)
      release.send('B', 10)
      release.second()
    }
    const { hold } = release.guard.report()
    expect(hold).toMatchObject({ had: 100 })
    expect(hold?.seconds).toBeCloseTo(((hold?.needed ?? 0) - 100) / 10, 6)
    expect(release.guard.holding()).toMatch(
      /^held at 1 %: B has had 100 of the [\d ]+ requests that it takes to judge it; about \d+ (s|min) at the present traffic$/,
    )
    expect(release.lines).toHaveLength(1)
    for (let i = 0; !mayAdvance() && i < 1000; i += 1) {
      release.send('A', 990, 1)
      release.send('B', 10)
      release.second()
    }
    expect(mayAdvance()).toBe(true)
    expect(release.guard.holding()).toBeNull()
    expect(release.guard.mayReach(500, 505, 1000)).toBe(500)
  })
})

describe('silence', () => {
  it('is no health: without traffic, on one arm or at 0 and 100 %, the verdict is blind', () => {
    const release = new WatchedRelease()
    const verdict = () => release.guard.report().verdict
    expect(verdict()).toBe('blind')
    release.send('A', 10)
    release.second()
    expect(verdict()).toBe('blind')
    release.send('B', 10)
    release.second()
    expect(verdict()).toBe('ok')
    for (const bucketsOnB of [0, 1000]) {
      release.view = { ...release.view, bucketsOnB }
      expect(verdict()).toBe('blind')
    }
    release.view = { ...release.view, bucketsOnB: 50 }
    for (let i = 0; i < 62; i += 1) release.second()
    expect(verdict()).toBe('blind')
  })
})

describe('time', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('is the release’s clock: a request ticks where the clock went on', () => {
    const release = new WatchedRelease({ pauseEvidence: 1e9 })
    for (let i = 0; i < 100 && release.moves.length === 0; i += 1) {
      release.send('A', 95)
      release.send('B', 5, 2)
      release.now += 1000
    }
    expect(release.moves[0]).toMatch(/^rolled back/)
  })

  it('is looked at by a timer too, so that a breach is seen within a tick, also where the clock stands still', () => {
    for (const clock of [1000, 0]) {
      const release = new WatchedRelease({ pauseEvidence: 1e9, tickMs: 1000 })
      release.guard.start()
      for (let i = 0; i < 100 && release.moves.length === 0; i += 1) {
        release.send('A', 95)
        release.send('B', 5, 2)
        release.now += clock
        vi.advanceTimersByTime(1000)
      }
      expect(release.moves[0]).toMatch(/^rolled back/)
      release.guard.close()
      expect(vi.getTimerCount()).toBe(0)
    }
  })

  it('may step back', () => {
    const release = new WatchedRelease()
    release.send('B', 10, 1)
    release.now -= 3_600_000
    release.send('B', 10, 1)
    release.second()
    expect(release.guard.report().b).toEqual({ n: 20, k: 2 })
  })
})
