import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

interface Source {
  /** Relative to the root, with slashes. */
  readonly path: string
  readonly text: string
  /** As written. */
  readonly imports: readonly string[]
  /** Without `import type` and `export type`: what is there at run time. */
  readonly values: readonly string[]
}

const IMPORT = /^(?:import|export)\s+(?!type\s)(?:[^'";]*?from\s+)?'([^']+)'/gm
const ANY_IMPORT = /^(?:import|export)\s+(?:[^'";]*?from\s+)?'([^']+)'/gm

function sourcesBelow(folder: string): Source[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => {
      const path = join(folder, name).replaceAll('\\', '/')
      const text = readFileSync(join(root, path), 'utf8')
      const found = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, from = '']) => from)
      return { path, text, imports: found(ANY_IMPORT), values: found(IMPORT) }
    })
}

const core = sourcesBelow('packages/core/src')
const adapters = ['express', 'koa', 'fastify'].map((name) => ({ name, sources: sourcesBelow(`packages/${name}/src`) }))
const all = [...core, ...adapters.flatMap(({ sources }) => sources), ...sourcesBelow('packages/admin/src')]

/** The folder of core that an import of a source leads to; `''` for a file at its top, `null` for another package. */
function folderOf({ path }: Source, from: string): string | null {
  if (!from.startsWith('.')) return null
  const target = relative('packages/core/src', join(dirname(path), from)).replaceAll('\\', '/')
  return target.includes('/') ? (target.split('/')[0] ?? '') : ''
}

const inFolder = (folder: string) => core.filter(({ path }) => path.startsWith(`packages/core/src/${folder}/`))

describe('the house', () => {
  test('keeps the decision pure: it imports nothing but itself', () => {
    const sources = inFolder('decision')
    expect(sources.length).toBeGreaterThan(5)
    for (const source of sources) {
      for (const from of source.imports)
        expect([source.path, folderOf(source, from)]).toEqual([source.path, 'decision'])
    }
  })

  test('keeps the guard apart from HTTP: it knows decisions and errors', () => {
    const sources = inFolder('guard')
    expect(sources.length).toBeGreaterThan(5)
    for (const source of sources) {
      for (const from of source.imports) {
        const folder = folderOf(source, from)
        const known = folder === null ? from === 'zod' : ['guard', 'decision', ''].includes(folder)
        expect([source.path, from, known]).toEqual([source.path, from, true])
      }
    }
  })

  // What each folder may use at run time. Types may be named against the direction.
  const MAY_USE: Record<string, readonly string[]> = {
    decision: ['decision'],
    guard: ['guard', 'decision', ''],
    release: ['release', 'decision', 'guard', 'proxy', 'request', ''],
    request: ['request', 'decision', ''],
    proxy: ['proxy', 'decision', ''],
    registry: ['registry', 'release', 'request', 'decision', 'guard', ''],
    adapter: ['adapter', 'registry', 'request', 'release', 'decision', 'proxy', ''],
  }
  for (const [folder, allowed] of Object.entries(MAY_USE)) {
    test(`lets ${folder}/ use only ${allowed.filter(Boolean).join(', ')}`, () => {
      const sources = inFolder(folder)
      expect(sources.length).toBeGreaterThan(0)
      for (const source of sources) {
        for (const from of source.values) {
          const target = folderOf(source, from)
          if (target !== null) expect([source.path, from, allowed.includes(target)]).toEqual([source.path, from, true])
        }
      }
    })
  }

  test('lets an adapter know its framework and core, and no other adapter', () => {
    for (const { name, sources } of adapters) {
      for (const { path, imports } of sources) {
        for (const from of imports.filter((each) => !each.startsWith('.') && !each.startsWith('node:'))) {
          const known = from.startsWith('@canary-release/core') || from === name || from === `${name}-plugin`
          expect([path, from, known]).toEqual([path, from, true])
        }
      }
    }
  })

  test('imports only what the package.json of each package names', () => {
    for (const name of readdirSync(join(root, 'packages'))) {
      const known = dependenciesOf(name)
      for (const { path, imports } of sourcesBelow(`packages/${name}/src`)) {
        for (const from of imports.filter((each) => !each.startsWith('.') && !each.startsWith('node:'))) {
          const packageName = from.split('/', from.startsWith('@') ? 2 : 1).join('/')
          expect([path, from, known.has(packageName)]).toEqual([path, from, true])
        }
      }
    }
  })

  test('has no file that grows past 330 lines', () => {
    const long = all
      .map(({ path, text }) => [path, text.split('\n').length] as const)
      .filter(([, lines]) => lines > 330)
    expect(long).toEqual([])
  })

  test('has no folder or file for all and sundry', () => {
    const names = all
      .map(({ path }) => path)
      .filter((path) => /\/(?:utils?|helpers?|types|common|lib|misc)(?:\/|\.ts$)/.test(path))
    expect(names).toEqual([])
  })

  test('speaks its own words', () => {
    const foreign = /\b(?:variant|cohort|weighting|experiment)s?\b/i
    expect(all.filter(({ text }) => foreign.test(text)).map(({ path }) => path)).toEqual([])
  })

  test('makes no cycle at run time', () => {
    const graph = new Map(all.map((source) => [source.path, source.values.flatMap((from) => resolved(source, from))]))
    const done = new Set<string>()
    const visit = (path: string, above: readonly string[]): void => {
      expect([...above, path].slice(above.indexOf(path) === -1 ? above.length : above.indexOf(path))).toEqual([path])
      if (done.has(path)) return
      for (const next of graph.get(path) ?? []) visit(next, [...above, path])
      done.add(path)
    }
    for (const path of graph.keys()) visit(path, [])
  })
})

function dependenciesOf(name: string): Set<string> {
  const manifest: Record<string, object | undefined> = JSON.parse(
    readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'),
  )
  return new Set(Object.keys({ ...manifest['dependencies'], ...manifest['peerDependencies'] }))
}

function resolved({ path }: Source, from: string): string[] {
  return from.startsWith('.') ? [join(dirname(path), from).replaceAll('\\', '/').replace(/\.js$/, '.ts')] : []
}
