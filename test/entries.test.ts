import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const here = fileURLToPath(new URL('.', import.meta.url))
const packages = join(here, '..', 'packages')

/** What users may import: every entry of every package that `exports` names. */
const entries = readdirSync(packages).flatMap((name) => {
  const manifest: unknown = JSON.parse(readFileSync(join(packages, name, 'package.json'), 'utf8'))
  const exported = typeof manifest === 'object' && manifest !== null && 'exports' in manifest ? manifest.exports : {}
  return Object.keys(exported ?? {})
    .filter((entry) => !entry.endsWith('.json'))
    .map((entry) => join('@canary-release', name, entry).replaceAll('\\', '/'))
})

const PROGRAM = `
  const entry = process.argv[1]
  const required = require(entry)
  import(entry).then((imported) => {
    const same = Object.keys(imported).every((name) => name === 'module.exports' || required[name] === imported[name])
    console.log(JSON.stringify({ names: Object.keys(imported).length, same }))
  })
`

describe('of what is built,', () => {
  test('there are the packages that are published', () => {
    expect(entries.filter((entry) => entry.split('/').length === 2).toSorted()).toEqual(
      ['admin', 'core', 'express', 'fastify', 'koa', 'postgres', 'redis'].map((name) => `@canary-release/${name}`),
    )
  })

  for (const entry of entries) {
    test(`${entry} is one and the same by import and by require(), and keeps no process alive`, () => {
      const run = spawnSync(process.execPath, ['-e', PROGRAM, entry], { cwd: here, encoding: 'utf8', timeout: 20_000 })
      expect([run.status, run.signal], run.stderr).toEqual([0, null])
      const { names, same }: { names: number; same: boolean } = JSON.parse(run.stdout)
      expect(names).toBeGreaterThan(0)
      expect(same).toBe(true)
    })
  }
})
