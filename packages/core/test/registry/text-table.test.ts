import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { TextTable } from '../../src/registry/live/text-table.js'

it('a table of texts holds what a Map holds, through any additions and deletions', () => {
  // Few texts for many steps, so that places are taken, freed and moved again and again.
  const text = fc.oneof(
    fc.integer({ min: 0, max: 60 }).map((n) => `caller-${n}`),
    fc.constantFrom('', 'ü', '😀', '\ud800'),
  )
  const step = fc.record({ text, value: fc.option(fc.nat(), { nil: null }) })
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 400 }), (steps) => {
      const table = new TextTable<{ readonly value: number }>()
      const map = new Map<string, { readonly value: number }>()
      for (const { text: key, value } of steps) {
        if (value === null) {
          table.delete(key)
          map.delete(key)
        } else {
          const held = { value }
          table.set(key, held)
          map.set(key, held)
        }
      }
      for (const { text: key } of steps) expect(table.get(key)).toBe(map.get(key) ?? null)
      expect(table.get('never there')).toBeNull()
    }),
    { seed: 11, numRuns: 300 },
  )
})
