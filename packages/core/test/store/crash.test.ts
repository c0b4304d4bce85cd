import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { fileStore } from '@canary-release/core/registry'

const KILLS = 200
const writer = fileURLToPath(new URL('writing-process.js', import.meta.url))

/** Numbers from 0 to 1 that are the same in every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Lets a process write, kills it some milliseconds after its first change, and says what it had promised by then. */
async function writeAndDie(file: string, afterMs: number): Promise<number> {
  const child = spawn(process.execPath, [writer, file], { stdio: ['ignore', 'pipe', 'pipe'] })
  let promised = 0
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += String(chunk)))
  const lines = createInterface({ input: child.stdout })
  const read = new Promise<void>((resolve) => lines.once('close', resolve))
  const begun = new Promise<void>((resolve) => {
    lines.on('line', (line) => {
      promised = Number(line)
      resolve()
    })
    child.once('exit', () => resolve())
  })
  await begun
  await after(afterMs)
  child.kill('SIGKILL')
  await read
  if (errors !== '') throw new Error(errors)
  return promised
}

describe('a writing process that is killed', () => {
  it(
    'leaves the old state or the new one, and no lock, 200 times at random instants',
    { timeout: 240_000 },
    async () => {
      const place = await mkdtemp(join(tmpdir(), 'canary-crash-'))
      const random = seeded(7)
      try {
        let versions = 0
        let midway = 0
        for (let kill = 0; kill < KILLS; kill += 2) {
          // Two at a time, each with a file of its own, written on by every second process.
          await Promise.all(
            [0, 1].map(async (lane) => {
              const file = join(place, `${lane}.json`)
              const promised = await writeAndDie(file, random() * 12)
              const state = await fileStore(file, { readOnly: true }).load()
              const version = state?.at.version ?? 0
              versions = Math.max(versions, version)
              if (existsSync(`${file}.tmp`)) midway += 1
              // What was promised is there; of what was not promised, at most one change.
              expect(version).toBeGreaterThanOrEqual(promised)
              expect(version).toBeLessThanOrEqual(promised + 1)
              const service = state?.rows.find(({ kind }) => kind === 'services')
              expect(service?.entity).toMatchObject({ host: `host-${version}`, path: `/${version}` })
              expect(state?.rows).toHaveLength(51)
            }),
          )
        }
        // Each process went on from where the one before was killed.
        expect(versions).toBeGreaterThan(KILLS / 2)
        // Otherwise no process was ever killed while it wrote, and this test showed nothing.
        expect(midway).toBeGreaterThan(KILLS / 20)
        const left = (await readdir(place)).filter((name) => !/^[01]\.json(?:\.lock|\.tmp)?$/.test(name))
        expect(left).toEqual([])
      } finally {
        await rm(place, { recursive: true })
      }
    },
  )
})
