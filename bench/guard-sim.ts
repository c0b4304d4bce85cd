// False alarms and detection of the guard, simulated: `node bench/dist/guard-sim.js [--runs 2000] [--seed 1]`.
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { HANGING, HEALTHY, SHARES, WANTED, WORSE, WRONG_UNIT } from './guard-sim-scenarios.js'
import { type Ending, type Scenario, simulate } from './guard-sim-traffic.js'

interface Job {
  readonly runs: number
  readonly seed: number
  readonly part: number
  readonly parts: number
}

const ALL: readonly Scenario[] = [...HEALTHY, ...WRONG_UNIT, ...WORSE.flatMap(({ shares }) => shares), HANGING]

function work({ runs, seed, part, parts }: Job): Ending[][] {
  return ALL.map((scenario, i) => {
    const endings: Ending[] = []
    for (let run = part; run < runs; run += parts) endings.push(simulate(scenario, seedOf(seed, i, run)))
    return endings
  })
}

function seedOf(seed: number, scenario: number, run: number): number {
  return Math.imul(seed, 0x9e3779b1) ^ Math.imul(scenario + 1, 0x85ebca6b) ^ Math.imul(run + 1, 0xc2b2ae35)
}

async function inParallel(runs: number, seed: number): Promise<Ending[][]> {
  const parts = availableParallelism()
  const shards = await Promise.all(
    Array.from({ length: parts }, (_, part) => {
      const job: Job = { runs, seed, part, parts }
      const worker = new Worker(new URL(import.meta.url), { workerData: job })
      return new Promise<Ending[][]>((resolve, reject) => worker.once('message', resolve).once('error', reject))
    }),
  )
  return ALL.map((_, i) => shards.flatMap((shard) => shard[i] ?? []))
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

function row(...cells: readonly (string | number)[]): string {
  return `| ${cells.join(' | ')} |`
}

function print(runs: number, seed: number, endings: readonly (readonly Ending[])[]): void {
  const of = (scenario: Scenario) => endings[ALL.indexOf(scenario)] ?? []
  const alarms = (scenario: Scenario) => of(scenario).filter((ending) => ending !== null).length
  const percent = (scenario: Scenario) => `${((100 * alarms(scenario)) / runs).toFixed(2)} %`
  console.log(
    `\`node bench/dist/guard-sim.js --runs ${runs} --seed ${seed}\`: ${runs} runs of each, 100 requests/s, α = 1 %.\n`,
  )
  console.log('False alarms with A = B, looking every second for an hour:\n')
  console.log(`${row('release', 'rolled back')}\n${row('---', '---:')}`)
  for (const scenario of [...HEALTHY, ...WRONG_UNIT]) console.log(row(scenario.name, percent(scenario)))
  console.log('\nRequests to B until it is rolled back, median (of 100 requests/s, B gets its share):\n')
  console.log(row('B against A', ...SHARES.map((share) => `${share} % on B`)))
  console.log(row('---', ...SHARES.map(() => '---:')))
  for (const { name, shares } of WORSE) {
    console.log(
      row(name, ...shares.map((scenario) => median(of(scenario).map((ending) => ending?.requestsToB ?? Infinity)))),
    )
  }
  const hanging = of(HANGING).map((ending) => ending?.second ?? Infinity)
  console.log(
    `\n${HANGING.name}: rolled back in ${alarms(HANGING)} of ${runs} runs, after ${median(hanging)} s (median).`,
  )
  warn(of)
}

/** Says on stderr, and with the exit code, what misses what was promised. */
function warn(of: (scenario: Scenario) => readonly Ending[]): void {
  for (const scenario of HEALTHY) {
    const endings = of(scenario)
    const alarms = endings.filter((ending) => ending !== null).length
    // Three σ above α is no accident any more.
    const most = 0.01 * endings.length + 3 * Math.sqrt(0.01 * endings.length)
    if (alarms > most) complain(`${scenario.name}: ${alarms} false alarms, at most ${Math.floor(most)} expected`)
  }
  for (const [i, { shares }] of WORSE.entries()) {
    for (const [j, scenario] of shares.entries()) {
      const got = median(of(scenario).map((ending) => ending?.requestsToB ?? Infinity))
      const wanted = WANTED[i]?.[j] ?? Number.NaN
      if (!(Math.abs(got / wanted - 1) <= 0.15)) complain(`${scenario.name}: ${got} requests, expected about ${wanted}`)
    }
  }
  if (of(HANGING).includes(null)) complain(`${HANGING.name}: not rolled back in every run`)
}

function complain(text: string): void {
  console.error(text)
  process.exitCode = 1
}

if (isMainThread) {
  const { values } = parseArgs({
    options: { runs: { type: 'string', default: '2000' }, seed: { type: 'string', default: '1' } },
  })
  const [runs, seed] = [Number(values.runs), Number(values.seed)]
  if (!Number.isInteger(runs) || runs < 1 || !Number.isInteger(seed)) {
    throw new RangeError('--runs must be a whole number above 0 and --seed a whole number')
  }
  print(runs, seed, await inParallel(runs, seed))
} else {
  const job: Job = workerData
  parentPort?.postMessage(work(job))
}
