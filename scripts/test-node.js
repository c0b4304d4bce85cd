// Runs the tests on other versions of Node: `npm run test:node -- 22 24`. The npm package `node` brings the binaries.
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const versions = process.argv.slice(2).filter((argument) => /^\d+/.test(argument))
if (versions.length === 0) {
  process.stderr.write('which versions? npm run test:node -- 22 24\n')
  process.exit(2)
}

let failed = false
for (const version of versions) {
  const where = spawnSync('npx', ['--yes', '--package', `node@${version}`, '--', 'node', '-p', 'process.execPath'], {
    cwd: root,
    encoding: 'utf8',
  })
  const binary = where.stdout.trim().split('\n').at(-1)
  if (where.status !== 0 || !binary) {
    process.stderr.write(`node@${version} could not be fetched\n${where.stderr}`)
    process.exit(1)
  }
  process.stdout.write(`\nNode ${version}: ${binary}\n`)
  const run = spawnSync(binary, [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run'], {
    cwd: root,
    stdio: 'inherit',
    // Programs that tests start are this Node too.
    env: { ...process.env, PATH: `${dirname(binary)}:${process.env.PATH}` },
  })
  failed ||= run.status !== 0
}
process.exitCode = failed ? 1 : 0
