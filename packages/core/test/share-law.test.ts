import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Release, createRelease } from '../src/entries/index.js'

const logger = { info() {}, warn() {}, error() {} }
const START = 1_800_000_000

type Command =
  | { readonly do: 'clock'; readonly ms: number }
  | { readonly do: 'requests'; readonly count: number }
  | { readonly do: 'edit'; readonly edit: { duration?: number; steps?: number; enabled?: boolean } }
  | { readonly do: 'pause' | 'resume' | 'process' | 'explain' }

const commands: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('clock' as const), ms: fc.integer({ min: 0, max: 3_000_000 }) }),
  },
  // The clock steps back, and may have fractions of a millisecond.
  fc.record({ do: fc.constant('clock' as const), ms: fc.integer({ min: -2_000_000, max: 0 }) }),
  fc.record({ do: fc.constant('clock' as const), ms: fc.double({ min: 0, max: 1000, noNaN: true }) }),
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('requests' as const), count: fc.integer({ min: 1, max: 300 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('edit' as const),
      edit: fc.record(
        {
          duration: fc.oneof(fc.integer({ min: 1, max: 20_000 }), fc.double({ min: 0.001, max: 1e6, noNaN: true })),
          steps: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 100_000 })),
          enabled: fc.boolean(),
        },
        { requiredKeys: [] },
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const) }) },
  fc.record({ do: fc.constantFrom('process' as const, 'explain' as const) }),
)

const cases = [
  { name: 'runs by the clock', guard: false },
  { name: 'is held until B had its requests', guard: { hold: true, latency: false } },
] as const

test.each(cases)('no edit, pause or clock lowers the share of a ramp that $name', ({ guard }) => {
  const seen = { held: 0, edited: 0 }
  fc.assert(
    fc.property(fc.array(commands, { maxLength: 40 }), (sequence) => {
      let nowMs = START * 1000
      const options = {
        name: 'r',
        upstreams: { A: 'http://a:1', B: 'http://b:1' },
        start: START,
        duration: 3600,
        steps: 100,
        enabled: true,
        hash: 'none' as const,
        guard,
        logger,
        clock: () => nowMs,
        random: () => 0,
      }
      let release = createRelease(options)
      /** The largest share that was ever seen. */
      let floor: readonly [bigint, bigint] = [0n, 1n]
      for (const command of sequence) {
        if (command.do === 'clock') nowMs += command.ms
        else if (command.do === 'requests') send(release, command.count)
        else if (command.do === 'explain') release.explain({})
        else if (command.do === 'edit') {
          Object.assign(options, command.edit)
          release.update(command.edit)
          seen.edited += 1
        } else if (command.do === 'process') {
          const state = JSON.parse(JSON.stringify(release.status()))
          release.close()
          release = createRelease({ ...options, state })
        } else move(release, command.do)
        const { bucketsOnB, steps, state } = release.status()
        if (!options.enabled) {
          expect(release.decide().upstream).toBe('A')
          continue
        }
        expect(['scheduled', 'running', 'complete', 'paused']).toContain(state)
        const share = [BigInt(bucketsOnB), BigInt(steps)] as const
        expect(share[0] * floor[1] >= floor[0] * share[1], `${floor.join('/')} fell to ${share.join('/')}`).toBe(true)
        floor = share
        if (release.guard?.report().reason?.startsWith('held at') === true) seen.held += 1
      }
      release.close()
    }),
    { seed: 52, numRuns: 1000 },
  )
  expect(seen.edited).toBeGreaterThan(1000)
  if (guard !== false) expect(seen.held).toBeGreaterThan(500)
})

function send(release: Release, count: number): void {
  for (let i = 0; i < count; i += 1) {
    const decision = release.decide()
    release.record({ decision, status: 200, error: null, aborted: false, durationMs: 5 })
  }
}

function move(release: Release, to: 'pause' | 'resume'): void {
  const { state } = release.status()
  if (to === 'resume' && state === 'paused') release.resume()
  if (to === 'pause' && (state === 'running' || state === 'scheduled')) release.pause()
}
