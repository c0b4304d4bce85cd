import { afterEach, describe, expect, test } from 'vitest'
import { type Release, type ReleaseOptions, createRelease } from '../src/entries/index.js'

const opened: Release[] = []
afterEach(() => {
  for (const release of opened.splice(0)) release.close()
})

interface Watched {
  readonly release: Release
  readonly warnings: string[]
  /** One request of somebody's, which fails on B and on A where it is told to. */
  send(who: string, fails?: { A?: boolean; B?: boolean }): 'A' | 'B'
  second(): void
  /** Names whose requests go to B, or to A. */
  names(upstream: 'A' | 'B', count: number): string[]
}

function watched(options: Partial<ReleaseOptions> = {}): Watched {
  let nowMs = 1_800_000_000_000
  const warnings: string[] = []
  const release = createRelease({
    name: 'orders-v2',
    upstreams: { A: 'http://a', B: 'http://b' },
    percentage: 50,
    guard: true,
    clock: () => nowMs,
    logger: { info() {}, warn: (message) => warnings.push(message), error() {} },
    ...options,
  })
  opened.push(release)
  const decide = (who: string) => release.decide({ consumer: who, groups: [who.split('-')[0] ?? ''] })
  return {
    release,
    warnings,
    send(who, fails = {}) {
      const decision = decide(who)
      const status = fails[decision.upstream] === true ? 500 : 200
      release.record({ decision, status, durationMs: 10, error: null, aborted: false })
      return decision.upstream
    },
    second: () => {
      nowMs += 1000
    },
    names(upstream, count) {
      const names: string[] = []
      for (let i = 0; names.length < count; i += 1) {
        const name = `user-${i}`
        if (release.explain({ consumer: name }).decision.upstream === upstream) names.push(name)
      }
      return names
    },
  }
}

