import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type GuardOptions, type RunName, asUnfinished, openGuard, resolveGuardOptions } from '../../src/guard/index.js'
import { RunFiles } from '../../src/registry/stores/run-files.js'
import { WatchedRelease } from './harness.js'

const OPTIONS: GuardOptions = { latency: false }

const nameOf = (options: GuardOptions = OPTIONS, run = 'run-1'): RunName => ({
  run,
  options: resolveGuardOptions(options, false),
  hash: 'none',
})

/** The release of the process that comes next, a minute later. */
async function successor(before: WatchedRelease, text: string, options = OPTIONS): Promise<WatchedRelease> {
  const saved = await openGuard(text, nameOf(options))
  const after = new WatchedRelease(options, false, saved, before.now + 60_000)
  after.view = before.view
  return after
}

function bad(release: WatchedRelease, seconds: number): void {
  for (let i = 0; i < seconds; i += 1) {
    release.send('A', 190, 2)
    release.send('B', 10, 2)
    release.second()
  }
}

function healthy(release: WatchedRelease, seconds: number): void {
  for (let i = 0; i < seconds; i += 1) {
    release.send('A', 190, 10)
    release.send('B', 10, 0)
    release.second()
  }
}

describe('a run that outlives its process', () => {
  it('goes on with its evidence and its counts, as if nothing had been', async () => {
    const [one, other] = [new WatchedRelease(OPTIONS), new WatchedRelease(OPTIONS)]
    for (const each of [one, other]) bad(each, 2)
    const next = await successor(one, await one.guard.save(nameOf(), true))
    expect(next.guard.report()).toMatchObject({ a: { n: 380, k: 4 }, b: { n: 20, k: 4 } })
    for (const each of [next, other]) bad(each, 1)
    expect(next.guard.report().evidence).toStrictEqual(other.guard.report().evidence)
    expect(next.guard.report().evidence.errors).toBeGreaterThan(1)
  })

  it('lifts a pause that it made, when the evidence has fallen', async () => {
    const one = new WatchedRelease({ ...OPTIONS, alpha: 1e-9 })
    while (one.moves.length === 0) bad(one, 1)
    expect(one.moves).toEqual([expect.stringMatching(/^paused: /)])
    const options = { ...OPTIONS, alpha: 1e-9 }
    const next = await successor(one, await one.guard.save(nameOf(options), true), options)
    next.second()
    expect(next.moves).toEqual([])
    for (let i = 0; i < 600 && next.moves.length === 0; i += 1) healthy(next, 1)
    expect(next.moves).toEqual([expect.stringMatching(/^resumed: /)])
  })

  it('leaves a pause alone that a person has lifted', async () => {
    const options = { ...OPTIONS, alpha: 1e-9 }
    const one = new WatchedRelease(options)
    while (one.moves.length === 0) bad(one, 1)
    one.view = { ...one.view, state: 'running' }
    bad(one, 1)
    const next = await successor(one, await one.guard.save(nameOf(options), true), options)
    bad(next, 5)
    expect(next.moves).toEqual([])
    expect(next.guard.report().evidence.errors).toBeGreaterThan(10)
  })

  it('keeps what was done and no evidence, if its process died', async () => {
    const options = { ...OPTIONS, alpha: 1e-9 }
    const one = new WatchedRelease(options)
    while (one.moves.length === 0) bad(one, 1)
    const next = await successor(one, asUnfinished(await one.guard.save(nameOf(options), true)), options)
    expect(next.guard.report()).toMatchObject({ verdict: 'paused', evidence: { errors: 1 }, b: { n: 0, k: 0 } })
    const minutely = await successor(one, await one.guard.save(nameOf(options), false), options)
    expect(minutely.guard.report()).toMatchObject({ verdict: 'paused', b: { n: 0, k: 0 } })
  })

  it('ends with the run of its record, and with other options', async () => {
    const one = new WatchedRelease(OPTIONS)
    bad(one, 2)
    const text = await one.guard.save(nameOf(), true)
    expect(await openGuard(text, nameOf(OPTIONS, 'run-2'))).toBeNull()
    expect(await openGuard(text, nameOf({ ...OPTIONS, alpha: 0.05 }))).toBeNull()
    expect(await openGuard(text, nameOf())).not.toBeNull()
  })

  it.each(['', '{}', '[]', '{"format":2}', 'null'])('is not read from %j', async (text) => {
    await expect(openGuard(text, nameOf())).rejects.toBeInstanceOf(Error)
  })

  it('goes on after a clock was set back', async () => {
    const one = new WatchedRelease(OPTIONS)
    bad(one, 2)
    const saved = await openGuard(await one.guard.save(nameOf(), true), nameOf())
    const next = new WatchedRelease(OPTIONS, false, saved, one.now - 3_600_000)
    bad(next, 2)
    expect(next.guard.report().b).toEqual({ n: 40, k: 8 })
    expect(next.errors).toEqual([])
  })
})

describe('the files of runs', () => {
  const plugin = '5b8c0b5e-6d3c-4d6d-8a0b-3f7f6f1f2a11'
  let folder: string
  let files: RunFiles

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'canary-runs-'))
    files = new RunFiles(join(folder, 'canary.json'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  async function text(): Promise<string> {
    const one = new WatchedRelease(OPTIONS)
    bad(one, 2)
    return one.guard.save(nameOf(), true)
  }

  it('give what was saved last, once as the whole of it', async () => {
    expect(await files.take(plugin)).toBeNull()
    const whole = await text()
    await files.save(plugin, whole)
    expect(await files.take(plugin)).toBe(whole)
    // The process that took it has died since.
    expect(await files.take(plugin)).toBe(asUnfinished(whole))
    await files.remove(plugin)
    await files.remove(plugin)
    expect(await files.take(plugin)).toBeNull()
  })

  it('are only their owner’s to read', async () => {
    await files.save(plugin, await text())
    const { mode } = await stat(join(folder, 'canary.json.runs', plugin))
    expect(mode & 0o777).toBe(0o600)
    expect((await stat(join(folder, 'canary.json.runs'))).mode & 0o777).toBe(0o700)
  })

  it('that are damaged are an error, and stay', async () => {
    await mkdir(join(folder, 'canary.json.runs'))
    const path = join(folder, 'canary.json.runs', plugin)
    await writeFile(path, '{ "format": 1')
    await expect(files.take(plugin)).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
    expect(await readFile(path, 'utf8')).toBe('{ "format": 1')
  })

  it.each(['../../etc/passwd', '', 'a/b', '.'])('are of no plugin %j', async (id) => {
    await expect(files.take(id)).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
    await expect(files.save(id, '')).rejects.toMatchObject({ code: 'ERR_CANARY_STORE' })
  })
})
