import { Draws } from '../../../../bench/draws.js'
import type { Decision } from '../../src/decision/decision.js'
import { FleetGuard } from '../../src/guard/fleet/fleet-guard.js'
import type { FleetHost, FleetMove, FleetView } from '../../src/guard/fleet/fleet-host.js'
import { FleetMember } from '../../src/guard/fleet/fleet-member.js'
import { type MemoryShared, SharedMemory, memoryShared } from '../../src/guard/fleet/memory-shared.js'
import type { LogEntry, StoredVerdict } from '../../src/guard/fleet/shared.js'
import { type GuardOptions, type GuardReport, resolveGuardOptions } from '../../src/guard/index.js'

export const RELEASE = 'plugin-1'

export const ABOUT = { host: 'host-1', pid: 1, version: '1.0.0' }

/** The stored record of a release: one for all processes. */
export interface Stored {
  run: string
  view: FleetView
}

export interface Made {
  readonly move: FleetMove
  readonly reason: string
  readonly by: string
}

/** Processes behind one store, with clocks that are moved by hand. */
export class Fleet {
  readonly draws: Draws
  /** Milliseconds that have passed. */
  #passed = 0
  /** The store's clock when nothing had passed. */
  #start = 1_700_000_000_000
  readonly memory: SharedMemory
  readonly stored: Stored = {
    run: 'run-1',
    view: { state: 'running', ramping: false, bucketsOnB: 500, steps: 1000, by: null, gate: null, enabled: true },
  }
  /** Moves that changed the record. */
  readonly made: Made[] = []
  readonly gates: number[] = []
  readonly processes: Process[] = []
  #names = 0

  constructor(seed = 1) {
    this.draws = new Draws(seed)
    this.memory = new SharedMemory(
      () => this.#start + this.#passed,
      (run) => run !== this.stored.run,
    )
  }

  /** By a clock that nobody sets. */
  get local(): number {
    return 1_600_000_000_000 + this.#passed
  }

  /** Sets the store's clock. */
  setClock(by: number): void {
    this.#start += by
  }

  add(options: GuardOptions = {}, clock: { readonly ahead?: number } = {}): Process {
    this.#names += 1
    const process = new Process(this, `process-${this.#names}`, options, clock.ahead ?? 0)
    this.processes.push(process)
    return process
  }

  /** A process that ends without a word. */
  kill(process: Process): void {
    this.processes.splice(this.processes.indexOf(process), 1)
  }

  /** A process that ends as it should. */
  async stop(process: Process): Promise<void> {
    this.kill(process)
    await process.member.close()
  }

  /** A second of requests in all processes, and their steps. */
  async second(rates: { readonly A: number; readonly B: number } = { A: 0, B: 0 }, perProcess = 20): Promise<void> {
    for (const process of this.processes) process.send(this.draws, rates, perProcess)
    this.#passed += 1000
    for (const process of this.processes) if (!process.frozen) await process.member.step()
  }

  async seconds(count: number, rates?: { readonly A: number; readonly B: number }, perProcess?: number): Promise<void> {
    for (let i = 0; i < count; i += 1) await this.second(rates, perProcess)
  }

  /** Seconds until something moved the release; `null` if nothing did. */
  async untilMoved(most: number, rates: { readonly A: number; readonly B: number }): Promise<number | null> {
    for (let i = 1; i <= most; i += 1) {
      await this.second(rates)
      if (this.made.length > 0) return i
    }
    return null
  }

  /** The whole log of the run, as a judge reads it that begins now; without what was trimmed. */
  log(): readonly LogEntry[] {
    return this.page().entries
  }

  page() {
    return this.memory.closeTick(this.stored.run, -1)
  }

  get verdict(): StoredVerdict | null {
    return this.page().verdict
  }

  move(move: FleetMove, reason: string, run: string, by: string): void {
    const { view } = this.stored
    if (run !== this.stored.run) return
    const legal = { pause: ['running'], resume: ['paused'], rollback: ['running', 'paused', 'complete'] }[move]
    if (!legal.includes(view.state)) return
    const state = ({ pause: 'paused', resume: 'running', rollback: 'rolled-back' } as const)[move]
    this.stored.view = { ...view, state, by: 'guard' }
    this.made.push({ move, reason, by })
  }

  /** What a person does. */
  person(state: FleetView['state'], run = this.stored.run): void {
    this.stored.run = run
    this.stored.view = { ...this.stored.view, state, by: 'person' }
  }
}

/** One process, with a guard of the release. */
export class Process {
  readonly name: string
  readonly shared: MemoryShared
  readonly member: FleetMember
  readonly guard: FleetGuard
  readonly lines: string[] = []
  readonly errors: unknown[] = []
  readonly local: Made[] = []
  /** It does nothing, and nobody told it. */
  frozen = false
  /** Its moves do not reach the store. */
  mute = false
  /** How often anything asked for the time. */
  clockRead = 0
  readonly #fleet: Fleet

  constructor(fleet: Fleet, name: string, options: GuardOptions, ahead: number) {
    this.#fleet = fleet
    this.name = name
    this.shared = memoryShared(fleet.memory, () => {
      this.clockRead += 1
      return fleet.local + ahead
    })
    this.member = new FleetMember(this.shared, ABOUT, (error) => this.errors.push(error))
    const resolved = resolveGuardOptions({ latency: false, hardLimit: false, ...options }, false)
    this.guard = new FleetGuard(resolved, { release: RELEASE, hash: 'none' }, this.#host(), this.member.register)
    this.guard.start()
  }

  get report(): GuardReport {
    return this.guard.report()
  }

  send(draws: Draws, rates: { readonly A: number; readonly B: number }, requests: number): void {
    for (let i = draws.poisson(requests); i > 0; i -= 1) {
      const { bucketsOnB, steps, state } = this.#fleet.stored.view
      const bucket = draws.below(steps)
      const upstream = state !== 'rolled-back' && bucket < bucketsOnB ? 'B' : 'A'
      const rest = { reason: 'bucket', hashedBy: 'none', release: 'r', origin: null } as const
      const decision: Decision = { upstream, bucketsOnB, steps, bucket, ...rest }
      const ticket = this.guard.admit(decision, null)
      const status = draws.uniform() < rates[upstream] ? 503 : 200
      this.guard.observe(ticket, { decision, status, durationMs: 20, error: null, aborted: false })
    }
  }

  #host(): FleetHost {
    const fleet = this.#fleet
    return {
      run: () => fleet.stored.run,
      view: () => fleet.stored.view,
      move: async ({ move, reason, run }) => {
        await Promise.resolve()
        if (this.mute) throw new Error('the move does not arrive')
        fleet.move(move, reason, run, this.name)
      },
      moveLocally: (move, reason) => void this.local.push({ move, reason, by: this.name }),
      openGate: async (gate, run) => {
        await Promise.resolve()
        if (run !== fleet.stored.run) return
        fleet.stored.view = { ...fleet.stored.view, gate }
        fleet.gates.push(gate)
      },
      log: (message) => this.lines.push(message),
      onError: (error) => this.errors.push(error),
    }
  }
}
