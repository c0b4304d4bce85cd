import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Registry, createRegistry, fileStore } from '@canary-release/core/registry'
import { SILENT, T0 } from './harness.js'

const PLUGIN = '00000000-0000-4000-8000-000000000001'
const GUARD = { latency: false } as const

let folder = ''
let now = 0
let identity = 0

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runs-'))
  now = T0 * 1000
  identity = 0
})
afterEach(() => rm(folder, { recursive: true }))

const path = () => join(folder, 'canary.json')
const runPath = () => join(folder, 'canary.json.runs', PLUGIN)

function open(guard: object = GUARD): Promise<Registry> {
  return createRegistry({ store: fileStore(path(), { logger: SILENT }), guard, clock: () => now, logger: SILENT })
}

/** A ramp that is at 10 %. */
async function addRamp(registry: Registry): Promise<void> {
  await registry.change('ops', (draft) => {
    const { entity } = draft.create('services', { name: 'orders', url: 'http://orders-v1' })
    const config = { start: now / 1000 - 3600, duration: 36_000, upstream_host: 'orders-v2' }
    draft.create('plugins', { id: PLUGIN, name: 'canary', service: { id: entity.id }, config })
  })
}

const releaseOf = (registry: Registry) => registry.release(PLUGIN) ?? expect.fail()
const stateOf = (registry: Registry) => releaseOf(registry).status().state

/** 100 requests a second: `bad` of B's fail at first, and some of A's if it does. */
function send(registry: Registry, seconds: number, bad = 0, doesAFail = false): void {
  const release = releaseOf(registry)
  for (let i = 0, left = bad; i < seconds * 100; i += 1) {
    now += 10
    const decision = release.decide({ consumer: `user-${(identity += 1)}` })
    const isBad = decision.upstream === 'B' && left > 0 && stateOf(registry) === 'running'
    if (isBad) left -= 1
    const fails = isBad || (doesAFail && decision.upstream === 'A' && i % 50 === 0)
    release.record({ decision, status: fails ? 500 : 200, error: null, aborted: false, durationMs: 5 })
  }
}

/** A failure of B now and then, until the guard has paused the ramp on the evidence. */
async function pausedByGuard(registry: Registry): Promise<void> {
  send(registry, 30)
  for (let i = 0; i < 60 && stateOf(registry) === 'running'; i += 1) send(registry, 2, 1)
  await stored(registry, 'paused')
}

const stored = (registry: Registry, state: string) =>
  vi.waitFor(() => expect(registry.get('plugins', PLUGIN)?.release).toMatchObject({ state, by: 'guard' }))

describe('the run of a guard', () => {
  it('outlives its process: a ramp that the guard paused goes on when the evidence falls', async () => {
    const first = await open()
    await addRamp(first)
    await pausedByGuard(first)
    const before = releaseOf(first).guard?.report()
    await first.close()

    await using second = await open()
    const after = releaseOf(second).guard?.report()
    expect(after).toMatchObject({ verdict: 'paused', needed: before?.needed })
    expect(after?.b.n).toBe(before?.b.n)
    expect(after?.evidence.combined).toBeGreaterThanOrEqual(10)
    for (let i = 0; i < 600 && stateOf(second) === 'paused'; i += 1) send(second, 1, 0, true)
    expect(releaseOf(second).status()).toMatchObject({ state: 'running', by: 'guard' })
    expect(releaseOf(second).status().reason).toMatch(/^resumed: the evidence against B fell to/)
    await stored(second, 'running')
  })

  it('leaves its pause to the next process also if it dies at once', async () => {
    const killed = await open()
    await addRamp(killed)
    await pausedByGuard(killed)
    await vi.waitFor(async () => expect(JSON.parse(await readFile(runPath(), 'utf8'))).toMatchObject({ whole: false }))

    await using next = await open()
    const report = releaseOf(next).guard?.report()
    // What was counted may be a part of it only: that is not judged.
    expect(report).toMatchObject({ verdict: 'paused', b: { n: 0, k: 0 } })
    send(next, 5)
    await stored(next, 'running')
    await killed.close()
  })

  it('is saved every minute in which it has seen something', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const registry = await open()
    try {
      await addRamp(registry)
      send(registry, 5)
      await vi.advanceTimersByTimeAsync(60_000)
      await vi.waitFor(async () => expect(await readdir(join(folder, 'canary.json.runs'))).toEqual([PLUGIN]))
      const saved = await readFile(runPath(), 'utf8')
      await rm(runPath())
      await vi.advanceTimersByTimeAsync(60_000)
      expect(await readdir(join(folder, 'canary.json.runs'))).toEqual([])
      send(registry, 5)
      await vi.advanceTimersByTimeAsync(60_000)
      await vi.waitFor(async () => expect(await readFile(runPath(), 'utf8')).not.toBe(saved))
    } finally {
      vi.useRealTimers()
      await registry.close()
    }
  })

  it('keeps to what a person has overruled', async () => {
    const first = await open()
    await addRamp(first)
    await pausedByGuard(first)
    await first.move(PLUGIN, 'resume', null, 'ops')
    send(first, 2)
    expect(stateOf(first)).toBe('running')
    await first.close()

    await using second = await open()
    send(second, 5)
    expect(stateOf(second)).toBe('running')
    expect(releaseOf(second).guard?.report().evidence.combined).toBeGreaterThanOrEqual(10)
  })

  it('is not taken by guards with other options, nor by another run', async () => {
    const first = await open()
    await addRamp(first)
    send(first, 30)
    await first.close()
    const other = await open({ ...GUARD, alpha: 0.05 })
    expect(releaseOf(other).guard?.report().b.n).toBe(0)
    await other.close()

    const third = await open()
    send(third, 30)
    await third.close()
    const fourth = await open()
    await fourth.move(PLUGIN, 'restart', null, 'ops')
    expect(releaseOf(fourth).guard?.report().b.n).toBe(0)
    await fourth.close()
  })

  it('is forgotten with its plugin', async () => {
    const registry = await open()
    await addRamp(registry)
    send(registry, 5)
    await registry.close()
    expect(await readdir(join(folder, 'canary.json.runs'))).toEqual([PLUGIN])
    const next = await open()
    await next.change('ops', (draft) => draft.remove('plugins', PLUGIN))
    await next.close()
    expect(await readdir(join(folder, 'canary.json.runs'))).toEqual([])
  })

  it('begins anew where it cannot be read, and that is said', async () => {
    const first = await open()
    await addRamp(first)
    send(first, 5)
    await first.close()
    await writeFile(runPath(), 'no run')
    const errors: unknown[] = []
    const store = fileStore(path(), { logger: SILENT })
    const onError = (error: unknown) => errors.push(error)
    const second = await createRegistry({ store, guard: GUARD, clock: () => now, logger: SILENT, onError })
    expect(errors).toEqual([expect.objectContaining({ code: 'ERR_CANARY_STORE' })])
    expect(releaseOf(second).guard?.report().b.n).toBe(0)
    await second.close()
  })

  it('is not written by who only reads', async () => {
    const first = await open()
    await addRamp(first)
    await first.close()
    await rm(join(folder, 'canary.json.runs'), { recursive: true, force: true })
    const store = fileStore(path(), { readOnly: true, logger: SILENT })
    const reader = await createRegistry({ store, guard: GUARD, clock: () => now, logger: SILENT })
    send(reader, 5)
    await reader.close()
    expect(await readdir(folder)).not.toContain('canary.json.runs')
  })
})
