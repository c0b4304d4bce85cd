import { CanaryError } from '@canary-release/core'
import {
  type Position,
  type Proposal,
  type SaveResult,
  type Store,
  type StoreEvent,
  type StoredState,
  memoryStore,
} from '@canary-release/core/registry'

type Listener = (event: StoreEvent) => void

interface Watching {
  readonly from: Position | null
  /** What it was told last. */
  last: Pick<Position, 'version' | 'id'> | null
  readonly listener: Listener
  stop: () => void
}

const never = new Promise<never>(() => undefined)

/** What becomes of what is asked: `lost` is done, and its answer is not heard of; `cut-off` the same, with an error. */
export type Line = 'up' | 'refused' | 'hung' | 'lost' | 'cut-off'

/** A store as processes on other hosts have it: each has a line of its own that may fail. */
export class Network {
  /** What is stored: another one is a failover that lost commits, or an emptied store. */
  #inner: Store = memoryStore()
  readonly #clients = new Set<Client>()

  get inner(): Store {
    return this.#inner
  }

  connect(): Client {
    const client = new Client(() => this.#inner)
    this.#clients.add(client)
    return client
  }

  /** All go on with what another store holds. */
  replace(inner: Store): void {
    this.#inner = inner
    for (const client of this.#clients) client.reconnect()
  }
}

export class Client implements Store {
  readonly shared = null
  readonly #inner: () => Store
  readonly #watching = new Set<Watching>()
  #line: Line = 'up'
  /** Of the history, once it is known. */
  #epoch = ''
  /** How many saves were asked for. */
  saves = 0

  constructor(inner: () => Store) {
    this.#inner = inner
  }

  /** A line that is `refused` is known to be; the others are not. */
  set line(line: Line) {
    const was = this.#line
    this.#line = line
    if (line === 'refused') {
      for (const watching of this.#watching) {
        watching.stop()
        watching.listener({ kind: 'disconnected', since: 1_000 })
      }
    }
    if (was === 'refused' && line !== 'refused') {
      for (const { listener } of this.#watching) listener({ kind: 'connected' })
      this.reconnect()
    }
  }

  reconnect(): void {
    if (this.#line === 'refused') return
    for (const watching of this.#watching) {
      watching.stop()
      this.#watch(watching)
    }
  }

  async load(): Promise<StoredState | null> {
    const state = await this.#ask(() => this.#inner().load())
    this.#epoch = state?.at.epoch ?? this.#epoch
    return state
  }

  async save(proposal: Proposal, signal?: AbortSignal): Promise<SaveResult> {
    this.saves += 1
    const result = await this.#ask(() => this.#inner().save(proposal, signal))
    if (result.kind === 'saved') this.#epoch = result.at.epoch
    return result
  }

  watch(from: Position | null, listener: Listener): () => void {
    const watching: Watching = { from, last: null, listener, stop: () => undefined }
    this.#watching.add(watching)
    if (this.#line !== 'refused') this.#watch(watching)
    return () => {
      this.#watching.delete(watching)
      watching.stop()
    }
  }

  audit(query: Parameters<Store['audit']>[0]) {
    return this.#ask(() => this.#inner().audit(query))
  }

  async close(): Promise<void> {
    for (const { stop } of this.#watching) stop()
    this.#watching.clear()
    if (this.#line === 'hung') await never
  }

  #watch(watching: Watching): void {
    const { from, last } = watching
    const { version, id } = last ?? from ?? { version: 0, id: '' }
    const at = version === 0 ? null : { epoch: from?.epoch ?? this.#epoch, version, id }
    watching.stop = this.#inner().watch(at, (event) => {
      // Who hangs hears nothing, and hears it later.
      if (this.#line === 'hung') return watching.stop()
      if (event.kind === 'commit') watching.last = event.commit
      if (event.kind === 'state') watching.last = event.state.at
      watching.listener(event)
    })
  }

  async #ask<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    const line = this.#line
    if (line === 'refused') throw new CanaryError('ERR_CANARY_STORE', 'refused', { outcome: 'not-written' })
    if (line === 'hung') return never
    const answer = await work()
    if (line === 'lost') return never
    if (line === 'cut-off') throw new CanaryError('ERR_CANARY_STORE', 'cut off', { outcome: 'unknown' })
    return answer
  }
}
