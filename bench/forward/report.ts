import type { Measured } from './load.js'
import { targetsOf } from './peers.js'

/** What was measured of each gateway, a round after the other. */
export type Results = ReadonlyMap<string, readonly Measured[]>

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

const medianOf = (rounds: readonly Measured[], field: keyof Measured) => median(rounds.map((round) => round[field]))

/** A table in Markdown, and below it each target with its ratio. */
export function table(results: Results, payload: string): string {
  const rows = [...results].map(([name, rounds]) => {
    const number = (field: keyof Measured, digits: number) => medianOf(rounds, field).toFixed(digits)
    return `| ${name} | ${number('requestsPerSecond', 0)} | ${number('p50Ms', 1)} ms | ${number('p99Ms', 1)} ms | ${number('cpuUs', 1)} µs | ${number('errors', 0)} |`
  })
  return [
    '| gateway | requests/s | p50 | p99 | CPU per request | errors |',
    '|---|---:|---:|---:|---:|---:|',
    ...rows,
    '',
    ...verdicts(results, payload).map(sentence),
  ].join('\n')
}

/** Whether every target that was measured is reached. */
export function isReached(results: Results, payload: string): boolean {
  return verdicts(results, payload).every(({ ratio, most }) => ratio <= most)
}

interface Verdict {
  readonly ours: string
  readonly peer: string
  readonly most: number
  readonly ratio: number
  readonly throughput: number
}

/** The ratio of each round, as both ran within the same minute; then the median of these. */
function verdicts(results: Results, payload: string): Verdict[] {
  return targetsOf(payload).flatMap(([ours, peer, most]) => {
    const [mine, theirs] = [results.get(ours), results.get(peer)]
    if (mine === undefined || theirs === undefined) return []
    const ratioOf = (field: 'cpuUs' | 'requestsPerSecond') =>
      median(mine.map((round, i) => round[field] / (theirs[i]?.[field] ?? Number.NaN)))
    return [{ ours, peer, most, ratio: ratioOf('cpuUs'), throughput: ratioOf('requestsPerSecond') }]
  })
}

function sentence({ ours, peer, most, ratio, throughput }: Verdict): string {
  const reached = ratio <= most ? 'reached' : 'NOT reached'
  return `- ${ours} takes ${share(ratio)} of the CPU of ${peer} (at most ${share(most)}: ${reached}), at ${throughput.toFixed(2)} times its requests per second`
}

const share = (ratio: number) => (ratio < 1 ? `1/${(1 / ratio).toFixed(2)}` : ratio.toFixed(2))
