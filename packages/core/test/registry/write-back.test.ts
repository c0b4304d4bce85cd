import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  type Draft,
  type Registry,
  type StoredState,
  exportDeclarative,
  parseDeclarative,
} from '@canary-release/core/registry'
import { aRegistry, fill } from './bodies.js'
import { testRegistry } from './harness.js'

/** What was read, and how it is written back. */
type Way = (registry: Registry) => ((draft: Draft) => void) | Promise<(draft: Draft) => void>

const rowsOf = (registry: Registry): StoredState['rows'] => registry.snapshot().rows
const declared = async (text: string) => {
  const { bodies } = await parseDeclarative(text)
  return (draft: Draft) => bodies.forEach(({ kind, body }) => draft.replace(kind, String(body.id), body))
}
const WAYS: [string, Way][] = [
  [
    'replaced whole',
    (registry) => (draft) => rowsOf(registry).forEach((row) => draft.replace(row.kind, row.entity.id, row.entity)),
  ],
  [
    'changed by all of its fields',
    (registry) => (draft) => rowsOf(registry).forEach((row) => draft.patch(row.kind, row.entity.id, row.entity)),
  ],
  [
    'changed by nothing',
    (registry) => (draft) => rowsOf(registry).forEach((row) => draft.patch(row.kind, row.entity.id, {})),
  ],
  ['exported and read as YAML', (registry) => declared(exportDeclarative(registry))],
  ['exported and read as JSON', (registry) => declared(exportDeclarative(registry, { format: 'json' }))],
]

it.each(WAYS)('a record that is %s changes nothing at all', async (_, way) => {
  const states = new Set<string>()
  await fc.assert(
    fc.asyncProperty(aRegistry, async (records) => {
      await using registry = await testRegistry()
      const ids = await registry.change('test', (draft) => fill(draft, records))
      for (const [index, id] of ids.entries()) {
        for (const move of records.plugins[index]?.moves ?? []) {
          registry.clock.seconds += records.plugins[index]?.wait ?? 0
          await registry.move(id, move, 'why', move === 'rollback' ? 'guard' : 'ada').catch(legal)
        }
        states.add(registry.release(id)?.status().state ?? 'none')
      }
      registry.clock.seconds += 100
      const before = registry.snapshot()
      const running = ids.map((id) => registry.release(id)?.status())
      await registry.change('tool', await way(registry))
      expect(registry.snapshot()).toEqual(before)
      expect(ids.map((id) => registry.release(id)?.status())).toEqual(running)
    }),
    { seed: 61, numRuns: 200 },
  )
  expect([...states].toSorted()).toEqual([
    'complete',
    'disabled',
    'paused',
    'promoted',
    'rolled-back',
    'running',
    'scheduled',
  ])
})

function legal(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ERR_CANARY_STATE')) throw error
}
