// Runs the pinned pnpm through npx, so that neither a global pnpm nor corepack is needed.
// Inside a pnpm script the workspace's own binaries are on the PATH already, so `exec` runs them directly.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** Runs `pnpm ...args` in the root and returns its exit code. `pnpm exec` needs no pnpm once the binary is installed. */
export function pnpm(args) {
  const [command, binary, ...rest] = args
  const local = join(root, 'node_modules', '.bin', binary ?? '')
  const direct = command === 'exec' && existsSync(local)
  const run = direct
    ? spawnSync(local, rest, { cwd: root, stdio: 'inherit' })
    : spawnSync('npx', ['--yes', packageManager, ...args], { cwd: root, stdio: 'inherit' })
  if (run.error) throw run.error
  return run.status ?? 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = pnpm(process.argv.slice(2))
