// Packs every package and checks what would be published: publint, and are-the-types-wrong for ES modules.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pnpm } from './pnpm.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'canary-packages-'))

function run(binary, args) {
  const result = spawnSync(join(root, 'node_modules', '.bin', binary), args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  return result.status === 0
}

try {
  // It lists every file on stdout.
  const quiet = { stdio: ['ignore', 'ignore', 'inherit'] }
  let good = pnpm(['--recursive', '--filter', './packages/*', 'pack', '--pack-destination', folder], quiet) === 0
  const tarballs = readdirSync(folder).filter((name) => name.endsWith('.tgz'))
  good &&= tarballs.length === readdirSync(join(root, 'packages')).length
  if (!good) process.stderr.write(`Not every package could be packed: ${tarballs.join(', ')}\n`)
  for (const name of tarballs) {
    const tarball = join(folder, name)
    process.stdout.write(`\n${name}\n`)
    good = run('publint', ['run', tarball, '--strict']) && good
    good = run('attw', [tarball, '--profile', 'esm-only', '--quiet']) && good
  }
  process.exitCode = good ? 0 : 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
