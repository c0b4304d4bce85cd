import { performance } from 'node:perf_hooks'
import { ipIdentity } from '@canary-release/core/adapter'

/** How many wrong tokens of one peer are taken in a minute. */
const ALLOWED = 10
const WINDOW_MS = 60_000
/** Who has not been wrong for longest is forgotten first. */
const MOST_PEERS = 10_000
/** One client has all of an IPv6 network of this size. */
const IPV6_PREFIX = 64

/** Counts wrong tokens by the peers that sent them. */
export class WrongTokens {
  readonly #now: () => number
  /** When each peer was wrong in the last minute, oldest first; the peers in the order of their latest. */
  readonly #times = new Map<string, readonly number[]>()

  /** @param now milliseconds that never step back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** How many peers are remembered. */
  get peers(): number {
    return this.#times.size
  }

  /**
   * Counts one wrong token. Those beyond the limit are not counted, so that who waits is let in again.
   *
   * @param address of the peer; none for a Unix socket
   * @returns the seconds until another one is taken; 0: this one was
   */
  add(address: string | undefined): number {
    const now = this.#now()
    const peer = ipIdentity(address ?? '', IPV6_PREFIX)
    const recent = (this.#times.get(peer) ?? []).filter((time) => now - time < WINDOW_MS)
    const [oldest] = recent
    if (oldest !== undefined && recent.length >= ALLOWED) return Math.ceil((oldest + WINDOW_MS - now) / 1000)
    this.#times.delete(peer)
    this.#times.set(peer, [...recent, now])
    this.#forget(now)
    return 0
  }

  #forget(now: number): void {
    for (const [peer, times] of this.#times) {
      const latest = times.at(-1) ?? 0
      if (this.#times.size <= MOST_PEERS && now - latest < WINDOW_MS) return
      this.#times.delete(peer)
    }
  }
}