describe('five partners, of whom B fails 40 % and A nobody', () => {
  test('are too few to judge, and the guard says so', () => {
    const { release, send, second, names } = watched({ guard: { hardLimit: false } })
    const partners = [...names('B', 3), ...names('A', 2)]
    for (let i = 0; i < 120_000; i += 1) {
      send(partners[i % 5] ?? '', { B: i % 5 < 2 || i % 2 === 0 })
      if (i % 100 === 99) second()
    }
    expect(release.status().state).toBe('running')
    expect(release.guard?.report()).toMatchObject({
      verdict: 'blind',
      unit: 'identity',
      reason: 'too few identities to judge: B has had 3, and at 50 % it takes 14',
    })
  })

  test('are enough once there are as many as the reason said, and B is rolled back where all of them fail', () => {
    const { release, send, second, names } = watched({ guard: { hardLimit: false, pauseEvidence: 100 } })
    const good = names('A', 30)
    const some = names('B', 30)
    const round = (count: number, fails: { B?: boolean }) => {
      for (const name of [...good, ...some.slice(0, count)]) send(name, fails)
      second()
    }
    round(13, {})
    round(13, {})
    expect(release.guard?.report().verdict).toBe('blind')
    round(14, {})
    round(14, {})
    expect(release.guard?.report()).toMatchObject({ verdict: 'ok', reason: null })
    round(14, { B: true })
    second()
    release.decide()
    expect(release.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
  })

  test('are judged one by one with the unit request', () => {
    const { release, send, second, names } = watched({ guard: { hardLimit: false, unit: 'request' } })
    const partners = [...names('B', 3), ...names('A', 2)]
    for (let i = 0; i < 2000 && release.status().state === 'running'; i += 1) {
      send(partners[i % 5] ?? '', { B: i % 2 === 0 })
      if (i % 100 === 99) second()
    }
    expect(release.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
  })
})

describe('the hard limit of a sticky hash', () => {
  const steadily = (stage: Watched, seconds: number, each: (second: number) => void) => {
    const [ofA = ''] = stage.names('A', 1)
    for (let second = 0; second < seconds; second += 1) {
      each(second)
      stage.second()
      // The guard looks where its clock went on and somebody comes.
      stage.send(ofA)
    }
    return stage.release.status()
  }

  test.each(['identity', 'request'] as const)(
    'lets nobody fail for all: one account that fails everything is no reason: unit %s',
    (unit) => {
      const stage = watched({ guard: { unit, latency: false, errors: { minFailures: 1_000_000 } } })
      const [broken = '', ...others] = stage.names('B', 20)
      const { state } = steadily(stage, 60, () => {
        for (let i = 0; i < 100; i += 1) stage.send(broken, { A: true, B: true })
        for (const name of [...others, ...stage.names('A', 20)]) stage.send(name)
      })
      expect(state).toBe('running')
    },
  )

  test('lets nobody fail for those who are not there at the moment', () => {
    const stage = watched({ guard: { latency: false, alpha: 1e-12, pauseEvidence: 1e9 } })
    const [broken = '', ...others] = stage.names('B', 3)
    const { state } = steadily(stage, 1500, (second) => {
      if (second === 0) for (const name of others) stage.send(name)
      for (let i = 0; i < 10; i += 1) stage.send(broken, { A: true, B: true })
    })
    expect(state).toBe('running')
  })

  test('rolls back where half of what each asks for fails, together with A', () => {
    const stage = watched()
    const all = [...stage.names('A', 20), ...stage.names('B', 20)]
    const { state, by, reason } = steadily(stage, 10, (second) => {
      for (const [i, name] of all.entries())
        for (let n = 0; n < 3; n += 1) stage.send(name, (second + n + i) % 3 > 0 ? { A: true, B: true } : {})
    })
    expect([state, by]).toEqual(['rolled-back', 'guard'])
    expect(reason).toMatch(
      /^rolled back: B failed \d+ of \d+ requests in a row, [\d.]+ % on the mean of 20 identities, and the hard limit is 50 %$/,
    )
  })

  test.each([1, 2])('is reached by %i that are all that B has', (count) => {
    const stage = watched()
    const all = [...stage.names('A', 5), ...stage.names('B', count)]
    const { state, by } = steadily(stage, 20, () => {
      for (const name of all) for (let i = 0; i < 10; i += 1) stage.send(name, { A: true, B: true })
    })
    expect([state, by]).toEqual(['rolled-back', 'guard'])
  })

  test('counts requests that fail after half a minute for those who sent them', () => {
    const stage = watched()
    const all = [...stage.names('A', 10), ...stage.names('B', 10)]
    const hanging: { at: number; fail: () => void }[] = []
    const { state } = steadily(stage, 60, (second) => {
      for (const who of all) {
        const decision = stage.release.decide({ consumer: who })
        const outcome = { decision, status: 504, durationMs: 30_000, error: null, aborted: false }
        hanging.push({ at: second + 30, fail: () => stage.release.record(outcome) })
      }
      while (hanging[0] !== undefined && hanging[0].at <= second) hanging.shift()?.fail()
    })
    expect(state).toBe('rolled-back')
  })
})

describe.each([
  ['allow', 'beta'],
  ['deny', 'alpha'],
] as const)('a release by groups (%s)', (kind, other) => {
  const group = kind === 'allow' ? 'beta' : 'alpha'
  const hash = kind === 'allow' ? { allow: ['beta'] } : { deny: ['alpha'] }
  const onB = kind === 'allow' ? 'beta-1' : 'beta-2'

  test('says when it is built that there is nothing to compare, and is blind for that reason', () => {
    const { release, warnings, send, second } = watched({ hash })
    expect(group).toBe(other)
    expect(warnings).toEqual([
      'canary release orders-v2: the guard has nothing to compare: with hash allow or deny the callers of B are chosen, not drawn. Only the hard limit looks at B',
    ])
    for (let i = 0; i < 50; i += 1) {
      expect(send(onB)).toBe('B')
      expect(send(kind === 'allow' ? 'alpha-1' : 'alpha-2')).toBe('A')
      second()
    }
    const { verdict, reason, evidence } = release.guard?.report() ?? {}
    expect(verdict).toBe('blind')
    expect(reason).toBe('callers of B are chosen by their groups, not drawn: there is nothing to compare it with')
    expect(evidence?.errors).toBe(1)
  })

  test('is rolled back by the hard limit where B fails', () => {
    const { release, send, second } = watched({ hash })
    for (let i = 0; i < 60 && release.status().state === 'running'; i += 1) {
      send(onB, { B: true })
      second()
    }
    expect(release.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
    expect(release.status().reason).toMatch(/hard limit/)
  })

  test('says so where its hard limit is off, and nothing without a guard', () => {
    expect(watched({ hash, guard: { hardLimit: false } }).warnings).toHaveLength(1)
    expect(watched({ hash, guard: false }).warnings).toEqual([])
    expect(watched().warnings).toEqual([])
  })
})
