import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

interface Source {
  /** Relative to the root, with slashes. */
  readonly path: string
  readonly text: string
  /** What it imports or exports from elsewhere, types included, as written. */
  readonly imports: readonly string[]
}

const IMPORT = /^(?:import|export)\s+(?:[^'";]*?from\s+)?'([^']+)'/gm

function sourcesBelow(folder: string): Source[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => {
      const path = join(folder, name).replaceAll('\\', '/')
      const text = readFileSync(join(root, path), 'utf8')
      return { path, text, imports: [...text.matchAll(IMPORT)].map(([, from = '']) => from) }
    })
}

const core = sourcesBelow('packages/core/src')
const adapters = ['express', 'koa', 'fastify'].map((name) => ({ name, sources: sourcesBelow(`packages/${name}/src`) }))
const others = ['admin', 'postgres', 'redis'].flatMap((name) => sourcesBelow(`packages/${name}/src`))
const all = [...core, ...adapters.flatMap(({ sources }) => sources), ...others]

const CORE = 'packages/core/src'

/** Where in core an import of a source leads, relative to its `src/`; `null` for another package. */
function targetOf({ path }: Source, from: string): string | null {
  return from.startsWith('.') ? relative(CORE, join(dirname(path), from)).replaceAll('\\', '/') : null
}

/** The folder of a path, to the given depth; `''` for a file at the top. */
function folderOf(path: string, depth: number): string {
  return path.split('/').slice(0, -1).slice(0, depth).join('/')
}

const inFolder = (folder: string) => core.filter(({ path }) => path.startsWith(`${CORE}/${folder}/`))

describe('the house', () => {
  test('keeps the decision and the guard apart from Node and HTTP', () => {
    for (const folder of ['decision', 'guard']) {
      const sources = inFolder(folder)
      expect(sources.length).toBeGreaterThan(5)
      for (const { path, imports } of sources) {
        const foreign = imports.filter((from) => !from.startsWith('.') && !(folder === 'guard' && from === 'zod'))
        expect([path, foreign]).toEqual([path, []])
      }
    }
  })

  // What each folder may use, types included; `''`: the files at the top.
  const MAY_USE: Record<string, readonly string[]> = {
    '': ['decision', ''],
    decision: ['decision'],
    guard: ['guard', 'decision', ''],
    request: ['request', 'decision', ''],
    proxy: ['proxy', 'decision', ''],
    release: ['release', 'proxy', 'request', 'guard', 'decision', ''],
    registry: ['registry', 'release', 'request', 'guard', 'decision', ''],
    adapter: ['adapter', 'registry', 'release', 'proxy', 'request', 'decision', ''],
    entries: ['adapter', 'registry', 'release', 'proxy', 'request', 'guard', 'decision', ''],
  }
  for (const [folder, allowed] of Object.entries(MAY_USE)) {
    test(`lets ${folder || 'the top of core'} use only ${allowed.map((each) => each || 'the top').join(', ')}`, () => {
      expectUses(1, folder, allowed)
    })
  }

  test('gives every folder of core a rule', () => {
    const folders = new Set(core.map(({ path }) => folderOf(path.slice(CORE.length + 1), 1)))
    expect([...folders].toSorted()).toEqual(Object.keys(MAY_USE).toSorted())
  })

  // The same below proxy/ and registry/: rooms side by side know each other only where a line here says so.
  const ROOMS_MAY_USE: Record<string, readonly string[]> = {
    'proxy/body': [],
    'proxy/request': [],
    'proxy/response': [],
    'proxy/upgrade': ['proxy/response'],
    'proxy/undici': ['proxy/body', 'proxy/connections', 'proxy/response', 'proxy/upgrade'],
    'proxy/http-proxy': ['proxy/body', 'proxy/connections', 'proxy/response', 'proxy/upgrade'],
    'proxy/connections': [],
    'proxy/health': [],
    'registry/entities': [],
    'registry/records': ['registry/entities'],
    'registry/stores': ['registry/entities', 'registry/records'],
    'registry/link': ['registry/entities', 'registry/records', 'registry/stores'],
    'registry/declarative': ['registry/entities', 'registry/records', 'registry/change', 'registry/stores'],
    'registry/live': ['registry/entities', 'registry/records'],
    'registry/guards': ['registry/entities', 'registry/records', 'registry/live'],
    'registry/change': ['registry/entities', 'registry/records', 'registry/live'],
  }
  for (const [room, others] of Object.entries(ROOMS_MAY_USE)) {
    test(`lets ${room} use no other room but ${others.join(', ') || 'its own'}`, () => {
      const ground = room.split('/', 1)[0] ?? ''
      expectUses(2, room, [room, ground, ...others, ...(MAY_USE[ground] ?? []).filter((each) => each !== ground)])
    })
  }

  test('gives every room below proxy/ and registry/ a rule', () => {
    const rooms = core
      .map(({ path }) => folderOf(path.slice(CORE.length + 1), 2))
      .filter((folder) => /^(?:proxy|registry)\//.test(folder))
    expect([...new Set(rooms)].toSorted()).toEqual(Object.keys(ROOMS_MAY_USE).toSorted())
  })

  function expectUses(depth: number, folder: string, allowed: readonly string[]): void {
    const sources = core.filter(({ path }) => folderOf(path.slice(CORE.length + 1), depth) === folder)
    expect(sources.length).toBeGreaterThan(0)
    for (const source of sources) {
      for (const from of source.imports) {
        const target = targetOf(source, from)
        if (target === null) continue
        // A folder without rooms of its own is known by its name alone.
        const used = [folderOf(target, depth), folderOf(target, 1)].find((each) => allowed.includes(each))
        const room = folderOf(target, depth)
        const known = used !== undefined && (depth === 1 || room === used || !/^(?:proxy|registry)\//.test(room))
        expect([source.path, from, known]).toEqual([source.path, from, true])
      }
    }
  }

  test('keeps every folder small enough to be read at a glance', () => {
    const counts = new Map<string, number>()
    for (const { path } of all) counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1)
    expect([...counts].filter(([, files]) => files > 20)).toEqual([])
  })

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

  test('has no files that import each other in a circle, types included', () => {
    const graph = new Map(all.map((source) => [source.path, source.imports.flatMap((from) => resolved(source, from))]))
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
