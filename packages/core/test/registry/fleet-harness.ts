import { setImmediate as immediate } from 'node:timers/promises'
import { vi } from 'vitest'
import { Draws } from '../../../../bench/draws.js'
import { type Registry, type RegistryOptions, type Store, createRegistry } from '@canary-release/core/registry'
import { FleetMember } from '../../src/guard/fleet/fleet-member.js'
import { type MemoryShared, SharedMemory, memoryShared } from '../../src/guard/fleet/memory-shared.js'
import { type Client, Network } from '../store/network.js'

const never = new Promise<never>(() => undefined)
const GUARD = { latency: false, hardLimit: false } as const
const STEP_MS = 250

/** Processes whose registries share a store that carries what guards share, in one process and by clocks moved by hand. */
export class RegistryFleet implements AsyncDisposable {
  readonly network = new Network()
  readonly memory: SharedMemory
  readonly draws: Draws
  readonly processes: Process[] = []
  #passed = 0
  /** Runs that plugins were in, and are in. */
  readonly #steps = vi.spyOn(FleetMember.prototype, 'step')
  readonly #runs = new Map<string, string>()
  readonly #over = new Set<string>()

  constructor(seed = 1) {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] })
    this.draws = new Draws(seed)
    this.memory = new SharedMemory(
      () => this.now,
      (run) => this.#over.has(run),
    )
    this.network.inner.watch(null, (event) => {
      if (event.kind !== 'commit') return
      for (const { id, row } of event.commit.changes) this.#entered(id, row?.release?.run ?? null)
    })
  }

  /** By the store's clock. */
  get now(): number {
    return 1_800_000_000_000 + this.#passed
  }

  get passed(): number {
    return this.#passed
  }

  /** @param ahead milliseconds by which the process's clock is ahead of the store's */
  async add(options: Partial<RegistryOptions> = {}, ahead = 0): Promise<Process> {
    const process = new Process(this, ahead)
    const opened = createRegistry({
      store: process.store,
      guard: GUARD,
      logger: { info() {}, warn: (line) => process.lines.push(String(line)), error() {} },
      onError: (error) => process.errors.push(error),
      random: () => 0,
      ...options,
    })
    await vi.advanceTimersByTimeAsync(0)
    process.registry = await opened
    const member: unknown = this.#steps.mock.contexts.at(-1)
    process.member = member instanceof FleetMember ? member : null
    this.processes.push(process)
    return process
  }

  /** Without a word: nothing of the process reaches the store any more, and it gets no requests. */
  kill(process: Process): void {
    process.hang()
    this.processes.splice(this.processes.indexOf(process), 1)
    this.#killed.push(process)
  }
  readonly #killed: Process[] = []

  /** Time passes, and requests come to each process. */
  async seconds(count: number, rates = { A: 0, B: 0 }, perSecond = 20): Promise<void> {
    for (let i = 0; i < count; i += 1) {
      for (const process of this.processes) process.send(this.draws, rates, perSecond)
      await this.pass(1000)
    }
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      this.#passed += STEP_MS
      await vi.advanceTimersByTimeAsync(STEP_MS)
      await this.#settle()
    }
  }

  /** What processes do in a step takes real time too: it is over before more of the store's passes. */
  async #settle(): Promise<void> {
    const { contexts, results } = this.#steps.mock
    const dead = new Set<unknown>(this.#killed.map(({ member }) => member))
    const steps = results.flatMap(({ value }, i) => {
      const member = contexts[i]
      return member === undefined || dead.has(member) ? [] : [value]
    })
    this.#steps.mockClear()
    const all = { done: false }
    void Promise.all(steps).then(() => (all.done = true))
    // A step that waits for a timer is over only later.
    for (const end = performance.now() + 50; !all.done && performance.now() < end;) await immediate()
  }

  /** What was changed by `guard`, oldest first. */
  async moves(): Promise<string[]> {
    const entries = await this.network.inner.audit({ limit: 1000, by: 'guard' })
    return entries.map(({ what }) => what).toReversed()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = Promise.all([...this.processes, ...this.#killed].map(({ registry }) => registry.close()))
    await vi.advanceTimersByTimeAsync(10_000)
    await closing
    this.#steps.mockRestore()
    vi.useRealTimers()
  }

  #entered(plugin: string, run: string | null): void {
    const before = this.#runs.get(plugin)
    if (before !== undefined && before !== run) this.#over.add(before)
    if (run === null) this.#runs.delete(plugin)
    else this.#runs.set(plugin, run)
  }
}

/** One process's registry. */
export class Process {
  readonly client: Client
  readonly shared: MemoryShared
  readonly store: Store
  readonly errors: unknown[] = []
  readonly lines: string[] = []
  /** What ticks its guards. */
  member: FleetMember | null = null
  #registry: Registry | null = null
  #hung = false

  constructor(fleet: RegistryFleet, ahead: number) {
    this.client = fleet.network.connect()
    const shared = memoryShared(fleet.memory, () => 1_800_000_000_000 + fleet.passed + ahead)
    this.shared = shared
    const hangs =
      <Args extends readonly unknown[], Answer>(call: (...args: Args) => Promise<Answer>) =>
      (...args: Args): Promise<Answer> =>
        this.#hung ? never : call(...args)
    const client = this.client
    const { now, join, beat, members, leave, publish, closeTick, conclude, checkpoint, report, reports } = shared
    this.store = {
      load: () => client.load(),
      save: (proposal, signal) => client.save(proposal, signal),
      watch: (from, listener) => client.watch(from, listener),
      audit: (query) => client.audit(query),
      close: () => client.close(),
      shared: {
        now,
        join: hangs(join),
        beat: hangs(beat),
        members: hangs(members),
        leave: hangs(leave),
        publish: hangs(publish),
        closeTick: hangs(closeTick),
        conclude: hangs(conclude),
        checkpoint: hangs(checkpoint),
        report: hangs(report),
        reports: hangs(reports),
      },
    }
  }

  get registry(): Registry {
    if (this.#registry === null) throw new Error('it is not open')
    return this.#registry
  }

  set registry(registry: Registry) {
    this.#registry = registry
  }

  /** The one canary. */
  get release() {
    const [row] = this.registry.list('plugins')?.rows ?? []
    const release = row === undefined ? null : this.registry.release(row.entity.id)
    if (release === null) throw new Error('there is no canary')
    return release
  }

  get plugin(): string {
    const [row] = this.registry.list('plugins')?.rows ?? []
    if (row === undefined) throw new Error('there is no canary')
    return row.entity.id
  }

  /** Whether its store is away: what is asked fails. */
  set away(away: boolean) {
    this.shared.away = away
    this.client.line = away ? 'refused' : 'up'
  }

  hang(): void {
    this.#hung = true
    this.client.line = 'hung'
  }

  send(draws: Draws, rates: { readonly A: number; readonly B: number }, requests: number): void {
    const { release } = this
    for (let i = draws.poisson(requests); i > 0; i -= 1) {
      const decision = release.decide({})
      const status = draws.uniform() < rates[decision.upstream] ? 503 : 200
      release.record({ decision, status, error: null, aborted: false, durationMs: 20 })
    }
  }
}
