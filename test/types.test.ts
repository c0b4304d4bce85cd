import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const here = fileURLToPath(new URL('.', import.meta.url))
const tsc = join(here, '..', 'node_modules', '.bin', 'tsc')

test('compiles what must compile, and nothing that must not, from ES modules and from CommonJS', () => {
  const { stdout, status } = spawnSync(tsc, ['-p', join(here, 'types')], { encoding: 'utf8' })
  expect(stdout).toBe('')
  expect(status).toBe(0)
})

test('is loaded by require() in a CommonJS program', () => {
  const program = `
    const { createRelease, CanaryError } = require('@canary-release/core')
    const { createHandler } = require('@canary-release/core/node')
    const release = createRelease({ name: 'x', upstreams: { A: 'http://a', B: 'http://b' }, percentage: 0 })
    for (const name of ['express', 'koa', 'fastify']) require('@canary-release/' + name).canary.call
    createHandler(release).close().then(() => console.log(release.decide().upstream, typeof CanaryError))
  `
  const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', program], { cwd: here, encoding: 'utf8' })
  expect([stdout, status], stderr).toEqual(['A function\n', 0])
})
