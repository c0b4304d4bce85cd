// What users may import: the entries that `exports` of each package names, with their declarations.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/**
 * `internal` entries are for the packages of this repository alone: they are no part of the public interface.
 *
 * @param {string} root
 */
export function publicEntries(root) {
  return readdirSync(join(root, 'packages')).flatMap((folder) => {
    const manifest = JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8'))
    return Object.entries(manifest.exports)
      .filter(([path, target]) => typeof target === 'object' && !path.endsWith('/internal'))
      .map(([path, target]) => ({
        folder: join(root, 'packages', folder),
        packageName: manifest.name,
        /** `index` for the package itself, else the path behind its name. */
        name: path === '.' ? 'index' : path.slice(2),
        specifier: path === '.' ? manifest.name : `${manifest.name}/${path.slice(2)}`,
        declarations: join(root, 'packages', folder, target.types),
      }))
  })
}
