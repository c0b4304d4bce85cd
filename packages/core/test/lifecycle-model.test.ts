import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { CanaryError, type Release, type ReleaseOptions, createRelease } from '../src/entries/index.js'

const upstreams = { A: 'http://a:1', B: 'http://b:1' }
const logger = { info() {}, warn() {}, error() {} }
const STEPS = 100

type Command =
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'pause' | 'resume'; readonly by: 'guard' | 'ada' }
  | { readonly do: 'rollback' | 'promote' }
  | { readonly do: 'percentage'; readonly percentage: number }
  | { readonly do: 'start'; readonly startMs: number; readonly durationMs: number | null }
  | { readonly do: 'duration'; readonly durationMs: number }
  | { readonly do: 'enable' | 'disable' | 'header' | 'process' | 'decide' }

/** The design's table and words, written down once more in another way: whole milliseconds, time banked and running. */
class Model {
  now = 0
  mode: 'live' | 'paused' | 'rolled-back' | 'promoted' = 'live'
  pausedBy = ''
  enabled = true
  percentage: number | null = 20
  startMs = 0
  durationMs = 3_600_000
  banked = 0
  since = 0

  elapsed(): number {
    return this.mode === 'paused' ? this.banked : this.banked + Math.max(0, this.now - this.since)
  }

  /** What decides. */
  buckets(): number {
    return this.enabled ? this.reached() : 0
  }

  reached(): number {
    if (this.mode === 'rolled-back') return 0
    if (this.mode === 'promoted') return STEPS
    if (this.percentage !== null) return Math.floor((this.percentage * STEPS) / 100)
    return Math.floor((Math.min(this.elapsed(), this.durationMs) * STEPS) / this.durationMs)
  }

  state(): string {
    if (this.mode !== 'live') return this.mode
    if (this.reached() === STEPS) return 'complete'
    return this.percentage === null && this.now < this.since ? 'scheduled' : 'running'
  }

  /** Where the command is refused: with which code. */
  refusal(command: Command): string | null {
    const state = this.state()
    switch (command.do) {
      case 'pause':
        return state === 'scheduled' || state === 'running' ? null : 'ERR_CANARY_STATE'
      case 'resume':
        return state === 'paused' && (command.by !== 'guard' || this.pausedBy === 'guard') ? null : 'ERR_CANARY_STATE'
      case 'promote':
        return state === 'rolled-back' ? 'ERR_CANARY_STATE' : null
      case 'duration':
        return this.percentage === null ? null : 'ERR_CANARY_OPTION'
      default:
        return null
    }
  }

  apply(command: Command): void {
    switch (command.do) {
      case 'wait':
        this.now += command.ms
        break
      case 'pause':
        this.banked = this.elapsed()
        this.mode = 'paused'
        this.pausedBy = command.by
        break
      case 'resume':
        this.mode = 'live'
        this.since = this.now
        if (this.percentage === null && this.now < this.startMs) this.begin()
        break
      case 'rollback':
        this.mode = 'rolled-back'
        break
      case 'promote':
        this.mode = 'promoted'
        break
      case 'percentage':
        this.percentage = command.percentage
        this.begin()
        break
      case 'start':
        if (this.percentage !== null) this.durationMs = 3_600_000
        this.percentage = null
        this.startMs = command.startMs
        this.durationMs = command.durationMs ?? this.durationMs
        this.begin()
        break
      case 'duration':
        this.durationMs = command.durationMs
        break
      case 'enable':
      case 'disable':
        this.enabled = command.do === 'enable'
        break
      default:
    }
  }

  /** Anew from the start; a pause stays a pause. */
  begin(): void {
    this.since = this.startMs
    this.banked = 0
    if (this.mode === 'paused') this.banked = Math.max(0, this.now - this.startMs)
    else this.mode = 'live'
  }
}

function perform(release: Release, command: Command): void {
  if (command.do === 'pause') release.pause('why', command.by)
  else if (command.do === 'resume') release.resume(command.by)
  else if (command.do === 'rollback' || command.do === 'promote') release[command.do]('why')
  else if (command.do === 'header') release.update({ exposeHeader: 'x-upstream' })
  else if (command.do === 'decide') release.decide({ consumer: 'x' })
  else if (command.do !== 'wait' && command.do !== 'process') release.update(optionsOf(command))
}

function optionsOf(command: Command): Partial<ReleaseOptions> {
  if (command.do === 'percentage') return { percentage: command.percentage }
  if (command.do === 'enable' || command.do === 'disable') return { enabled: command.do === 'enable' }
  if (command.do === 'duration') return { duration: command.durationMs / 1000 }
  if (command.do !== 'start') return {}
  const { startMs, durationMs } = command
  return { start: startMs / 1000, ...(durationMs === null ? {} : { duration: durationMs / 1000 }) }
}

function codeOf(run: () => void): string | null {
  try {
    run()
    return null
  } catch (error) {
    return error instanceof CanaryError ? error.code : String(error)
  }
}

const ms = fc.integer({ min: 0, max: 4_000_000 })
const people = fc.constantFrom('guard' as const, 'ada' as const)
const commands = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), ms }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const), by: people }) },
  fc.record({ do: fc.constantFrom('rollback' as const, 'promote' as const) }),
  fc.record({ do: fc.constant('percentage' as const), percentage: fc.integer({ min: 0, max: 100 }) }),
  fc.record({
    do: fc.constant('start' as const),
    startMs: fc.integer({ min: 0, max: 20_000_000 }),
    durationMs: fc.option(fc.integer({ min: 1, max: 10_000_000 })),
  }),
  fc.record({ do: fc.constant('duration' as const), durationMs: fc.integer({ min: 1, max: 10_000_000 }) }),
  fc.record({ do: fc.constantFrom('enable' as const, 'disable' as const) }),
  fc.record({ do: fc.constantFrom('header' as const, 'process' as const, 'decide' as const) }),
)

test('goes through any sequence of moves, updates, waits and restarts of the process as the model does', () => {
  const reached = new Set<string>()
  fc.assert(
    fc.property(fc.array(commands, { maxLength: 40 }), (sequence) => {
      const model = new Model()
      const common = { name: 'r', upstreams, steps: STEPS, clock: () => model.now, logger }
      const build = (state?: ReleaseOptions['state']) => {
        const { percentage, startMs, durationMs, enabled } = model
        const time = percentage === null ? { start: startMs / 1000, duration: durationMs / 1000 } : { percentage }
        return createRelease({ ...common, ...time, enabled, state })
      }
      let release = build()
      for (const command of sequence) {
        const before = release.status()
        const refusal = model.refusal(command)
        expect(codeOf(() => perform(release, command))).toBe(refusal)
        if (refusal === null) model.apply(command)
        else expect(release.status()).toEqual(before)
        if (command.do === 'process') release = build(JSON.parse(JSON.stringify(release.status())))
        const { state, bucketsOnB } = release.status()
        expect({ state, bucketsOnB }).toEqual({ state: model.state(), bucketsOnB: model.buckets() })
        expect(release.decide({ consumer: 'x' }).bucketsOnB).toBe(model.buckets())
        reached.add(`${before.state} ${command.do}`)
      }
    }),
    { seed: 51, numRuns: 3000 },
  )
  // The sequences met each of 13 commands in each of 6 states.
  expect(reached.size).toBe(13 * 6)
})
