import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '..')
const windows = process.platform === 'win32'

/** Runs a program that must succeed. */
function run(program: string, parameters: readonly string[], cwd: string): string {
  const { stdout, stderr, status } = spawnSync(program, parameters, { cwd, encoding: 'utf8', shell: windows })
  expect(status, `${stdout}${stderr}`).toBe(0)
  return stdout
}

/**
 * A project that has the five packages as they are published, below `test/` so that it finds frameworks and their types
 * as an application does. Dependencies of a package are found beside it, and its development dependencies are not.
 */
function project(): string {
  const folder = mkdtempSync(join(here, '.packed-'))
  cpSync(join(here, 'types'), folder, { recursive: true })
  for (const name of readdirSync(join(root, 'packages'))) {
    const source = join(root, 'packages', name)
    const target = join(folder, 'node_modules', '@canary-release', name)
    mkdirSync(target, { recursive: true })
    const [packed]: { readonly filename: string }[] = JSON.parse(
      run(windows ? 'npm.cmd' : 'npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], source),
    )
    if (packed === undefined) throw new Error(`${name} was not packed`)
    run('tar', ['-xzf', join(folder, packed.filename), '--strip-components=1', '-C', target], folder)
    linkDependencies(source, target)
  }
  const modules = join(folder, 'node_modules')
  cpSync(join(modules, '@canary-release', 'core'), join(modules, 'core-copy'), { recursive: true })
  return folder
}

function linkDependencies(source: string, target: string): void {
  const { dependencies = {} }: { readonly dependencies?: Readonly<Record<string, string>> } = JSON.parse(
    readFileSync(join(source, 'package.json'), 'utf8'),
  )
  for (const name of Object.keys(dependencies)) {
    if (name.startsWith('@canary-release/')) continue
    const link = join(target, 'node_modules', name)
    mkdirSync(join(link, '..'), { recursive: true })
    symlinkSync(realpathSync(join(source, 'node_modules', name)), link, 'junction')
  }
}

describe('the types of what is published', () => {
  let folder = ''
  beforeAll(() => {
    folder = project()
  }, 300_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('come without sources of tests, and with the licence', () => {
    for (const name of readdirSync(join(folder, 'node_modules', '@canary-release'))) {
      const packed = join(folder, 'node_modules', '@canary-release', name)
      expect(
        readdirSync(packed)
          .filter((each) => each !== 'node_modules')
          .toSorted(),
      ).toEqual(['LICENSE', 'README.md', 'dist', 'package.json', 'src'])
      expect(lstatSync(packed).isSymbolicLink()).toBe(false)
    }
  })

  const projects: Readonly<Record<string, string>> = {
    'strict TypeScript with every flag, moduleResolution nodenext': 'tsconfig.json',
    'strict TypeScript with every flag, moduleResolution node16': 'tsconfig.node16.json',
    'strict TypeScript with every flag, moduleResolution bundler': 'tsconfig.bundler.json',
    'TypeScript without its flags, and with its own types of disposables': 'tsconfig.loose.json',
    'JavaScript that is checked': 'tsconfig.javascript.json',
    CommonJS: 'tsconfig.commonjs.json',
  }
  // The compiler in Go, and the last one in JavaScript, which many editors have.
  const compilers = { typescript: Object.keys(projects), 'typescript-api': Object.keys(projects).slice(0, 1) }
  for (const [compiler, compiled] of Object.entries(compilers)) {
    for (const what of compiled) {
      const config = projects[what] ?? ''
      test(`serve ${what}, for ${compiler}`, () => {
        const tsc = join(root, 'node_modules', compiler, 'bin', 'tsc')
        expect(existsSync(tsc)).toBe(true)
        const { stdout } = spawnSync(process.execPath, [tsc, '-p', join(folder, config), '--pretty', 'false'], {
          cwd: folder,
          encoding: 'utf8',
        })
        // What others publish is checked too, and theirs to correct.
        const ours = stdout.split('\n').filter((line) => /error TS/.test(line) && !foreign(line))
        expect(ours).toEqual([])
        // Of its configuration.
        expect(stdout).not.toMatch(/^error TS/m)
      }, 120_000)
    }
  }

  function foreign(line: string): boolean {
    const file = line.split('(')[0]?.replaceAll('/', sep) ?? ''
    return file.includes('node_modules') && !/node_modules.(?:@canary-release|core-copy)/.test(file)
  }
})

test('is loaded by require() in a CommonJS program', () => {
  const program = `
    const { createRelease, CanaryError } = require('@canary-release/core')
    const { createHandler } = require('@canary-release/core/node')
    const release = createRelease({ name: 'x', upstreams: { A: 'http://a', B: 'http://b' }, percentage: 0 })
    for (const name of ['express', 'koa', 'fastify']) require('@canary-release/' + name).canary.call
    createHandler(release).close().then(() => console.log(release.decide().upstream, typeof CanaryError))
  `
  const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', program], { cwd: here, encoding: 'utf8' })
  expect([stdout, status], stderr).toEqual(['A function\n', 0])
})
