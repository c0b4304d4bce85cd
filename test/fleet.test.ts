import { expect, test } from 'vitest'
import { engines } from '../bench/fleet/engines/index.js'
import { crashes, failovers } from '../bench/fleet/measures/crashes.js'
import { load } from '../bench/fleet/measures/load.js'
import type { Measure } from '../bench/fleet/measures/measure.js'
import { recovery } from '../bench/fleet/measures/recovery.js'
import { requireBinary } from './servers/requirement.js'

// The short form of `node bench/fleet/dist/bench/fleet/main.js`: what must never happen must not, and times may be far
// longer.
const WIDE = 20

const BINARIES: Readonly<Record<string, string>> = { redis: 'redis-server', postgres: 'postgres' }
const MEASURES: readonly (readonly [string, Measure])[] = [
  ['is killed under writes', crashes(5)],
  ['fails over with a cut link', failovers(2)],
  ['is back', recovery(2)],
  ['holds many records', load(200, 2_000)],
]

for (const [name, engine] of engines) {
  requireBinary(BINARIES[name] ?? name)(`a fleet on ${name}`, () => {
    test.each(MEASURES)('loses nothing when the server %s', { timeout: 120_000 }, async (_, measure) => {
      const lines = await measure(engine)
      expect(lines.length).toBeGreaterThan(0)
      expect(lines.filter(({ excess }) => !(excess <= WIDE))).toEqual([])
    })
  })
}
