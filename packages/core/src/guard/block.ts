import {
  type Cell,
  type Delta,
  type Latencies,
  type Pair,
  addPair,
  createLatencies,
  restoreLatencies,
  saveLatencies,
} from './delta.js'
import { addHistogram } from './latency.js'
import type { SavedBlock } from './saved/saved-run.js'

/**
 * Requests that are scored together: a block that is whole, by the share that B really had of it, or those that were
 * decided earlier than the open block or under another share, by their nominal share.
 */
export interface Stratum {
  readonly failures: { readonly share: number; readonly kA: number; readonly kB: number }
  readonly latencies: (Latencies & { readonly share: number }) | null
}

/** Requests a block needs so that the smaller arm has about two of them; 1 where one arm has none. */
export function requestsInBlock(bucketsOnB: number, steps: number): number {
  const smaller = Math.min(bucketsOnB, steps - bucketsOnB)
  return smaller <= 0 ? 1 : Math.ceil((2 * steps) / smaller)
}

/**
 * Cuts ticks into blocks.
 *
 * A block's nA and nB are the requests *decided* in it, and its failures those of exactly these requests. A request
 * that fails after its block ended is scored when it fails, with its nominal share, as those under another share are.
 * Both are exact: given how many of a block's requests failed, which arm they were in is hypergeometric, and each
 * late failure is B's with the probability of its share. Counting requests when they end would not be: where B is
 * only slower, its successes arrive later than its failures, and each change of the share would look as if B failed.
 * Nor would dividing late failures by a later block's nB/n, which has nothing to do with them.
 *
 * Latencies are counted when requests end, n and slow ones together: what is tested there is how long they take.
 *
 * When a block ends depends on totals only, never on arms or outcomes.
 */
export class Blocks {
  #open: Block | null = null

  /** The open block; `null` before there is one. */
  save(): SavedBlock | null {
    return this.#open?.save() ?? null
  }

  restore(saved: SavedBlock | null): void {
    this.#open = saved === null ? null : Block.restored(saved)
  }

  /** Takes what a tick saw; gives what is scored in it. */
  take(delta: Delta): Stratum[] {
    const strata: Stratum[] = []
    const present = mostDecided(delta)
    let open = this.#open
    if (open === null && present !== null) open = new Block(present, delta.tick)
    for (const cell of delta.cells.values()) {
      if (open !== null && open.isOf(cell)) open.add(cell, strata)
      else if (cell !== present) strata.push(late(cell, Infinity))
    }
    if (open !== null && present !== null && !open.isOf(present)) {
      strata.push(open.end())
      open = new Block(present, delta.tick)
      open.add(present, strata)
    }
    if (open?.isWhole() === true) {
      strata.push(open.end())
      open = new Block(open, delta.tick + 1)
    }
    this.#open = open
    return strata
  }
}

/** The share of the tick is the one most of its requests were decided under: the same for any number of processes. */
function mostDecided(delta: Delta): Cell | null {
  let most: Cell | null = null
  let count = 0
  for (const cell of delta.cells.values()) {
    const decided = cell.decided.A + cell.decided.B
    const tie = decided === count && most !== null && shareOf(cell) > shareOf(most)
    if (decided > count || tie) {
      most = cell
      count = decided
    }
  }
  return most
}

function shareOf({ bucketsOnB, steps }: { readonly bucketsOnB: number; readonly steps: number }): number {
  return bucketsOnB / steps
}

/** A cell's failures of requests that were decided before `first`, by its nominal share; with `Infinity` all it has. */
function late(cell: Cell, first: number): Stratum {
  const k: Pair = { A: 0, B: 0 }
  for (const [tick, failures] of cell.failures) if (tick < first) addPair(k, failures)
  const share = shareOf(cell)
  const { latencies } = cell
  return {
    failures: { share, kA: k.A, kB: k.B },
    latencies: first === Infinity && latencies !== null ? { share, ...latencies } : null,
  }
}

class Block {
  readonly bucketsOnB: number
  readonly steps: number
  readonly #first: number
  readonly #decided: Pair = { A: 0, B: 0 }
  readonly #failed: Pair = { A: 0, B: 0 }
  readonly #ended: Pair = { A: 0, B: 0 }
  #latencies: Latencies | null = null
  #copied = false

  constructor({ bucketsOnB, steps }: { readonly bucketsOnB: number; readonly steps: number }, first: number) {
    this.bucketsOnB = bucketsOnB
    this.steps = steps
    this.#first = first
  }

  static restored(saved: SavedBlock): Block {
    const block = new Block(saved, saved.first)
    addPair(block.#decided, saved.decided)
    addPair(block.#failed, saved.failed)
    addPair(block.#ended, saved.ended)
    block.#latencies = saved.latencies === null ? null : restoreLatencies(saved.latencies)
    block.#copied = saved.latencies !== null
    return block
  }

  save(): SavedBlock {
    const { bucketsOnB, steps } = this
    const latencies = this.#latencies === null ? null : saveLatencies(this.#latencies)
    const [decided, failed, ended] = [{ ...this.#decided }, { ...this.#failed }, { ...this.#ended }]
    return { bucketsOnB, steps, first: this.#first, decided, failed, ended, latencies }
  }

  isOf(cell: Cell): boolean {
    return shareOf(this) === shareOf(cell)
  }

  isWhole(): boolean {
    return this.#decided.A + this.#decided.B >= requestsInBlock(this.bucketsOnB, this.steps)
  }

  add(cell: Cell, strata: Stratum[]): void {
    addPair(this.#decided, cell.decided)
    let someLate = false
    for (const [tick, failures] of cell.failures) {
      if (tick < this.#first) someLate = true
      else addPair(this.#failed, failures)
    }
    if (someLate) strata.push(late(cell, this.#first))
    if (cell.latencies === null) return
    addPair(this.#ended, cell.ended)
    this.#addLatencies(cell.latencies)
  }

  /** A block cut short by a change of the share is scored by the nominal one: its arms may be empty. */
  end(): Stratum {
    const nominal = shareOf(this)
    const whole = this.isWhole()
    const share = whole ? realised(this.#decided) : nominal
    const latencies = this.#latencies
    return {
      failures: { share, kA: this.#failed.A, kB: this.#failed.B },
      latencies: latencies === null ? null : { ...latencies, share: whole ? realised(this.#ended) : nominal },
    }
  }

  #addLatencies(latencies: Latencies): void {
    const known = this.#latencies
    if (known === null) {
      // Most blocks are one tick: its counts are looked at where they lie.
      this.#latencies = latencies
      return
    }
    if (!this.#copied) {
      this.#latencies = createLatencies()
      this.#copied = true
      addHistogram(this.#latencies.A, known.A)
      addHistogram(this.#latencies.B, known.B)
    }
    addHistogram((this.#latencies ?? known).A, latencies.A)
    addHistogram((this.#latencies ?? known).B, latencies.B)
  }
}

function realised({ A, B }: Pair): number {
  return B === 0 ? 0 : B / (A + B)
}
