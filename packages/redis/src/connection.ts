import type { CanaryError } from '@canary-release/core'
import { closedError, explained } from './faults.js'
import type { Link } from './link.js'
import { type Reconnecting, reconnecting } from './reconnecting.js'

type State =
  | { readonly kind: 'idle' | 'connecting' | 'closed' }
  | { readonly kind: 'up'; readonly link: Link }
  | { readonly kind: 'down'; readonly error: CanaryError }

/** The connection on which is read and written: made at first use, and made again whenever it is gone. */
export class Connection {
  readonly #dial: () => Promise<Link>
  readonly #waiting = new Set<() => void>()
  #state: State = { kind: 'idle' }
  #reconnecting: Reconnecting | null = null
  /** An attempt that had begun before the server was known to answer may fail: that says nothing. */
  #isHurried = false

  constructor(dial: () => Promise<Link>) {
    this.#dial = dial
  }

  /**
   * The link, where there is one. Waits for the first attempt; later it fails at once where there is none.
   *
   * @throws {CanaryError} ERR_CANARY_STORE why there is none; ERR_CANARY_CLOSED
   */
  async link(signal?: AbortSignal): Promise<Link> {
    this.#begin()
    while (this.#state.kind === 'connecting') {
      // oxlint-disable-next-line no-await-in-loop -- until the state changes
      await this.#change(signal)
    }
    return this.#now()
  }

  /** The link, or the one that comes: waits until there is one, or `signal` is aborted. */
  async next(signal: AbortSignal): Promise<Link> {
    this.#begin()
    while (this.#state.kind === 'connecting' || this.#state.kind === 'down') {
      // oxlint-disable-next-line no-await-in-loop -- until the state changes
      await this.#change(signal)
    }
    return this.#now()
  }

  /** Another connection was made: where this one is down, who asks for it waits for an attempt that begins now. */
  hurry(): void {
    if (this.#state.kind !== 'down') return
    this.#isHurried = true
    this.#set({ kind: 'connecting' })
    this.#reconnecting?.hurry()
  }

  close(): void {
    this.#reconnecting?.end()
    this.#set({ kind: 'closed' })
  }

  #begin(): void {
    if (this.#state.kind !== 'idle') return
    this.#state = { kind: 'connecting' }
    this.#reconnecting = reconnecting(this.#dial, {
      serve: async (link) => {
        this.#isHurried = false
        this.#set({ kind: 'up', link })
        throw await link.gone
      },
      down: (error) => {
        const isStale = this.#isHurried && this.#state.kind === 'connecting'
        this.#isHurried = false
        if (!isStale) this.#set({ kind: 'down', error: explained(error) })
      },
    })
  }

  #now(): Link {
    if (this.#state.kind === 'up') return this.#state.link
    throw this.#state.kind === 'down' ? this.#state.error : closedError()
  }

  #set(state: State): void {
    if (this.#state.kind === 'closed') return
    this.#state = state
    for (const changed of this.#waiting) changed()
  }

  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      // Pauses between attempts keep no process alive, but who waits here does.
      const alive = setInterval(() => undefined, 60_000)
      const done = (settle: () => void) => () => {
        clearInterval(alive)
        this.#waiting.delete(changed)
        signal?.removeEventListener('abort', aborted)
        settle()
      }
      const changed = done(resolve)
      const aborted = done(() => reject(signal?.reason))
      this.#waiting.add(changed)
      signal?.addEventListener('abort', aborted, { once: true })
      if (signal?.aborted === true) aborted()
    })
  }
}
