import type { Engine } from '../engines/engine.js'

/** A line of the table. */
export interface Line {
  readonly what: string
  readonly limit: string
  readonly reached: string
  readonly isReached: boolean
  /** How many times the limit it is; infinite for what must not happen. */
  readonly excess: number
}

export type Measure = (engine: Engine) => Promise<readonly Line[]>

/** The value that a share of all values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

export function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`
}

/** A line for a value that must stay below a limit. */
export function below(what: string, value: number, limit: number, more = ''): Line {
  const reached = `${milliseconds(value)}${more === '' ? '' : ` (${more})`}`
  return { what, limit: `≤ ${milliseconds(limit)}`, reached, isReached: value <= limit, excess: value / limit }
}

/** A line for what must not happen at all. */
export function never(what: string, count: number, of: string): Line {
  return { what, limit: '0', reached: `${count} of ${of}`, isReached: count === 0, excess: count === 0 ? 0 : Infinity }
}
