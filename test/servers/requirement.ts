import { accessSync, constants, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { beforeAll, describe } from 'vitest'

/** Where servers are besides PATH: Debian keeps those of PostgreSQL apart, by version. */
const VERSIONED = '/usr/lib/postgresql'

/** Debian's package of a program, for who lacks it. */
const PACKAGE_OF: Readonly<Record<string, string>> = { 'redis-server': 'redis-server', postgres: 'postgresql' }

/** The path of an installed program; `null` where there is none. */
export function findBinary(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...versioned()]
  return folders.map((folder) => join(folder, name)).find(isExecutable) ?? null
}

function versioned(): string[] {
  try {
    const versions = readdirSync(VERSIONED).toSorted((a, b) => Number(b) - Number(a))
    return versions.map((version) => join(VERSIONED, version, 'bin'))
  } catch {
    return []
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * `describe` for tests that need an installed program. Where it is missing they are skipped, and their title says for
 * lack of what; with `CI=true` that is a failure.
 */
export function requireBinary(name: string): (title: string, tests: () => void) => void {
  const isThere = findBinary(name) !== null
  const lack = `needs ${name}, which is not installed (Debian: apt-get install ${PACKAGE_OF[name] ?? name})`
  return (title, tests) => {
    const isSkipped = !isThere && process.env['CI'] !== 'true'
    if (isSkipped) process.stderr.write(`Skipped: ${title} ${lack}\n`)
    describe.skipIf(isSkipped)(`${title}${isThere ? '' : ` (${lack})`}`, () => {
      if (!isThere && !isSkipped) {
        beforeAll(() => {
          throw new Error(`${title} ${lack}`)
        })
      }
      tests()
    })
  }
}
