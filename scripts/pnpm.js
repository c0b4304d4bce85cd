// Runs the pinned pnpm through npx, so that neither a global pnpm nor corepack is needed.
// `exec` runs a binary that is installed here directly: nothing is fetched, and it starts faster.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const windows = process.platform === 'win32'

// How the registry is reached is the user's to say. The rest of what npm hands to its scripts speaks of npm (its prefix,
// a leftover `omit` or `global`), and pnpm would take it for its own.
const NETWORK = /^npm_config_(?:\/\/|.*(?:registry|proxy|userconfig|globalconfig|cache|cafile|strict_ssl|fetch_))/i
const INHERITED = /^(?:npm_|pnpm_|node_env$)/i

function environment() {
  const entries = Object.entries(process.env)
  return Object.fromEntries(entries.filter(([name]) => NETWORK.test(name) || !INHERITED.test(name)))
}

/** Node starts `.cmd` files only through a shell, which takes its arguments as one line. */
function run(binary, args, options) {
  const [file, ...rest] = windows
    ? [binary, ...args].map((part) => `"${part.replaceAll('"', '""')}"`)
    : [binary, ...args]
  const result = spawnSync(file, rest, { cwd: root, stdio: 'inherit', shell: windows, ...options })
  if (result.error) throw result.error
  return result.status ?? 1
}

/** Runs `pnpm ...args` in the root, and returns its exit code. What it prints may be left out. */
export function pnpm(args, { stdio = 'inherit' } = {}) {
  const [command, name, ...rest] = args
  if (command === 'exec' && name !== undefined) {
    const installed = join('node_modules', '.bin', windows ? `${name}.cmd` : name)
    if (existsSync(join(root, installed))) return run(installed, rest, { stdio })
    process.stderr.write(`${name} is not installed: run \`npm run setup\` first\n`)
    return 1
  }
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return run(windows ? 'npx.cmd' : 'npx', ['--yes', packageManager, ...args], { stdio, env: environment() })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = pnpm(process.argv.slice(2))
