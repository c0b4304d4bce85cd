// Installs and builds what `npm start` and `npm test` need. The second time it only checks.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pnpm } from './pnpm.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const stamp = join(root, 'node_modules', '.setup')

/** What the installation follows from: the lockfile, the manifests and the version of Node. */
function fingerprint() {
  const hash = createHash('sha256').update(process.version)
  const folders = [
    '.',
    ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`),
    'examples',
    'test',
    'bench',
  ]
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', ...folders.map((folder) => `${folder}/package.json`)]) {
    const path = join(root, file)
    if (existsSync(path)) hash.update(readFileSync(path))
  }
  return hash.digest('hex')
}

function step(args) {
  const status = pnpm(args)
  if (status !== 0) process.exit(status)
}

const wanted = fingerprint()
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  step(['install', '--frozen-lockfile', '--reporter=append-only', '--loglevel=warn'])
  writeFileSync(stamp, wanted)
}
step(['exec', 'tsc', '-b'])
