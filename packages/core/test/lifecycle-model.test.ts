import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { CanaryError, type Release, type ReleaseOptions, createRelease } from '../src/entries/index.js'

const logger = { info() {}, warn() {}, error() {} }
const HOUR = 3_600_000

type Command =
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'pause' | 'resume' | 'rollback'; readonly by: 'guard' | 'ada' }
  | { readonly do: 'promote' | 'location' }
  | { readonly do: 'percentage'; readonly percentage: number }
  | { readonly do: 'start'; readonly startMs: number; readonly durationMs: number | null }
  | { readonly do: 'restart'; readonly share: 'the same' | { percentage: number } | { startMs: number } }
  | { readonly do: 'duration'; readonly durationMs: number }
  | { readonly do: 'steps'; readonly steps: number }
  | { readonly do: 'enable' | 'disable' | 'header' | 'process' | 'decide' }

const isOver = (state: string) => state === 'rolled-back' || state === 'promoted' || state === 'complete'

/** The rules, written down once more in another way: the milliseconds that counted, moved on by each wait. */
class Model {
  now = 0
  mode: 'live' | 'paused' | 'rolled-back' | 'promoted' = 'live'
  by = ''
  enabled = true
  percentage: number | null = 20
  startMs: number | null = null
  durationMs = HOUR
  steps = 100
  location = 0
  /** Milliseconds of the ramp that counted; below 0 until it starts. */
  counted = 0

  /** What decides. */
  buckets(): number {
    if (!this.enabled || this.mode === 'rolled-back') return 0
    return this.mode === 'promoted' ? this.steps : this.reached()
  }

  reached(): number {
    if (this.percentage !== null) return bucketsOf(this.percentage, this.steps)
    return Math.floor((Math.max(0, Math.min(this.counted, this.durationMs)) * this.steps) / this.durationMs)
  }

  /** What it does, or would were it enabled. */
  life(): string {
    if (this.mode !== 'live') return this.mode
    if (this.reached() === this.steps) return 'complete'
    const waits = this.startMs !== null && this.now < this.startMs && this.counted <= 0
    return waits ? 'scheduled' : 'running'
  }

  state(): string {
    return this.mode === 'live' && !this.enabled ? 'disabled' : this.life()
  }

  /** Where the command is refused: with which code. */
  refusal(command: Command): string | null {
    const life = this.life()
    switch (command.do) {
      case 'pause':
        return life === 'scheduled' || life === 'running' ? null : 'ERR_CANARY_STATE'
      case 'resume':
        return life === 'paused' && (command.by !== 'guard' || this.by === 'guard') ? null : 'ERR_CANARY_STATE'
      case 'promote':
        return life === 'rolled-back' ? 'ERR_CANARY_STATE' : null
      case 'restart':
        if (typeof command.share === 'object' && 'percentage' in command.share) {
          if (reachesNothing(command.share.percentage, this.steps)) return 'ERR_CANARY_OPTION'
        }
        return life === 'scheduled' ? 'ERR_CANARY_STATE' : null
      case 'percentage':
        return reachesNothing(command.percentage, this.steps) ? 'ERR_CANARY_OPTION' : null
      case 'steps':
        return this.percentage !== null && reachesNothing(this.percentage, command.steps) ? 'ERR_CANARY_OPTION' : null
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
        if (this.mode === 'live' && this.enabled) this.counted += command.ms
        break
      case 'pause':
        this.stop()
        this.mode = 'paused'
        this.by = command.by
        break
      case 'resume':
        this.mode = 'live'
        this.go()
        break
      case 'rollback':
        if (this.mode !== 'rolled-back' || this.by !== 'guard') this.by = command.by
        this.mode = 'rolled-back'
        break
      case 'promote':
        this.mode = 'promoted'
        break
      case 'percentage':
        this.setPercentage(command.percentage)
        break
      case 'start':
        this.setStart(command.startMs, command.durationMs)
        break
      case 'restart':
        this.restart(command.share)
        break
      case 'duration':
        this.resize(command.durationMs, this.steps)
        break
      case 'steps':
        this.resize(this.durationMs, command.steps)
        break
      case 'location':
        this.location += 1
        if (isOver(this.life())) this.begin()
        break
      case 'disable':
        if (this.enabled && this.mode === 'live') this.stop()
        this.enabled = false
        break
      case 'enable':
        if (!this.enabled) {
          this.enabled = true
          if (this.mode === 'live') this.go()
        }
        break
      default:
    }
  }

