import { readFileSync, readdirSync } from 'node:fs'
import { parse } from '@babel/parser'
import { checkSync } from 'recheck'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

// Every regular expression of the sources is compiled to an automaton, and so proven to read a text in a number of
// steps that grows no faster than its length. No time is measured, and nothing but JavaScript runs: the platforms' own
// checkers are not installed.

interface Expression {
  readonly at: string
  readonly pattern: string
  readonly flags: string
}

interface Read {
  readonly expressions: readonly Expression[]
  /** Where one is made from a text, which nobody can prove anything of. */
  readonly made: readonly string[]
}

const PACKAGES = new URL('../../packages/', import.meta.url)

function sources(): string[] {
  return readdirSync(PACKAGES).flatMap((name) =>
    readdirSync(new URL(`${name}/src/`, PACKAGES), { recursive: true, encoding: 'utf8' })
      .filter((path) => /\.[cm]?[jt]sx?$/.test(path))
      .map((path) => `${name}/src/${path}`),
  )
}

function read(path: string, text: string): Read {
  const parsed = parse(text, { sourceType: 'module', plugins: ['typescript'], tokens: true })
  const expressions: Expression[] = []
  const made: string[] = []
  const tokens = parsed.tokens ?? []
  for (const [i, { type, value, loc }] of tokens.entries()) {
    const at = `${path}:${loc?.start.line}`
    if (type.label === 'regexp') expressions.push({ at, pattern: value.pattern, flags: value.flags })
    if (type.label !== 'name' || value !== 'RegExp') continue
    const isType = tokens[i - 1]?.type.label === ':' && tokens[i + 1]?.type.label === ')'
    if (!isType) made.push(at)
  }
  return { expressions, made }
}

/** `null` where it is safe. An upper limit of repetitions is left out: what is safe without it is safe with it. */
function dangerOf({ pattern, flags }: Omit<Expression, 'at'>): string | null {
  const unlimited = pattern.replaceAll(/\{(\d+)(?:,(\d*))?\}/g, (all, least: string, most: string | undefined) =>
    most !== '' && Number(most ?? least) < 10 ? all : least === '0' ? '*' : '+',
  )
  const found = checkSync(unlimited, flags, { checker: 'automaton', timeout: null })
  if (found.status === 'safe' && ['safe', 'linear'].includes(found.complexity.type)) return null
  return found.status === 'unknown' ? `unknown: ${JSON.stringify(found.error)}` : found.complexity.summary
}

describe('the regular expressions of the packages', () => {
  beforeAll(() => void vi.stubEnv('RECHECK_SYNC_BACKEND', 'pure'))
  afterAll(() => void vi.unstubAllEnvs())

  const all = sources().map((path) => read(path, readFileSync(new URL(path, PACKAGES), 'utf8')))

  test('are all found, and none is made from a text', () => {
    expect(all.flatMap(({ expressions }) => expressions).length).toBeGreaterThan(60)
    expect(all.flatMap(({ made }) => made)).toEqual([])
  })

  test.for(all.flatMap(({ expressions }) => expressions))('$at /$pattern/ reads in linear time', (expression) => {
    expect(dangerOf(expression)).toBe(null)
  })

  test.each(['^(a+)+$', '^(a|a)*$', 'a*a*b', '^\\s+|\\s+$', '^(?:a{1,256}){1,256}$'])('would find /%s/', (pattern) => {
    expect(dangerOf({ pattern, flags: '' })).not.toBe(null)
  })

  test('would find one in any place, and one that is made', () => {
    const text = 'const f = (a: RegExp) => a\nf(/(a+)+$/g)\nf(new RegExp("a"))\nf(RegExp("a"))'
    expect(read('x', text)).toEqual({
      expressions: [{ at: 'x:2', pattern: '(a+)+$', flags: 'g' }],
      made: ['x:3', 'x:4'],
    })
  })
})
