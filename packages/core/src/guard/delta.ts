import type { UpstreamName } from '../decision/decision.js'
import { type Histogram, addHistogram, addSparse, createHistogram, sparseHistogram } from './latency.js'

/** One number for each arm. */
export interface Pair {
  A: number
  B: number
}

/** Latencies of each arm, clamped to the floor. */
export interface Latencies {
  readonly A: Histogram
  readonly B: Histogram
}

/** What one tick saw of the requests that were decided under one nominal share. */
export interface Cell {
  readonly bucketsOnB: number
  readonly steps: number
  /** Requests decided in this tick. */
  readonly decided: Pair
  /** Requests that ended in this tick. */
  readonly ended: Pair
  /** Requests that failed in this tick, by the tick in which they were decided. */
  readonly failures: Map<number, Pair>
  /** Unit `identity`: those of them that had none. */
  readonly unnamedFailures: Pair
  /** Latencies of requests that ended in this tick. Unit `identity`: only of requests without one. */
  latencies: Latencies | null
  /** Unit `identity`: the identities with a failure in this tick. */
  readonly failedIdentities: Map<number, UpstreamName>
  /** Unit `identity`: the slowest request of each identity that ended one in this tick, packed. */
  readonly identityLatencies: Map<number, number>
}

/**
 * What one process saw in one tick of a run, as plain counts. Deltas of several processes for the same run and tick
 * are merged and judged once; evidence is equal however the requests were spread over them.
 */
export interface Delta {
  readonly run: number
  readonly tick: number
  /** By nominal share. */
  readonly cells: Map<number, Cell>
  /** Sticky hashes: requests of some identities that were decided for B in this tick. One without identity is its own. */
  readonly identitiesOfB: Map<number, number>
  /** Failures of theirs in this tick, by the tick in which the requests were decided. */
  readonly failuresOfIdentities: Map<number, Map<number, number>>
  /** Requests whose arm was chosen by a group: there is nothing to compare them with. */
  readonly chosen: Pick<Cell, 'decided' | 'failures'>
}

export function createDelta(run: number, tick: number): Delta {
  return {
    run,
    tick,
    cells: new Map(),
    identitiesOfB: new Map(),
    failuresOfIdentities: new Map(),
    chosen: { decided: { A: 0, B: 0 }, failures: new Map() },
  }
}

/** The cell of a share, made where it is missing. */
export function cellOf(delta: Delta, bucketsOnB: number, steps: number): Cell {
  const share = bucketsOnB / steps
  const known = delta.cells.get(share)
  if (known !== undefined) return known
  const cell: Cell = {
    bucketsOnB,
    steps,
    decided: { A: 0, B: 0 },
    ended: { A: 0, B: 0 },
    failures: new Map(),
    unnamedFailures: { A: 0, B: 0 },
    latencies: null,
    failedIdentities: new Map(),
    identityLatencies: new Map(),
  }
  delta.cells.set(share, cell)
  return cell
}

export function createLatencies(): Latencies {
  return { A: createHistogram(), B: createHistogram() }
}

export function saveLatencies({ A, B }: Latencies): { A: number[]; B: number[] } {
  return { A: sparseHistogram(A), B: sparseHistogram(B) }
}

export function restoreLatencies(saved: { readonly A: readonly number[]; readonly B: readonly number[] }): Latencies {
  const latencies = createLatencies()
  addSparse(latencies.A, saved.A)
  addSparse(latencies.B, saved.B)
  return latencies
}

/** Counts failures of requests that were decided in `tick`. */
export function addFailures(cell: Pick<Cell, 'failures'>, tick: number, kA: number, kB: number): void {
  const known = cell.failures.get(tick)
  if (known === undefined) cell.failures.set(tick, { A: kA, B: kB })
  else addPair(known, { A: kA, B: kB })
}

/** Counts one more for an identity. */
export function addTo(counts: Map<number, number>, identity: number, count = 1): void {
  counts.set(identity, (counts.get(identity) ?? 0) + count)
}

