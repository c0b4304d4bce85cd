import { beforeEach, describe, expect, it } from 'vitest'
import { WatchedRelease } from './harness.js'

describe('what is counted', () => {
  let release: WatchedRelease
  beforeEach(() => {
    release = new WatchedRelease()
  })
  const counted = () => {
    release.second()
    const { a, b } = release.guard.report()
    return { a, b }
  }

  it('is neither override nor group nor anything else that left nothing to chance', () => {
    for (const reason of ['override', 'group', 'disabled', 'promoted', 'rolled-back', 'fallback'] as const) {
      const decision = release.decision('B', { reason })
      const ticket = release.guard.admit(decision, null)
      release.guard.observe(ticket, { decision, status: 500, durationMs: 1, error: null, aborted: false })
      release.guard.fail(ticket, 'bad')
      release.guard.withdraw(ticket)
    }
    expect(counted()).toEqual({ a: { n: 0, k: 0 }, b: { n: 0, k: 0 } })
  })

  it('is a failed attempt at B that A then served, but no request that was never tried', () => {
    const tried = release.decision('B')
    const ticket = release.guard.admit(tried, null)
    const error = new Error('refused')
    release.guard.observe(ticket, { decision: tried, status: null, durationMs: 1, error, aborted: false })
    release.guard.withdraw(ticket)
    release.guard.withdraw(release.guard.admit(release.decision('B'), null))
    expect(counted()).toEqual({ a: { n: 0, k: 0 }, b: { n: 1, k: 1 } })
  })

  it('are no failures of clients that left, and no upgrades', () => {
    const endings = [
      { status: null, error: new Error('gone'), aborted: true },
      { status: 101, error: null, aborted: false },
      { status: 404, error: null, aborted: false },
      { status: 503, error: null, aborted: true },
    ]
    for (const ending of endings) {
      const decision = release.decision('B')
      release.guard.observe(release.guard.admit(decision, null), { decision, durationMs: 1, ...ending })
    }
    expect(counted()).toEqual({ a: { n: 0, k: 0 }, b: { n: 4, k: 1 } })
  })

  it('is what the application calls a failure, once, before or after the outcome', () => {
    const decision = release.decision('B')
    const outcome = { decision, status: 500, durationMs: 1, error: null, aborted: false }
    const before = release.guard.admit(decision, null)
    release.guard.fail(before, 'order lost')
    release.guard.observe(before, outcome)
    const after = release.guard.admit(decision, null)
    release.guard.observe(after, { ...outcome, status: 200 })
    release.guard.observe(after, outcome)
    release.guard.fail(after, 'paid twice')
    release.guard.fail(after, 'paid twice')
    expect(counted().b).toEqual({ n: 2, k: 2 })
    expect(release.guard.report().lastFailure).toBe('paid twice')
  })

  it('follows isFailure, and its own rule where that throws', () => {
    const own = new WatchedRelease({
      errors: {
        isFailure: ({ status }) => {
          if (status === 500) throw new Error('oops')
          return status === 404
        },
      },
    })
    for (const status of [200, 404, 500, 503]) {
      const decision = own.decision('B')
      const outcome = { decision, status, durationMs: 1, error: null, aborted: false }
      own.guard.observe(own.guard.admit(decision, null), outcome)
    }
    own.second()
    expect(own.guard.report().b).toEqual({ n: 4, k: 2 })
    expect(own.errors).toEqual([new Error('oops')])
  })

  it('refuses an isFailure that returns a promise, and follows its own rule then', async () => {
    const unhandled: unknown[] = []
    const listener = (error: unknown) => void unhandled.push(error)
    process.on('unhandledRejection', listener)
    const own = new WatchedRelease({
      errors: { isFailure: (async () => Promise.reject(new Error('oops'))) as never },
    })
    for (const status of [200, 404, 503]) {
      const decision = own.decision('B')
      const outcome = { decision, status, durationMs: 1, error: null, aborted: false }
      own.guard.observe(own.guard.admit(decision, null), outcome)
    }
    own.second()
    expect(own.guard.report().b).toEqual({ n: 3, k: 1 })
    expect(own.errors[0]).toMatchObject({
      code: 'ERR_CANARY_HOOK',
      message: 'guard.errors.isFailure returned a promise: it must not be async',
    })
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', listener)
    expect(unhandled).toEqual([])
  })

  it('begins anew on reset, and what was under way then counts no more', () => {
    const decision = release.decision('B')
    const old = release.guard.admit(decision, null)
    release.send('B', 10, 5)
    release.second()
    release.guard.reset()
    release.guard.observe(old, { decision, status: 500, durationMs: 1, error: null, aborted: false })
    release.guard.fail(old, 'late')
    expect(counted()).toEqual({ a: { n: 0, k: 0 }, b: { n: 0, k: 0 } })
    const { evidence, pValue, reason, lastFailure } = release.guard.report()
    expect(evidence).toEqual({ errors: 1, latency: 1, combined: 1 })
    expect([pValue, reason, lastFailure]).toEqual([1, null, null])
  })

  it('finds identities that fail on B alone, by the default of a sticky hash', () => {
    const sticky = new WatchedRelease({ pauseEvidence: 1e9 }, true)
    for (let i = 0; sticky.moves.length === 0 && i < 200; i += 1) {
      for (let n = 0; n < 40; n += 1) {
        const upstream = n < 4 ? 'B' : 'A'
        const decision = sticky.decision(upstream, { bucketsOnB: 100, hashedBy: 'consumer' })
        const status = n === 0 ? 500 : 200
        const ticket = sticky.guard.admit(decision, `user-${i}-${n}`)
        sticky.guard.observe(ticket, { decision, status, durationMs: 40, error: null, aborted: false })
      }
      sticky.second()
    }
    expect(sticky.moves[0]).toMatch(/^rolled back: B failed \d+ of \d+ requests \(25 %\), A 0 of [\d ]+ \(0 %\)/)
    expect(sticky.guard.report().unit).toBe('identity')
  })
})
