import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const text = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8')
const [, section = ''] = /\n## Where to look\n([\s\S]*?)\n## /.exec(text) ?? []
const rows = [...section.matchAll(/^\| ([^|]+) \| `([^`]+)` \| `([^`]+)` \|$/gm)].map(([, what, path, name]) => ({
  what,
  path,
  name,
}))

describe('the table of where to look', () => {
  it('has rows', () => {
    expect(rows.length).toBeGreaterThan(10)
  })

  it.each(rows)('says rightly where $what is', ({ path = '', name = '' }) => {
    expect(readFileSync(join(root, 'packages/core/src', path), 'utf8')).toContain(name)
  })
})
