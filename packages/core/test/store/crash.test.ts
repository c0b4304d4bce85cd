import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { fileStore } from '@canary-release/core/registry'
import { program, seeded } from './processes.js'

const KILLS = 100

/** Lets a process write, kills it some milliseconds after its first change, and says what it had promised by then. */
async function writeAndDie(file: string, afterMs: number): Promise<number> {
  const child = program('writing-process.js', file)
  await child.line('')
  await after(afterMs)
  child.kill('SIGKILL')
  const lines = await child.ended
  return Number(lines.at(-1)?.split(' ')[0])
}

describe('a writing process that is killed', () => {
  it(
    'leaves the old state or the new one, and no lock, 100 times at random instants',
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
              if ((await readdir(place)).some((name) => name.startsWith(`${lane}.json.`) && name.endsWith('.tmp')))
                midway += 1
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
        const left = (await readdir(place)).filter((name) => !/^[01]\.json(?:\.lock|\.[\w-]{36}\.tmp)?$/.test(name))
        expect(left).toEqual([])
        // At most what the last one left of each.
        expect((await readdir(place)).length).toBeLessThanOrEqual(6)
      } finally {
        await rm(place, { recursive: true })
      }
    },
  )
})
