// False alarms and detection of guards that judge the merged counts of several processes:
// `node bench/dist/guard-sim-fleet.js [--runs 2000] [--seed 1] [--alpha 0.05]`.
import { parseArgs } from 'node:util'
import { type FleetEnding, type FleetScenario, type LateRule, simulateFleet } from './guard-sim-members.js'

const HEALTHY: Omit<FleetScenario, 'name' | 'members' | 'rule'> = {
  lateAfterA: 0,
  dies: 0,
  deploys: [],
  outages: [],
  share: 0.5,
  rates: { A: 0.01, B: 0.01 },
}
const MEMBERS = [1, 4, 16]
const RULES: readonly LateRule[] = ['drop', 'move', 'wait', 'stages']
const ALL_RULES: readonly LateRule[] = [...RULES, 'apart']

/** Rows of the table of false alarms: a scenario for each number of members and each rule. */
const ROWS: readonly (Partial<FleetScenario> & { readonly name: string })[] = [
  { name: 'nothing late' },
  { name: 'late by up to 3 s after A failed', lateAfterA: 3 },
  { name: 'late by up to 8 s after A failed', lateAfterA: 8 },
  { name: 'late by up to 30 s after A failed', lateAfterA: 30 },
  { name: 'a member dies once in 5 min, whatever failed', dies: 1 / 300 },
  { name: 'deploys after 5 and 10 min', deploys: [300, 600] },
  { name: 'late by up to 30 s after A failed, 5 % on B', lateAfterA: 30, share: 0.05, rates: { A: 0.05, B: 0.05 } },
  { name: 'store away for 20 s, ten times', outages: [50, 130, 210, 290, 370, 450, 530, 610, 690, 770] },
]

const DETECTION: readonly (Partial<FleetScenario> & { readonly name: string })[] = [
  { name: '5 % fail instead of 1 %', rates: { A: 0.01, B: 0.05 } },
  { name: '1 % instead of 0.1 %', rates: { A: 0.001, B: 0.01 }, share: 0.1 },
  { name: '5 % instead of 1 %, a member dies once in 5 min', rates: { A: 0.01, B: 0.05 }, dies: 1 / 300 },
  { name: '5 % instead of 1 %, late by up to 30 s after A failed', rates: { A: 0.01, B: 0.05 }, lateAfterA: 30 },
]

function endings(scenario: FleetScenario, runs: number, alpha: number, seed: number): FleetEnding[] {
  return Array.from({ length: runs }, (_, run) =>
    simulateFleet(scenario, alpha, Math.imul(seed, 0x9e3779b1) ^ Math.imul(run + 1, 0xc2b2ae35)),
  )
}

function row(...cells: readonly (string | number)[]): string {
  return `| ${cells.join(' | ')} |`
}

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    alpha: { type: 'string', default: '0.05' },
  },
})
const [runs, seed, alpha] = [Number(values.runs), Number(values.seed), Number(values.alpha)]
if (!Number.isInteger(runs) || runs < 1 || !Number.isInteger(seed) || !(alpha > 0 && alpha <= 0.5)) {
  throw new RangeError('--runs must be a whole number above 0, --seed a whole number, --alpha above 0 and at most 0.5')
}

console.log(
  `\`node bench/dist/guard-sim-fleet.js --runs ${runs} --seed ${seed} --alpha ${alpha}\`: false alarms with A = B in 15 min, 1 % of 100 requests/s fail.\n`,
)
console.log(row('release', 'processes', ...RULES))
console.log(row('---', '---:', ...RULES.map(() => '---:')))
for (const changes of ROWS) {
  for (const members of MEMBERS) {
    const rates = RULES.map((rule) => {
      const found = endings({ ...HEALTHY, ...changes, members, rule }, runs, alpha, seed)
      const alarms = found.filter((ending) => ending !== null).length
      // Three σ above α is no accident any more.
      if (rule === 'stages' && alarms > alpha * runs + 3 * Math.sqrt(alpha * runs)) {
        console.error(`${changes.name}, ${members} processes: ${alarms} false alarms in ${runs} runs`)
        process.exitCode = 1
      }
      return `${((100 * alarms) / runs).toFixed(2)} %`
    })
    console.log(row(changes.name, members, ...rates))
  }
}

console.log('\nRequests to B until it is rolled back, median (and the part of runs that were):\n')
console.log(row('B against A', 'processes', ...ALL_RULES))
console.log(row('---', '---:', ...ALL_RULES.map(() => '---:')))
for (const changes of DETECTION) {
  for (const members of MEMBERS) {
    const medians = ALL_RULES.map((rule) => {
      const found = endings({ ...HEALTHY, ...changes, members, rule }, Math.ceil(runs / 4), alpha, seed)
      const requests = found.map((ending) => ending?.requestsToB ?? Infinity).toSorted((a, b) => a - b)
      const part = found.filter((ending) => ending !== null).length / found.length
      return `${requests[requests.length >> 1]} (${Math.round(100 * part)} %)`
    })
    console.log(row(changes.name, members, ...medians))
  }
}