  /** Time stands still: what is before the start does not count. */
  stop(): void {
    this.counted = Math.max(0, this.counted)
  }

  /** Time goes on: before its start a ramp still waits for it. */
  go(): void {
    this.counted = Math.max(0, this.counted)
    if (this.enabled && this.startMs !== null && this.now < this.startMs) this.counted = this.now - this.startMs
  }

  setPercentage(percentage: number): void {
    const differs = this.percentage !== percentage
    const begins = differs && isOver(this.life()) && !(this.mode === 'rolled-back' && this.by === 'guard')
    this.percentage = percentage
    this.startMs = null
    if (begins) this.begin()
  }

  setStart(startMs: number, durationMs: number | null): void {
    const over = isOver(this.life())
    if (this.startMs === startMs) return this.resize(durationMs ?? this.durationMs, this.steps)
    this.durationMs = durationMs ?? (this.percentage === null ? this.durationMs : HOUR)
    this.percentage = null
    this.startMs = startMs
    if (over) return this.begin()
    this.counted = this.now - startMs
    if (this.mode === 'paused' || !this.enabled) this.stop()
  }

  restart(share: Extract<Command, { do: 'restart' }>['share']): void {
    if (share !== 'the same' && 'percentage' in share) {
      this.percentage = share.percentage
      this.startMs = null
    } else if (share !== 'the same') {
      if (this.percentage !== null) this.durationMs = HOUR
      this.percentage = null
      this.startMs = share.startMs
    }
    this.begin()
  }

  /** Anew, from bucket 0. */
  begin(): void {
    this.mode = 'live'
    this.counted = this.startMs === null ? 0 : Math.min(0, this.now - this.startMs)
  }

  /** The fraction stays, and the share does not fall. */
  resize(durationMs: number, steps: number): void {
    const before = { durationMs: this.durationMs, steps: this.steps }
    this.durationMs = durationMs
    this.steps = steps
    if (this.percentage !== null || this.counted <= 0) return
    if (this.counted >= before.durationMs) {
      this.counted = durationMs
      return
    }
    const buckets = Math.floor((this.counted * before.steps) / before.durationMs)
    const kept = Math.ceil((buckets * steps) / before.steps)
    this.counted = Math.ceil((this.counted * durationMs) / before.durationMs)
    while (this.reached() < kept) this.counted += 1
  }
}

const bucketsOf = (percentage: number, steps: number) => Math.floor((percentage * steps) / 100)
const reachesNothing = (percentage: number, steps: number) => percentage > 0 && bucketsOf(percentage, steps) === 0

function upstreamsOf(location: number): ReleaseOptions['upstreams'] {
  return { A: 'http://a:1', B: `http://b:${location + 1}` }
}

function perform(release: Release, command: Command, model: Model): void {
  if (command.do === 'pause') release.pause('why', command.by)
  else if (command.do === 'resume') release.resume(command.by)
  else if (command.do === 'rollback') release.rollback('why', command.by)
  else if (command.do === 'promote') release.promote('why')
  else if (command.do === 'restart') release.restart('why', 'ada', shareOf(command.share))
  else if (command.do === 'header') release.update({ exposeHeader: 'x-upstream' })
  else if (command.do === 'location') release.update({ upstreams: upstreamsOf(model.location + 1) })
  else if (command.do === 'decide') release.decide({ consumer: 'x' })
  else if (command.do !== 'wait' && command.do !== 'process') release.update(optionsOf(command))
}

