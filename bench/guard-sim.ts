// False alarms and detection of the guard, simulated: `node bench/dist/guard-sim.js [--runs 2000] [--seed 1]`; only whole
// releases with `--releases`.
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { HANGING, HEALTHY, SHARES, WANTED, WORSE, WRONG_UNIT } from './guard-sim-scenarios.js'
import {
  type Held,
  ONE_FOR_ALL,
  afterRestart,
  fivePartners,
  heldRamp,
  oneForAll,
  tenTimes,
} from './guard-sim-releases.js'
import { type Ending, type Scenario, simulate } from './guard-sim-traffic.js'

interface Job {
  readonly runs: number
  readonly seed: number
  readonly part: number
  readonly parts: number
  readonly releases: boolean
}

/** What became of whole releases, a run each. */
interface Releases {
  readonly restarted: number[]
  readonly again: number[][]
  readonly held: Held[]
  readonly blind: number[]
  readonly oneForAll: number[][]
}

const ALL: readonly Scenario[] = [...HEALTHY, ...WRONG_UNIT, ...WORSE.flatMap(({ shares }) => shares), HANGING]

function work({ runs, seed, part, parts }: Job): Ending[][] {
  return ALL.map((scenario, i) => {
    const endings: Ending[] = []
    for (let run = part; run < runs; run += parts) endings.push(simulate(scenario, seedOf(seed, i, run)))
    return endings
  })
}

function releases({ runs, seed, part, parts }: Job): Releases {
  const each = <Result>(kind: number, simulated: (seed: number) => Result): Result[] => {
    const results: Result[] = []
    for (let run = part; run < runs; run += parts) results.push(simulated(seedOf(seed, 100 + kind, run)))
    return results
  }
  return {
    restarted: each(0, afterRestart),
    again: each(1, tenTimes),
    held: each(2, heldRamp),
    blind: each(3, fivePartners),
    oneForAll: ONE_FOR_ALL.map((hostile, i) => each(4 + i, oneForAll(hostile))),
  }
}

function seedOf(seed: number, scenario: number, run: number): number {
  return Math.imul(seed, 0x9e3779b1) ^ Math.imul(scenario + 1, 0x85ebca6b) ^ Math.imul(run + 1, 0xc2b2ae35)
}

async function inParallel<Result>(runs: number, seed: number, ofReleases: boolean): Promise<Result[]> {
  const parts = availableParallelism()
  return Promise.all(
    Array.from({ length: parts }, (_, part) => {
      const job: Job = { runs, seed, part, parts, releases: ofReleases }
      const worker = new Worker(new URL(import.meta.url), { workerData: job })
      return new Promise<Result>((resolve, reject) => worker.once('message', resolve).once('error', reject))
    }),
  )
}

function printReleases(runs: number, seed: number, shards: readonly Releases[]): void {
  const all = <Result>(pick: (shard: Releases) => readonly Result[]) => shards.flatMap(pick)
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
  const say = (what: string, count: number, most: number) => {
    console.log(row(what, `${count} of ${runs}`))
    if (count > most) complain(`${what}: ${count}, at most ${most} expected`)
  }
  const alarms = 0.01 * runs + 3 * Math.sqrt(0.01 * runs)
  console.log(`\n\`node bench/dist/guard-sim.js --releases --runs ${runs} --seed ${seed}\`:\n`)
  console.log(`${row('release', 'runs')}\n${row('---', '---:')}`)
  say('rolled back, repaired and restarted, A = B: rolled back again', sum(all(({ restarted }) => restarted)), alarms)
  for (const [i, { name, percentage }] of ONE_FOR_ALL.entries()) {
    say(`${name}, A = B, ${percentage} % on B: rolled back`, sum(all((shard) => shard.oneForAll[i] ?? [])), alarms)
  }
  say(
    'five partners, B fails 40 %: another verdict than `blind` with the reason',
    runs - sum(all(({ blind }) => blind)),
    0,
  )
  const held = all((shard) => shard.held)
  say('held ramp, 3 to 300 consumers: stuck', held.filter(({ stuck }) => stuck).length, 0)
  say('held ramp: left a share unjudged', held.filter(({ unjudged }) => unjudged).length, 0)
  const reached = [3, 10, 30, 100].map((from) => {
    const some = held.filter(({ identities }) => identities >= from && identities < from * 3.4)
    return `${median(some.map(({ percentage }) => percentage))} % with ${from} or more`
  })
  console.log(`\nA held ramp of 30 minutes stands after 90 at (median): ${reached.join(', ')}.`)
  const again = all((shard) => shard.again)
  const medians = Array.from({ length: 10 }, (_, i) => median(again.map((requests) => requests[i] ?? Infinity)))
  console.log(
    `\n5 % against 1 %, ten times in a row at 50 % on B, requests to B until it is rolled back: ${medians.join(', ')}.`,
  )
  const [first = 0, ...later] = medians
  if (later.some((count) => Math.abs(count / first - 1) > 0.15))
    complain('a later regression is not found as fast as the first')
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
    options: {
      runs: { type: 'string', default: '2000' },
      seed: { type: 'string', default: '1' },
      releases: { type: 'boolean', default: false },
    },
  })
  const [runs, seed] = [Number(values.runs), Number(values.seed)]
  if (!Number.isInteger(runs) || runs < 1 || !Number.isInteger(seed)) {
    throw new RangeError('--runs must be a whole number above 0 and --seed a whole number')
  }
  if (!values.releases) {
    const shards = await inParallel<Ending[][]>(runs, seed, false)
    const endings = ALL.map((_, i) => shards.flatMap((shard) => shard[i] ?? []))
    print(runs, seed, endings)
  }
  printReleases(runs, seed, await inParallel<Releases>(runs, seed, true))
} else {
  const job: Job = workerData
  parentPort?.postMessage(job.releases ? releases(job) : work(job))
}