/** Counts failures of an identity's requests to B that were decided in `tick`. */
export function addIdentityFailures(delta: Delta, tick: number, identity: number, count = 1): void {
  let failures = delta.failuresOfIdentities.get(tick)
  if (failures === undefined) delta.failuresOfIdentities.set(tick, (failures = new Map()))
  addTo(failures, identity, count)
}

/** One identity's arm and latency bucket in one number, which grows with the latency. */
export function packLatency(arm: UpstreamName, bucket: number): number {
  return bucket * 2 + (arm === 'B' ? 1 : 0)
}

export function unpackLatency(packed: number): { arm: UpstreamName; bucket: number } {
  return { arm: packed % 2 === 1 ? 'B' : 'A', bucket: packed >> 1 }
}

/** Keeps an identity's slowest request, so that it does not matter which process saw which. */
export function addIdentityLatency(cell: Cell, identity: number, packed: number): void {
  const known = cell.identityLatencies.get(identity)
  if (known === undefined || known < packed) cell.identityLatencies.set(identity, packed)
}

/**
 * The sum of what several processes saw, in an order that does not depend on who saw what first: floating-point sums
 * over it are then equal to the bit however the requests were spread.
 *
 * @throws {RangeError} where they are of different runs or ticks
 */
export function mergeDeltas(deltas: readonly Delta[]): Delta {
  const [first] = deltas
  if (first === undefined) throw new RangeError('there must be at least one delta to merge')
  const merged = createDelta(first.run, first.tick)
  for (const delta of deltas) {
    const { run, tick, cells } = delta
    if (run !== merged.run || tick !== merged.tick) {
      throw new RangeError(`deltas must be of run ${merged.run} and tick ${merged.tick}, got ${run} and ${tick}`)
    }
    for (const cell of cells.values()) mergeCell(cellOf(merged, cell.bucketsOnB, cell.steps), cell)
    for (const [identity, n] of delta.identitiesOfB) addTo(merged.identitiesOfB, identity, n)
    for (const [decided, failures] of delta.failuresOfIdentities) {
      for (const [identity, k] of failures) addIdentityFailures(merged, decided, identity, k)
    }
    addPair(merged.chosen.decided, delta.chosen.decided)
    for (const [decided, { A, B }] of delta.chosen.failures) addFailures(merged.chosen, decided, A, B)
  }
  return inOrder(merged)
}

function inOrder(delta: Delta): Delta {
  const cells = byKey(delta.cells)
  for (const [share, cell] of cells) {
    cells.set(share, {
      ...cell,
      failures: byKey(cell.failures),
      failedIdentities: byKey(cell.failedIdentities),
      identityLatencies: byKey(cell.identityLatencies),
    })
  }
  const failuresOfIdentities = byKey(delta.failuresOfIdentities)
  for (const [tick, failures] of failuresOfIdentities) failuresOfIdentities.set(tick, byKey(failures))
  return { ...delta, cells, identitiesOfB: byKey(delta.identitiesOfB), failuresOfIdentities }
}

function byKey<Value>(map: ReadonlyMap<number, Value>): Map<number, Value> {
  return new Map([...map].sort(([a], [b]) => a - b))
}

function mergeCell(to: Cell, from: Cell): void {
  addPair(to.decided, from.decided)
  addPair(to.ended, from.ended)
  addPair(to.unnamedFailures, from.unnamedFailures)
  for (const [tick, { A, B }] of from.failures) addFailures(to, tick, A, B)
  if (from.latencies !== null) {
    to.latencies ??= createLatencies()
    addHistogram(to.latencies.A, from.latencies.A)
    addHistogram(to.latencies.B, from.latencies.B)
  }
  for (const [identity, arm] of from.failedIdentities) to.failedIdentities.set(identity, arm)
  for (const [identity, packed] of from.identityLatencies) addIdentityLatency(to, identity, packed)
}

export function addPair(to: Pair, from: Readonly<Pair>): void {
  to.A += from.A
  to.B += from.B
}

/** How many requests of a cell failed in its tick. */
export function failedOf(cell: Cell): Pair {
  const sum: Pair = { A: 0, B: 0 }
  for (const pair of cell.failures.values()) addPair(sum, pair)
  return sum
}