function shareOf(share: Extract<Command, { do: 'restart' }>['share']) {
  if (share === 'the same') return {}
  return 'percentage' in share ? share : { start: share.startMs / 1000 }
}

function optionsOf(command: Command): Partial<ReleaseOptions> {
  if (command.do === 'percentage') return { percentage: command.percentage }
  if (command.do === 'steps') return { steps: command.steps }
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
const by = fc.constantFrom('guard' as const, 'ada' as const)
// Few values, so that the same is said again.
const percentage = fc.constantFrom(0, 5, 20, 20, 50, 99, 100)
const startMs = fc.oneof(fc.constantFrom(0, 1000, 5_000_000), fc.integer({ min: 0, max: 20_000_000 }))
const durationMs = fc.oneof(fc.constant(HOUR), fc.integer({ min: 1, max: 10_000_000 }))
const commands: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('wait' as const), ms }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const), by }) },
  fc.record({ do: fc.constant('rollback' as const), by }),
  fc.record({ do: fc.constantFrom('promote' as const, 'location' as const) }),
  fc.record({ do: fc.constant('percentage' as const), percentage }),
  fc.record({ do: fc.constant('start' as const), startMs, durationMs: fc.option(durationMs) }),
  fc.record({
    do: fc.constant('restart' as const),
    share: fc.oneof(fc.constant('the same' as const), fc.record({ percentage }), fc.record({ startMs })),
  }),
  fc.record({ do: fc.constant('duration' as const), durationMs }),
  fc.record({ do: fc.constant('steps' as const), steps: fc.constantFrom(1, 7, 100, 100, 333, 1000) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('enable' as const, 'disable' as const) }) },
  fc.record({ do: fc.constantFrom('header' as const, 'process' as const, 'decide' as const) }),
)

/** Commands that never lower the share of a ramp that runs. */
const KEEPS = new Set(['wait', 'pause', 'resume', 'duration', 'steps', 'enable', 'header', 'process', 'decide'])

test('goes through any sequence of moves, updates, waits and restarts of the process as the model does', () => {
  const reached = new Set<string>()
  fc.assert(
    fc.property(fc.array(commands, { maxLength: 40 }), (sequence) => {
      const model = new Model()
      const build = (state?: ReleaseOptions['state']) => {
        const { percentage: share, startMs: start, durationMs: duration, enabled, steps, location } = model
        const time = start === null ? { percentage: share ?? 0 } : { start: start / 1000, duration: duration / 1000 }
        const common = { name: 'r', upstreams: upstreamsOf(location), clock: () => model.now, logger }
        return createRelease({ ...common, ...time, steps, enabled, state })
      }
      let release = build()
      for (const command of sequence) {
        const before = release.status()
        const refusal = model.refusal(command)
        expect(codeOf(() => perform(release, command, model))).toBe(refusal)
        if (refusal === null) model.apply(command)
        else expect(release.status()).toEqual(before)
        if (command.do === 'process') release = build(JSON.parse(JSON.stringify(release.status())))
        const { state, bucketsOnB, steps } = release.status()
        expect({ state, bucketsOnB }).toEqual({ state: model.state(), bucketsOnB: model.buckets() })
        expect(release.decide({ consumer: 'x' }).bucketsOnB).toBe(model.buckets())
        if (KEEPS.has(command.do) && before.percentage === null) {
          expect(bucketsOnB * before.steps).toBeGreaterThanOrEqual(before.bucketsOnB * steps)
        }
        reached.add(`${before.state} ${command.do}`)
      }
    }),
    { seed: 51, numRuns: 4000 },
  )
  // The sequences met each of 16 commands in each of 7 states.
  expect(reached.size).toBe(16 * 7)
})
