// What a fleet's store must reach: `node bench/fleet/dist/bench/fleet/main.js [--engine redis] [measure …]`. Prints a table,
// and ends with exit code 1 where something is not reached. An engine is what `engines/` has a file of.
import { availableParallelism, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { engineOf, engines } from './engines/index.js'
import { crashes, failovers } from './measures/crashes.js'
import { load } from './measures/load.js'
import type { Measure } from './measures/measure.js'
import { propagation } from './measures/propagation.js'
import { recovery } from './measures/recovery.js'
import { tick } from './measures/tick.js'
import { disjoint, sameRow } from './measures/writers.js'

const MEASURES: Readonly<Record<string, () => Measure>> = {
  propagation,
  disjoint,
  'same-row': sameRow,
  load,
  recovery,
  crashes,
  failovers,
  tick,
}

const { values, positionals } = parseArgs({ options: { engine: { type: 'string' } }, allowPositionals: true })
const chosen = values.engine === undefined ? [...engines.values()] : [engineOf(values.engine)]
const names = positionals.length === 0 ? Object.keys(MEASURES) : positionals
const [busy = 0] = loadavg()
process.stdout.write(`Node ${process.version}, ${availableParallelism()} cores, load before it ${busy.toFixed(1)}\n`)
for (const engine of chosen) {
  process.stdout.write(`\n| ${engine.name} | to reach | reached |\n|---|---|---|\n`)
  for (const name of names) {
    const measure = MEASURES[name]
    if (measure === undefined) throw new Error(`no such measure: known are ${Object.keys(MEASURES).join(', ')}`)
    // oxlint-disable-next-line no-await-in-loop -- one at a time
    for (const { what, limit, reached, isReached } of await measure()(engine)) {
      process.stdout.write(`| ${what} | ${limit} | ${reached}${isReached ? '' : ' **not reached**'} |\n`)
      if (!isReached) process.exitCode = 1
    }
  }
}
