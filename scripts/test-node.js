// Runs the tests on other versions of Node: `npm run test:node -- 22 24`, on all that are supported where none
// is named. What follows the versions goes to Vitest.
// The binaries are those of the npm package `node`, fetched by npx and kept in its cache.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const windows = process.platform === 'win32'
const VERSION = /^\d+(?:\.\d+){0,2}$/

const given = process.argv.slice(2)
const firstOther = given.findIndex((argument) => !VERSION.test(argument))
const count = firstOther === -1 ? given.length : firstOther
const versions = count === 0 ? ['20.19', '22', '24', '26'] : given.slice(0, count)
const forVitest = given.slice(count)

const failed = versions.filter((version) => {
  process.stdout.write(`\n== Node ${version}\n`)
  const vitest = ['node', join('node_modules', 'vitest', 'vitest.mjs'), 'run', ...forVitest]
  const args = ['--yes', '--package', `node@${version}`, '--', ...vitest]
  const { status } = spawnSync(windows ? 'npx.cmd' : 'npx', args, { cwd: root, stdio: 'inherit', shell: windows })
  return status !== 0
})
if (failed.length > 0) process.stderr.write(`\nFailed on Node ${failed.join(', ')}.\n`)
process.exitCode = failed.length === 0 ? 0 : 1
