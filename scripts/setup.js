// Installs and builds what `npm start` and `npm test` need. The second time it only checks.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pnpm } from './pnpm.js'
import { workspaceFolders } from './workspace.js'
import { withLock } from './lock.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const stamp = join(root, 'node_modules', '.setup')

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`canary-release needs Node 20.19 or newer, and this is Node ${process.versions.node}.\n`)
  process.exit(1)
}

/** What the installation follows from. */
function fingerprint() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`)
  const manifests = workspaceFolders(root).map((folder) => join(folder, 'package.json'))
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', ...manifests]) {
    hash.update(file).update(readFileSync(join(root, file)))
  }
  return hash.digest('hex')
}

/** The stamp is written when an installation is whole; folders may have been removed since. */
function isInstalled(wanted) {
  const folders = ['.', ...workspaceFolders(root)].map((folder) => join(root, folder, 'node_modules'))
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && folders.every((folder) => existsSync(folder))
}

function install(wanted) {
  rmSync(stamp, { force: true })
  process.stdout.write('Installing what package.json names; this is done once.\n')
  const quiet = ['--reporter=append-only', '--loglevel=warn']
  const status = pnpm(['install', '--frozen-lockfile', '--prod=false', '--config.confirmModulesPurge=false', ...quiet])
  if (status !== 0) {
    process.stderr.write('The installation failed: see above. `npm run setup` tries again.\n')
    return status
  }
  mkdirSync(join(root, 'node_modules'), { recursive: true })
  writeFileSync(stamp, wanted)
  return 0
}

process.exitCode = await withLock(join(root, '.setup.lock'), () => {
  const wanted = fingerprint()
  const status = isInstalled(wanted) ? 0 : install(wanted)
  return status === 0 ? pnpm(['exec', 'tsc', '-b']) : status
})
