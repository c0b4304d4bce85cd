// The folders of the workspace, as pnpm-workspace.yaml names them.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Every folder of the workspace with a package.json, relative to the root. */
export function workspaceFolders(root) {
  const packages = readdirSync(join(root, 'packages')).map((name) => join('packages', name))
  return [...packages, 'examples', 'test', 'bench'].filter((folder) => existsSync(join(root, folder, 'package.json')))
}
