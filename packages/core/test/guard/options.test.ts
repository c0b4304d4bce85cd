import { describe, expect, it } from 'vitest'
import { type GuardOptions, resolveGuardOptions } from '../../src/guard/index.js'
import { evidenceText, findingText, rateText, timeText } from '../../src/guard/words.js'

describe('the options of a guard', () => {
  it('have defaults, also where undefined is given', () => {
    const { errors, ...rest } = resolveGuardOptions({ alpha: undefined, errors: { tolerate: undefined } }, false)
    expect(errors).toEqual({ tolerate: 1.25, minFailures: 5, isFailure: null })
    expect(rest).toEqual({
      alpha: 0.01,
      sticky: false,
      chosen: false,
      pauseEvidence: 10,
      onBreach: 'rollback',
      hold: false,
      unit: 'request',
      latency: { tolerate: 1.19, quantiles: [0.5, 0.75, 0.9, 0.99], floorMs: 5 },
      tickMs: 1000,
      judges: 1,
      version: null,
      hardLimit: { failureRate: 0.5, over: 50 },
      needed: 100,
    })
    expect(resolveGuardOptions(true, false)).toEqual(resolveGuardOptions({}, false))
  })

  it('judge by identity where the hash is sticky, unless told otherwise', () => {
    expect(resolveGuardOptions(true, true).unit).toBe('identity')
    expect(resolveGuardOptions({ unit: 'request' }, true).unit).toBe('request')
  })

  it('need more evidence the more judges there are and the fewer false alarms may be', () => {
    expect(resolveGuardOptions({ judges: 4, alpha: 0.001 }, false).needed).toBeCloseTo(4000, 9)
  })

  it.each<[GuardOptions, string]>([
    [{ alpha: 0 }, 'guard.alpha must be above 0 and at most 0.5'],
    [{ alpha: Number.NaN }, 'guard.alpha must be above 0 and at most 0.5'],
    [{ tickMs: 1.5 }, 'guard.tickMs must be a whole number from 50 to 60000'],
    [{ tickMs: 1 }, 'guard.tickMs must be a whole number from 50 to 60000'],
    [{ judges: 0 }, 'guard.judges must be a whole number from 1 to 1000000'],
    [{ errors: { tolerate: 0.5 } }, 'guard.errors.tolerate must be between 1 and 100'],
    [{ latency: { quantiles: [0.9, 0.75] } }, 'guard.latency'],
    [{ latency: { quantiles: [] } }, 'guard.latency'],
    [{ hardLimit: { failureRate: 2 } }, 'guard.hardLimit'],
  ])('are refused where they make no sense: %o', (options, message) => {
    expect(() => resolveGuardOptions(options, false)).toThrow(
      expect.objectContaining({ code: 'ERR_CANARY_OPTION', message: expect.stringContaining(message) }),
    )
  })

  it('are refused where they are unknown', () => {
    const misspelt = { alpha: 0.01, alhpa: 0.01 }
    expect(() => resolveGuardOptions(misspelt, false)).toThrow('alhpa')
  })
})

describe('the words', () => {
  it('are those of a person', () => {
    expect([1, 0.5, 0.0452, 0.000509, 0.00002, 0].map(rateText)).toEqual([
      '100 %',
      '50 %',
      '4.5 %',
      '0.05 %',
      '0.002 %',
      '0 %',
    ])
    expect([0.2, 40, 720, 10_800].map(timeText)).toEqual(['1 s', '40 s', '12 min', '3 h'])
    expect([0, 0.031, 200, 412.7, 5890.2, 1e12].map((evidence) => evidenceText(Math.log(evidence)))).toEqual([
      '0',
      '0.031',
      '200',
      '412',
      '5 890',
      '10^12',
    ])
  })

  it('say of failures how many of how many', () => {
    const finding = { kind: 'errors', a: { n: 5890, k: 3 }, b: { n: 310, k: 14 }, ticks: null } as const
    expect(findingText(finding, 1000)).toBe('B failed 14 of 310 requests (4.5 %), A 3 of 5 890 (0.05 %)')
  })
})
