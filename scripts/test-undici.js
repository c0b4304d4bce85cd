// Runs the tests of forwarding on undici 8, which packages may be given in place of 7 on Node 22.19 and newer:
// `npm run test:undici`, or the files that are named.
import { spawnSync } from 'node:child_process'
import module from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const windows = process.platform === 'win32'
const FORWARDING = ['packages/core/test/proxy', 'test/conformance.test.ts', 'test/tracing', 'test/upstreams']

const given = process.argv.slice(2)

/** On this Node where it can, else by this program on a newer one; the hook reaches the programs that tests start too. */
function run() {
  if ('registerHooks' in module) {
    const vitest = [join('node_modules', 'vitest', 'vitest.mjs'), 'run', ...(given.length > 0 ? given : FORWARDING)]
    const hook = pathToFileURL(join(root, 'scripts', 'undici-8.js')).href
    const env = { ...process.env, NODE_OPTIONS: `--import ${hook}` }
    return spawnSync(process.execPath, vitest, { cwd: root, stdio: 'inherit', env })
  }
  const self = ['--yes', '--package', 'node@24', '--', 'node', join('scripts', 'test-undici.js'), ...given]
  return spawnSync(windows ? 'npx.cmd' : 'npx', self, { cwd: root, stdio: 'inherit', shell: windows })
}

process.exitCode = run().status ?? 1
